"""`assay init`: a folder to work in, from a stream of one's own."""

import os
import shlex
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from services.cli import reading
from services.cli.output import notes, results
from services.cli.sources import source as commands
from services.errors import AssayError

if TYPE_CHECKING:
    from models.discovery.draft import Answers
    from models.files.options import ReadOptions
    from schemas.record_format import Envelope
    from schemas.source_spec import SourceSpec
    from services.cli.sources.checking import Looked

EXAMPLE = "Example: assay init shop --from payments.authorised.v2 --labelled history.jsonl"

SOURCE, FEATURES, README = "source.yaml", "features.yaml", "README.md"
LABELLED = "labelled.jsonl"
DAY_MS = 86_400_000
DAYS_WHOLE_MIN = 40
"""A history of fewer days is cut into shorter parts than `assay train` takes by default."""
BUDGET_SHARE = 0.005
"""Of the payments: alerts that `assay train fraud` aims at by default."""


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    given: Annotated[
        str | None,
        typer.Option("--from", metavar="TOPIC|FILE", help="Your topic, named whole, or .csv, .jsonl, .parquet."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="In place of --from: a source spec, as `assay source infer` writes it.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(help="File of labelled events of the same layout, to train on. Default: that of --from."),
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC|FILE",
            help="Looked at for the values of categories and currency. Default: --from, the spec's topic.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Field of the labelled file that says what was fraud. Default: as the file shows."),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="CODE=NUMBER,...|none",
            help="Where amounts are in several currencies: what one unit of each is worth in the one that is left out; or "
            "none, which refuses all but the commonest.",
        ),
    ] = None,
    records: commands.Records = 4_000,
    id_path: commands.IdPath = None,
    time_path: commands.TimePath = None,
    time_format: commands.TimeFormat = None,
    time_unit: commands.TimeUnit = None,
    time_zone: commands.TimeZone = None,
    date_order: commands.DateOrder = None,
    subject: commands.Subject = None,
    counterparty: commands.Counterparty = None,
    amount: commands.Amount = None,
    amount_scale: commands.AmountScale = None,
    amount_sign: commands.AmountSign = None,
    refunds: commands.Refunds = None,
    currency: commands.Currency = None,
    topic: commands.TopicName = None,
    form: commands.Format = None,
    envelope: commands.Wrapped = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the three files where they are there.")] = False,
) -> None:
    """Make a folder with the source spec, a feature spec proposed from it, and a README with the commands from there to alerts.

    With --from the source spec is inferred, as `assay source infer` does: what is ambiguous is asked, and nothing is written
    until it is answered with the options shown. The proposed features are a beginning: windows over the subject's payments,
    what it meets for the first time, and every attribute in the way that fits its type.
    """
    from models.discovery.draft import Answers

    if (given is None) == (source is None):
        raise AssayError(
            "A folder is made of a topic or file of yours (--from), or of a source spec (--source): give one of them."
        )
    answers = Answers(
        id_path, time_path, time_unit, time_format, time_zone, date_order, subject, counterparty, amount, amount_scale,
        amount_sign, refunds, currency, None, topic,
    )  # fmt: skip
    there = [str(folder / name) for name in (SOURCE, FEATURES, README) if (folder / name).exists()]
    if there and not overwrite:
        raise AssayError(f"{', '.join(there)} is there already: name another folder, or replace it with --overwrite.")
    options = commands.read_options(encoding, delimiter)
    text = _spec_text(given, source, label, labelled, answers, records, options, form, envelope)
    beside = source.parent if source else None
    past = labelled or _labelled(given, label, options)
    _make(folder, text, beside, sample or given, past, label, options, records, rates)


def _spec_text(
    given: str | None,
    source: Path | None,
    label: str | None,
    labelled: Path | None,
    answers: "Answers",
    records: int,
    options: "ReadOptions | None",
    form: str | None,
    envelope: "Envelope | None",
) -> str:
    """The source spec: the one given, or the one that the topic or file shows. Raises Exit(1) where a question is open."""
    from dataclasses import replace

    from models.discovery.write import yaml_of

    if source is not None:
        try:
            return source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AssayError(f"{source} cannot be read as a source spec ({error}): check the path.") from None
    assert given is not None
    if labelled is None and _file(given) is not None:
        answers = replace(answers, label=label)
    draft = commands.drafted(given, answers, records, options, form, envelope)
    commands.ask(draft, None, given)
    return yaml_of(draft)


def _file(given: str | None) -> Path | None:
    """What --from names, if it is a file."""
    from services.cli.sources.sampling import is_file

    return Path(given) if given is not None and is_file(given) else None


def _labelled(given: str | None, label: str | None, options: "ReadOptions | None") -> Path | None:
    """What --from names, if that is a file with a label."""
    from models.discovery.sample import DiscoveryError

    path = _file(given)
    if path is None or label is not None:
        return path
    try:
        _label(path, None, options)
    except DiscoveryError:
        return None
    return path


def _make(
    folder: Path,
    text: str,
    beside: Path | None,
    sample: str | None,
    labelled: Path | None,
    label: str | None,
    options: "ReadOptions | None",
    records: int,
    rates: str | None,
) -> None:
    """Look at the sample by the spec, propose features, and write the folder. beside: where the spec's schema file lies."""
    import tempfile

    from models.discovery.proposal import proposed_features
    from models.features.spec_file import parse_spec
    from models.sources.fits import misfit
    from services.cli.sources import readme
    from services.cli.sources.checking import looked_at
    from services.cli.sources.rates import currencies_of

    with tempfile.TemporaryDirectory() as directory:
        content = {SOURCE: text.encode(), **_schema_file(text, beside)}
        for name, found in content.items():
            (Path(directory) / name).write_bytes(found)
        spec, looked = looked_at(Path(directory) / SOURCE, sample, records, options)
        events = _events(looked)
        past, fraud_share = None, 0.0
        if labelled is not None:
            label, fraud_share = _label(labelled, label, options)
            same = sample == str(labelled)
            past = looked if same else looked_at(Path(directory) / SOURCE, str(labelled), records, options)[1]
    seen = {name: [event[name] for event in events] for name in events[0]}
    proposed = proposed_features(spec, seen, currencies_of(spec, seen["currency"], rates))
    if problem := misfit(parse_spec(proposed, FEATURES), spec):
        raise AssayError(f"The proposed features do not fit: {problem}")
    data = LABELLED if labelled is None else os.path.relpath(labelled.resolve(), folder.resolve())
    content |= {
        FEATURES: proposed.encode(),
        README: readme.text(
            folder.name or folder.resolve().name, spec, data, label or "is_fraud", _cuts(past) + _budget(fraud_share)
        ).encode(),
    }
    _write(folder, content)
    _say(folder, spec, looked)


def _schema_file(text: str, beside: Path | None) -> dict[str, bytes]:
    """The schema that the spec names by its file, to lie beside it in the folder, too."""
    from models.sources.spec_file import parse_source

    name = parse_source(text, SOURCE).format.schema_file
    if name is None or beside is None:
        return {}
    try:
        return {Path(name).name: (beside / name).read_bytes()}
    except OSError as error:
        raise AssayError(f"The schema file {name} cannot be read ({error.strerror}): correct schema_file.") from None


def _events(looked: "Looked") -> list[dict[str, object]]:
    events = [row.fields for row in looked.rows if row.what == "event"]
    if not events:
        why = next(iter(looked.reasons), "none is selected")
        raise AssayError(
            f"No record of {looked.name} is an event ({why}): correct the source spec, and give it as --source."
        )
    return events


def _label(labelled: Path, label: str | None, options: "ReadOptions | None") -> tuple[str, float]:
    """The labelled file's field that says what was fraud, and the share of frauds. Raises DiscoveryError, TableError."""
    from services.cli.files import needing_files

    with needing_files():
        from models.discovery.files import sample_file
        from models.discovery.guess import label_in
        from models.files.options import ReadOptions
    return label_in(sample_file(labelled, options or ReadOptions(), 4_000), label)


def _cuts(past: "Looked | None") -> str:
    """Lengths of the cuts for a history that is too short for the default ones, as options."""
    times = [int(str(row.fields["time"])) for row in past.rows if row.what == "event"] if past else []
    days = (max(times) - min(times)) // DAY_MS + 1 if times else DAYS_WHOLE_MIN
    if days >= DAYS_WHOLE_MIN:
        return ""
    part = max(1, days // 6)
    return f" --validation-days {part} --delay-days {max(1, part // 2)} --test-days {part}"


def _budget(fraud_share: float) -> str:
    """As many alerts as the history has frauds, where that is more than training takes by default; as an option."""
    return f" --objective budget:{float(f'{fraud_share:.1g}'):g}" if fraud_share > BUDGET_SHARE else ""


def _write(folder: Path, content: dict[str, bytes]) -> None:
    from models.durable import write_file

    def put(data: bytes, file: IO[bytes]) -> None:
        file.write(data)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in content.items():
            write_file(folder / name, partial(put, data))
    except OSError as error:
        raise AssayError(f"{error.filename} cannot be written ({error.strerror}): choose another place.") from None


def _say(folder: Path, spec: "SourceSpec", looked: "Looked") -> None:
    for name in (SOURCE, FEATURES, README):
        results.print(str(folder / name))
    counts = looked.counts
    notes.print(
        f"{len(looked.rows):,} records of {looked.name}: {counts['event']:,} events, {counts['fault']:,} faults, "
        f"{counts['not selected']:,} not selected."
    )
    for reason, times in looked.reasons.most_common(3):
        notes.print(f"  {times:,}: {reason}")
    if looked.placement is not None:
        notes.print(looked.placement.words(spec.event.subject.where))
    notes.print(f"Next: cd {shlex.quote(str(folder))}, and the commands of {README}.")
