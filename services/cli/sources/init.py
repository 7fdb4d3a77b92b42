"""`assay init`: a folder to work in, from a stream of one's own."""

from functools import partial
from pathlib import Path
from typing import IO, Annotated

import typer

from services.cli.output import notes, results
from services.errors import AssayError

EXAMPLE = "Example: assay init shop --source source.yaml --sample payments.jsonl --label is_fraud"

SOURCE, FEATURES, README = "source.yaml", "features.yaml", "README.md"


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    source: Annotated[Path, typer.Option(help="Source spec, as `assay source infer` writes it.")],
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC|FILE", help="Looked at for the values of categories and currency. Default: the spec's topic."
        ),
    ] = None,
    label: Annotated[
        str, typer.Option(help="Field of the labelled file that says what was fraud, for the commands of the README.")
    ] = "is_fraud",
    overwrite: Annotated[bool, typer.Option(help="Replace the three files where they are there.")] = False,
) -> None:
    """Make a folder with the source spec, a feature spec proposed from it, and the next commands.

    The proposed features are a beginning: windows over the subject's payments, what it meets for the first time, and every
    attribute in the way that fits its type. The README has the commands from there to alerts.
    """
    from models.discovery.proposal import proposed_features
    from models.durable import write_file
    from models.features.spec_file import parse_spec
    from models.sources.fits import misfit
    from services.cli.sources.checking import looked_at

    files = {name: folder / name for name in (SOURCE, FEATURES, README)}
    there = [str(path) for path in files.values() if path.exists()]
    if there and not overwrite:
        raise AssayError(f"{', '.join(there)} is there already: name another folder, or replace it with --overwrite.")
    read, looked = looked_at(source, sample, 4_000, None)
    events = [row.fields for row in looked.rows if row.what == "event"]
    if not events:
        raise AssayError(
            f"No record of {looked.name} is an event: see why with assay source check {source} {looked.name}"
        )
    text = proposed_features(read, {name: [event[name] for event in events] for name in events[0]})
    if problem := misfit(parse_spec(text, FEATURES), read):
        raise AssayError(f"The proposed features do not fit: {problem}")
    content = {
        SOURCE: source.read_bytes(),
        FEATURES: text.encode(),
        README: _readme(folder, read.topic, label).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in files.items():
            write_file(path, partial(_write, content[name]))
    except OSError as error:
        raise AssayError(f"{error.filename} cannot be written ({error.strerror}): choose another place.") from None
    for path in files.values():
        results.print(str(path))
    currencies = sorted({str(event["currency"]) for event in events if event["currency"]})
    if len(currencies) > 1:
        notes.print(
            f"The sample has {', '.join(currencies)}: amounts in one are taken until `currencies` in {files[FEATURES]} has "
            "rates for the others."
        )
    notes.print(f"Read {files[FEATURES]}, then go on with the commands of {files[README]}.")


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _readme(folder: Path, topic: str, label: str) -> str:
    return f"""# {folder.name}

From `{topic}` to alerts. Run these in this folder; `assay COMMAND --help` says more.

1. Look at the features, and change them: each line of the spec is one input of the model.

       assay features explain {FEATURES}

2. Train on a file of labelled events, of the same layout as the topic's (or bring a model of your own:
   `assay bundle build --help`). `{label}` is the column that says what was fraud.

       assay train fraud --data labelled.parquet --source {SOURCE} --features {FEATURES} --label {label} --out bundle

3. Read the report, then sign: only a signed bundle scores.

       assay bundle report bundle
       assay bundle keygen release
       assay bundle sign bundle --key release.key

4. Make Assay's own topics (where Kafka is: `ASSAY_KAFKA_BOOTSTRAP`; `{topic}` is yours, and stays as it is), and score.

       assay topics create --source {SOURCE}
       ASSAY_BUNDLE=bundle ASSAY_BUNDLE_PUBLIC_KEYS=release.pub assay score

5. See the alerts, and whether everything was scored exactly once.

       assay tail alerts
       assay verify --source {SOURCE}

Where `{SOURCE}` says `routed: true`, `assay intake` runs beside the scorer, with the same settings.
"""
