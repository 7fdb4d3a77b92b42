"""`assay source infer|check|explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli import reading
from services.cli.output import notes, print_json, results
from services.cli.people.unmasking import Why, audited
from services.errors import AssayError

if TYPE_CHECKING:
    from models.discovery.draft import Answers, Draft
    from models.files.options import ReadOptions
    from schemas.record_format import Envelope

app = typer.Typer(
    help="Source specs: what a topic or a file of yours holds (docs/sources.md).",
    no_args_is_help=True,
    epilog="Example: assay source infer payments.authorised.v2 --out source.yaml",
)

Given = Annotated[str, typer.Argument(metavar="TOPIC|FILE", help="A topic, named whole, or .csv, .jsonl, .parquet.")]
Records = Annotated[int, typer.Option(min=10, max=200_000, help="Of the sample.")]
IdPath = Annotated[
    str | None, typer.Option("--id", help="Path of the event's unique id; several with commas, which are joined.")
]
TimePath = Annotated[str | None, typer.Option("--time", help="Path of the event's time.")]
TimeFormat = Annotated[
    str | None, typer.Option(help="Of the event's time: iso8601, or a pattern such as %Y-%m-%d %H:%M.")
]
TimeUnit = Annotated[Literal["s", "ms", "us", "ns"] | None, typer.Option(help="Of the event's time, since 1970.")]
TimeZone = Annotated[str | None, typer.Option(help="Of local times: UTC, Europe/Paris, ...")]
DateOrder = Annotated[Literal["dmy", "mdy"] | None, typer.Option(help="Whether the day or the month comes first.")]
Subject = Annotated[
    str | None, typer.Option(help="Path of the card, the account: whose history comes first; several with commas.")
]
Counterparty = Annotated[str | None, typer.Option(help="Path of the other side, several with commas, or none.")]
Amount = Annotated[str | None, typer.Option(help="Path of the amount.")]
AmountScale = Annotated[
    str | None,
    typer.Option(help="Its decimal places: 2 where 1234 is 12.34; currency: its currency's; or a path that says it."),
]
AmountSign = Annotated[
    Literal["as_given", "reversed"] | None, typer.Option(help="reversed: what is negative is a payment.")
]
Refunds = Annotated[str | None, typer.Option(help="PATH=VALUE: its amounts are turned negative; or none.")]
Currency = Annotated[str | None, typer.Option(help="Path of the currency, or its code where all have one; or none.")]
Label = Annotated[str | None, typer.Option(help="Path that says what was fraud; it becomes no attribute.")]
TopicName = Annotated[
    str | None, typer.Option("--topic", help="The topic, where a file is looked at. Default: the file's name.")
]
Format = Annotated[
    Literal["json", "avro", "protobuf", "json_schema"] | None,
    typer.Option("--format", help="Of a topic's records; the last three with a schema's id in front."),
]
Wrapped = Annotated[
    Literal["none", "debezium", "connect", "cloudevents"] | None,
    typer.Option("--envelope", help="Around the events of a topic or file. Default: as the records show."),
]
Overwrite = Annotated[bool, typer.Option(help="Replace a file that is there.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command(epilog="Example: assay source infer payments.csv --subject account --time-zone UTC --out source.yaml")
def infer(
    given: Given,
    out: Annotated[Path | None, typer.Option(help="File to write the spec to. Default: standard output.")] = None,
    records: Records = 4_000,
    id_path: IdPath = None,
    time_path: TimePath = None,
    time_format: TimeFormat = None,
    time_unit: TimeUnit = None,
    time_zone: TimeZone = None,
    date_order: DateOrder = None,
    subject: Subject = None,
    counterparty: Counterparty = None,
    amount: Amount = None,
    amount_scale: AmountScale = None,
    amount_sign: AmountSign = None,
    refunds: Refunds = None,
    currency: Currency = None,
    label: Label = None,
    topic: TopicName = None,
    form: Format = None,
    envelope: Wrapped = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Look at a sample of TOPIC|FILE and write its source spec, with the evidence beside each field as comments.

    What is ambiguous is not guessed: it stays open as a question, with the options that answer it, and the exit status is 1.
    No value that could be a card number or someone's own is shown. Run it again with the answers, or edit the spec.
    """
    from models.discovery.draft import Answers

    answers = Answers(
        id_path, time_path, time_unit, time_format, time_zone, date_order, subject, counterparty, amount, amount_scale,
        amount_sign, refunds, currency, label, topic,
    )  # fmt: skip
    check_out(out, overwrite=overwrite)
    draft = drafted(given, answers, records, read_options(encoding, delimiter), form, envelope)
    write(draft, out)
    if json:
        print_json(as_json(draft, out))
    elif out is None:
        from models.discovery.write import yaml_of

        for line in yaml_of(draft).splitlines():
            results.print(line)
    ask(draft, out, given)


def drafted(
    given: str,
    answers: "Answers",
    records: int,
    options: "ReadOptions | None" = None,
    form: str | None = None,
    envelope: "Envelope | None" = None,
) -> "Draft":
    """What a sample seems to hold. Raises AssayError, DiscoveryError, TableError."""
    from models.discovery.guess import infer as inferred
    from services.cli.sources.sampling import sample_of
    from services.engine.placement import place

    return inferred(sample_of(given, options, records, form, envelope), answers, place)


def read_options(encoding: str | None, delimiter: str | None) -> "ReadOptions | None":
    """What was said of a file's text, if anything."""
    if encoding is None and delimiter is None:
        return None
    return reading.options(encoding, delimiter, None, None, None, None, None, None)


def check_out(out: Path | None, *, overwrite: bool) -> None:
    """Raises AssayError where a spec is there that someone may have worked on."""
    from models.discovery.write import MARK

    if out is None or overwrite or not out.exists():
        return
    if f"# {MARK}" not in out.read_text(encoding="utf-8", errors="replace"):
        raise AssayError(f"{out} is there already: name another file, or replace it with --overwrite.")


def write(draft: "Draft", out: Path | None) -> None:
    """The spec's file, whole or not at all."""
    from models.discovery.write import yaml_of
    from models.durable import write_file

    if out is None:
        return
    try:
        write_file(out, lambda file: file.write(yaml_of(draft).encode()))
    except OSError as error:
        raise AssayError(f"{out} cannot be written ({error.strerror}): choose another place.") from None


def as_json(draft: "Draft", out: Path | None) -> dict[str, object]:
    """For `--json`: the spec as text, and what is open."""
    from models.discovery.write import yaml_of

    return {
        "spec": yaml_of(draft),
        "out": None if out is None else str(out),
        "questions": [
            {
                "field": q.field,
                "question": q.words,
                "answers": [{"option": o.answer, "means": o.meaning} for o in q.options],
            }
            for q in draft.questions
        ],
    }


def ask(draft: "Draft", out: Path | None, given: str) -> None:
    """What is still open, on stderr. Raises Exit(1) where something is."""
    from models.discovery.write import questions_text

    if draft.questions:
        notes.print(f"{len(draft.questions)} to be answered, with the options below or in the spec:")
        for line in questions_text(draft.questions):
            notes.print(line)
        raise typer.Exit(1)
    if out is not None:
        notes.print(f"{out}: every field has its evidence beside it. Next: assay source check {out} {given}")


@app.command(epilog="Example: assay source check source.yaml payments.authorised.v2")
def check(
    spec: Annotated[Path, typer.Argument(help="A source spec in YAML.")],
    given: Annotated[
        str | None, typer.Argument(metavar="[TOPIC|FILE]", help="What to read by it. Default: the spec's topic.")
    ] = None,
    records: Records = 4_000,
    rows: Annotated[int, typer.Option(min=1, max=1_000, help="To show.")] = 20,
    unmasked: Annotated[bool, typer.Option(help="Show whole ids and what is personal.")] = False,
    why: Why = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    json: Json = False,
) -> None:
    """Show records as Assay sees them, faults with their reason; and whether a scorer can read the topic directly.

    Exits with 1 where no record is an event, or where more than a tenth of those that are meant are faults.
    """
    from models.sources.spec_file import load_source
    from services.cli.sources import checking
    from services.cli.sources.sampling import is_file

    name = given or load_source(spec).topic
    if not (unmasked and is_file(name)):  # a file of one's own hides nothing
        audited(f"assay source check {name}", why, unmasked=unmasked)
    source, looked = checking.looked_at(spec, given, records, read_options(encoding, delimiter))
    if json:
        print_json(checking.as_json(source, looked, rows, unmasked=unmasked))
    else:
        checking.show(source, looked, rows, unmasked=unmasked)
    if not looked.sound:
        raise typer.Exit(1)


@app.command(epilog="Example: assay source explain source.yaml")
def explain(spec: Annotated[Path, typer.Argument(help="A source spec in YAML.")], json: Json = False) -> None:
    """Say in plain words what SPEC reads from where: which records are events, what an event is, what an attribute."""
    from models.discovery.words import sentences
    from models.sources.spec_file import load_source

    source = load_source(spec)
    found = sentences(source)
    if json:
        print_json({"topic": source.topic, "digest": source.digest(), "sentences": found})
        return
    for sentence in found:
        results.print(sentence)
