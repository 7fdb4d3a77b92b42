"""The README of a new folder: the commands from a source spec to alerts, in the order in which they work."""

from shlex import quote

from models.discovery.write import printable
from schemas.source_spec import SourceSpec

ENVIRONMENT = "ASSAY_BUNDLE=bundle ASSAY_BUNDLE_PUBLIC_KEYS=release.pub"


def text(title: str, spec: SourceSpec, data: str, label: str, cuts: str) -> str:
    """data: the labelled file, from the folder. cuts: further options of training. Its indented lines are commands."""
    beside = "intake, which brings each subject's events together, and the scorer" if spec.is_routed else "the scorer"
    train = f"--source source.yaml --features features.yaml --label {quote(label)}{cuts} --out bundle"
    title, shown_data, shown_label = printable(title), printable(data), printable(label)
    return f"""# {title}

From `{spec.topic}` to alerts. The first command was `assay init`; run the next five in this folder. Kafka is where
`ASSAY_KAFKA_BOOTSTRAP` says{_registry(spec)}. `assay COMMAND --help` says more of each.

1. Train on `{shown_data}`, labelled events of the topic's layout; `{shown_label}` says what was fraud.
   `--objective` sets how many alerts to expect, as a share of the payments.

       assay train fraud --data {quote(data)} {train}

2. Sign, since only a signed bundle scores. `bundle/report.html` says what it finds and misses: read it first.

       assay bundle sign bundle --new-key release

3. Make Assay's own topics. `{spec.topic}` is yours, and stays as it is.

       assay topics create --source source.yaml

4. Run {beside}, until Ctrl-C.

       {ENVIRONMENT} assay run

5. See the alerts, in another terminal.

       assay tail alerts --from-start

## Look first, and afterwards

What Assay makes of your records, and of which features; each line of `features.yaml` is one input of the model, to be changed
as you like:

    assay source check source.yaml
    assay source explain source.yaml
    assay features explain features.yaml

Whether everything was scored exactly once, and the scores of a file:

    {ENVIRONMENT} assay verify
    {ENVIRONMENT} assay batch {quote(data)} scores.parquet

To bring a model of your own in place of the first command: `assay bundle build --help`. To release later versions to scorers
that run: `assay registry publish` and `promote`.
"""


def _registry(spec: SourceSpec) -> str:
    if spec.format.type in ("avro", "protobuf") and spec.format.schema_file is None and spec.format.schema_text is None:
        return ", and the schema registry where `ASSAY_SCHEMA_REGISTRY_URL` says"
    return ""
