"""Options of every command that reads a file: answers where the file is ambiguous; and what was refused, as a table."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from services.cli.output import notes

if TYPE_CHECKING:
    from models.files.options import ReadOptions
    from schemas.manifest import Manifest
    from schemas.source_spec import SourceSpec

REASONS_SHOWN_MAX = 10

Encoding = Annotated[str | None, typer.Option(help="Of a text file that is not UTF-8: cp1252, latin-1, ...")]
Delimiter = Annotated[str | None, typer.Option(help="Between the columns. Default: as the header shows.")]
Decimal = Annotated[Literal[".", ","] | None, typer.Option(help="Decimal mark. Default: as each column shows.")]
DateOrder = Annotated[
    Literal["dmy", "mdy", "ymd"] | None,
    typer.Option(help="Of day, month and year. Default: as the whole column shows."),
]
TimeUnit = Annotated[
    Literal["s", "ms", "us", "ns", "excel", "excel-1904"] | None,
    typer.Option(help="Of times that are bare numbers since 1970, or a spreadsheet's days. Default: what fits."),
]
TimeZone = Annotated[str | None, typer.Option(help="Of times without one: UTC, Europe/Berlin, ...")]
TimeStart = Annotated[
    str | None,
    typer.Option(help="Of times counted from a start of their own, in seconds or --time-unit: 2013-09-01T00:00:00Z."),
]
Without = Annotated[list[str] | None, typer.Option(help="A field that is read and that the file is known not to have.")]

SourceFile = Annotated[
    Path | None,
    typer.Option(
        "--source", help="Source spec in YAML, in place of --map: what the events are and where their fields lie."
    ),
]
Words = Annotated[
    list[str] | None, typer.Option("--word", help="WORD=yes or WORD=no: in a flag of another language, such as ei=no.")
]


class Reason(NamedTuple):
    """Why rows were refused: how many, and the first one's line."""

    reason: str
    rows: int
    first_line: int


def options(
    encoding: str | None,
    delimiter: str | None,
    decimal: Literal[".", ","] | None,
    date_order: Literal["dmy", "mdy", "ymd"] | None,
    time_unit: Literal["s", "ms", "us", "ns", "excel", "excel-1904"] | None,
    time_zone: str | None,
    time_start: str | None,
    without: Sequence[str] | None,
    words: Sequence[str] | None = None,
) -> "ReadOptions":
    """As the reader takes them. Raises TableError."""
    from models.files.options import ReadOptions, TableError

    mark = "\t" if delimiter in ("tab", "\\t") else delimiter
    if mark is not None and len(mark) != 1:
        raise TableError("--delimiter is one character, or `tab`: correct it.")
    start = None if time_start is None else _start(time_start)
    return ReadOptions(
        encoding,
        mark,
        decimal,
        date_order,
        time_unit,
        time_zone,
        start,
        tuple(without or ()),
        *_flags(words or ()),
    )


def _flags(pairs: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words that mean yes, and words that mean no."""
    from models.files.options import TableError

    found: dict[str, list[str]] = {"yes": [], "no": []}
    for pair in pairs:
        word, _, meaning = pair.rpartition("=")
        if not word or meaning not in found:
            raise TableError(f"--word {pair} is neither WORD=yes nor WORD=no: correct it.")
        found[meaning].append(word)
    return tuple(found["yes"]), tuple(found["no"])


def source_spec(path: Path | None, mapped: Sequence[str] | None) -> "SourceSpec | None":
    """The spec of --source, which takes the place of --map. Raises SourceSpecError, AssayError."""
    from models.sources.spec_file import load_source
    from services.errors import AssayError

    if path is None:
        return None
    if mapped:
        raise AssayError("--source and --map both say where the fields lie: leave one out.")
    return load_source(path)


def source_of(manifest: "Manifest", given: "SourceSpec | None") -> "SourceSpec | None":
    """The source of a bundle, or the one given for a bundle that has none. Raises AssayError where they differ."""
    from services.errors import AssayError

    if given is not None and manifest.source is not None and given != manifest.source:
        raise AssayError(
            f"{manifest.name}/{manifest.version} was made for another source spec than --source gives: leave it out, and the "
            "bundle's own is taken."
        )
    return manifest.source or given


def _start(text: str) -> datetime:
    from models.files.options import TableError

    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise TableError(f"--time-start {text} is no time with a zone: write it as 2013-09-01T00:00:00Z.")
    return start


def reasons(refused: Iterable[tuple[str, int]]) -> list[Reason]:
    """The commonest first, of each refused row's reason and line."""
    counts, first = Counter[str](), dict[str, int]()
    for reason, line in refused:
        counts[reason] += 1
        first[reason] = min(line, first.get(reason, line))
    return [Reason(reason, rows, first[reason]) for reason, rows in counts.most_common()]


def show(found: Sequence[Reason], told: Sequence[str]) -> None:
    """Notes on how the file was read, and the commonest reasons, on stderr."""
    from rich.table import Table

    for note in told:
        notes.print(note)
    if found:
        table = Table("rows", "first line", "refused because")
        for reason, rows, line in found[:REASONS_SHOWN_MAX]:
            table.add_row(f"{rows:,}", str(line), reason)
        notes.print(table)


def as_json(found: Sequence[Reason]) -> list[dict[str, Any]]:
    """For `--json`: the commonest reasons."""
    return [reason._asdict() for reason in found[:REASONS_SHOWN_MAX]]
