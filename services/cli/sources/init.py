"""`assay init`: a folder to begin with, of a source spec, a feature spec proposed from it, and the next commands."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import notes
from services.cli.sources import source as sources
from services.errors import AssayError

EXAMPLE = "Example: assay init payments --from events.jsonl --subject card.token --time-zone UTC"

README = """# {topic}

`source.yaml` says what a record holds, `features.yaml` what a model reads of it. Change both as you know better, then,
in this folder:

```sh
assay source check source.yaml {given}
assay features explain features.yaml
assay train fraud --data {data} --source source.yaml --features features.yaml --label {label} --out bundle
assay bundle keygen release
assay bundle sign bundle --key release.key
ASSAY_BUNDLE=bundle ASSAY_BUNDLE_PUBLIC_KEYS=release.pub assay topics create --source source.yaml
ASSAY_BUNDLE=bundle ASSAY_BUNDLE_PUBLIC_KEYS=release.pub assay score
```

`assay train fraud` takes the last 24 days for validation, label delay and test; for a shorter file say `--train-days`,
`--validation-days`, `--delay-days` and `--test-days`. A model of another library: `assay features build`, then `assay bundle
build`. Kafka is where `ASSAY_KAFKA_BOOTSTRAP` says. `assay tail alerts` shows what is found.
"""


def init(
    directory: Annotated[Path, typer.Argument(help="Folder to make.")],
    spec: Annotated[Path | None, typer.Option("--source", help="A source spec that you have.")] = None,
    given: Annotated[
        str | None, typer.Option("--from", metavar="TOPIC|FILE", help="In place of it: what to infer one from.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled events, for the README. Default: the file of --from.")
    ] = None,
    label: sources.Label = None,
    records: sources.Records = 4_000,
    id_path: sources.IdPath = None,
    time_path: sources.TimePath = None,
    time_format: sources.TimeFormat = None,
    time_unit: sources.TimeUnit = None,
    time_zone: sources.TimeZone = None,
    date_order: sources.DateOrder = None,
    subject: sources.Subject = None,
    counterparty: sources.Counterparty = None,
    amount: sources.Amount = None,
    amount_scale: sources.AmountScale = None,
    amount_sign: sources.AmountSign = None,
    refunds: sources.Refunds = None,
    currency: sources.Currency = None,
    topic: sources.TopicName = None,
) -> None:
    """Make a folder with a source spec, a feature spec proposed from it, and a README with the next commands.

    With --from the source spec is inferred first, as `assay source infer` does it: where something is to be answered, nothing
    is made, and the questions are shown.
    """
    from models.discovery.draft import Answers
    from models.discovery.write import yaml_of
    from models.sources.spec_file import load_source
    from services.cli.sources.sampling import is_file

    if (spec is None) == (given is None):
        raise AssayError(
            "Give either --source, a source spec that you have, or --from, a topic or a file to infer one from."
        )
    if directory.exists() and any(directory.iterdir()):
        raise AssayError(f"{directory} is there already and not empty: name another folder.")
    known = label
    if spec is not None:
        load_source(spec)
        text = spec.read_text(encoding="utf-8")
    else:
        answers = Answers(
            id_path, time_path, time_unit, time_format, time_zone, date_order, subject, counterparty, amount, amount_scale,
            amount_sign, refunds, currency, label, topic,
        )  # fmt: skip
        draft = sources.drafted(str(given), answers, records)
        sources.ask(draft, None, str(given))
        text, known = yaml_of(draft), draft.label
    file = given if given is not None and is_file(given) else None
    _make(directory, text, data or file, file or "", known)
    notes.print(f"{directory}: source.yaml, features.yaml and README.md, which has the next commands.")


def _make(directory: Path, text: str, data: str | None, given: str, label: str | None) -> None:
    """The three files. Raises AssayError, SourceSpecError."""
    from models.discovery.features import proposed
    from models.durable import write_file
    from models.features.spec_file import parse_spec
    from models.sources.fits import misfit
    from models.sources.spec_file import parse_source

    source = parse_source(text)
    features = proposed(source)
    problem = misfit(parse_spec(features), source)
    assert problem is None, problem  # what is proposed fits
    paths = [str(Path(path).resolve()) if path else path for path in (data, given)]
    readme = README.format(
        topic=source.topic,
        given=shlex.quote(paths[1]) if paths[1] else "",
        data=shlex.quote(paths[0] or "labelled.jsonl"),
        label=shlex.quote(label or "is_fraud"),
    )
    try:
        for name, content in (("source.yaml", text), ("features.yaml", features), ("README.md", readme)):
            write_file(directory / name, lambda out, content=content: out.write(content.encode()))  # type: ignore[misc]
    except OSError as error:
        raise AssayError(f"{directory} cannot be written ({error.strerror}): choose another place.") from None
