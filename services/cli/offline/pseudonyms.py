"""`assay privacy pseudonyms`: raw payments in, transactions with pseudonyms out. No card number is ever repeated."""

import contextlib
import io
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from services.cli import reading
from services.cli.files import needing_files
from services.cli.output import notes, print_json

if TYPE_CHECKING:
    from models.files.options import ReadOptions
    from schemas.privacy import PrivacyKey
    from services.cli.offline.raw_payments import Refused

EXAMPLE = "Example: assay privacy pseudonyms payments.csv --card-column PAN --map amount=AMOUNT --out payments.jsonl"

REFUSED = 1
TOLD_MAX = 10
"""Refused lines that are reported one by one."""


class Format(StrEnum):
    """How payments are written."""

    CSV = "csv"
    JSONL = "jsonl"


def pseudonyms(
    source: Annotated[
        str, typer.Argument(help="Payments: .csv or .tsv (also .gz, .zst) with a header, or .jsonl; - for stdin.")
    ],
    card_column: Annotated[str, typer.Option(help="Where the card number is.")] = "card_number",
    mapped: Annotated[
        list[str] | None, typer.Option("--map", help="FIELD=COLUMN, where a column has another name.")
    ] = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    decimal: reading.Decimal = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    time_start: reading.TimeStart = None,
    out: Annotated[Path | None, typer.Option(help="Transactions, JSON lines; written over. Default: stdout.")] = None,
    previous_out: Annotated[
        Path | None, typer.Option(help="The same payments under the previous key: for the time of a rotation.")
    ] = None,
    form: Annotated[Format | None, typer.Option("--format", help="Default: by the file's ending; jsonl for -.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The counts as one line of JSON, on stderr.")] = False,
) -> None:
    """Write payments as `transactions` takes them, one a line, `card_id` a keyed pseudonym of the card number.

    Only the fields of a transaction are written. A line without a right card number, or with one in another field, is
    refused: its number is reported, nothing of it is written, and the exit status is 1. Keys: ASSAY_PSEUDONYM_*.
    """
    from services.cli.offline.raw_payments import Refused, transaction
    from services.privacy.pseudonym_keys import pseudonym_keys

    current, previous = pseudonym_keys(needing_previous=previous_out is not None)
    keys: list[PrivacyKey] = [current] if previous is None else [current, previous]
    columns = _mapping(mapped or [])
    written = refused = 0
    options = reading.options(encoding, delimiter, decimal, date_order, time_unit, time_zone, time_start, None)
    with (
        _rows(source, form or _format(source), options, columns) as found,
        _writing(out) as first,
        _writing(previous_out) as second,
    ):
        targets = (first, second)[: len(keys)]
        for number, row in found:
            made = [transaction(row, card_column, columns, key) for key in keys]
            bad = next((each for each in made if isinstance(each, Refused)), None)
            if bad is not None:
                refused += 1
                if refused <= TOLD_MAX:
                    notes.print(f"line {number}: {bad.why}")
                continue
            for content, target in zip(made, targets, strict=True):
                assert isinstance(content, bytes)
                target.write(content + b"\n")
            written += 1
    if json:
        counts = {"written": written, "refused": refused, "key_id": current.key_id}
        print_json(counts) if out is not None else notes.print_json(data=counts, indent=None)
    else:
        notes.print(f"{written:,} written, {refused:,} refused")
    if refused:
        raise typer.Exit(REFUSED)


def _mapping(pairs: list[str]) -> dict[str, str]:
    from schemas.transaction import Transaction
    from services.errors import AssayError

    fields = [name for name in Transaction.model_fields if name != "card_id"]
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or not column or name not in fields:
            raise AssayError(f"--map {pair} is not FIELD=COLUMN with a field of {', '.join(fields)}: correct it.")
        found[name] = column
    return found


def _format(source: str) -> Format:
    from models.files.text import is_text

    return Format.CSV if is_text(Path(source)) else Format.JSONL


@contextlib.contextmanager
def _rows(
    source: str, form: Format, options: "ReadOptions", columns: dict[str, str]
) -> Iterator[Iterator[tuple[int, "dict[str, Any] | Refused"]]]:
    from models.files.text import opened
    from services.cli.offline.raw_payments import object_rows, read_columns, table_rows

    if form is Format.JSONL:
        with _reading(source) as lines:
            yield object_rows(lines)
        return
    path, stdin = (Path("stdin"), sys.stdin.buffer) if source == "-" else (Path(source), None)
    with opened(path, options, stdin) as table, needing_files():
        # all of it first: what a column holds is judged by the whole column
        yield iter(read_columns(list(table_rows(table)), columns, options))


@contextlib.contextmanager
def _reading(source: str) -> Iterator[IO[str]]:
    from services.errors import AssayError

    if source == "-":
        yield io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
        return
    try:
        file = Path(source).open(encoding="utf-8-sig", errors="surrogateescape", newline="")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise AssayError(f"{source} cannot be read ({error.strerror}): check the path.") from None
    with file:
        yield file


@contextlib.contextmanager
def _writing(path: Path | None) -> Iterator[IO[bytes]]:
    from services.errors import AssayError

    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise AssayError(f"{path} cannot be written ({error.strerror}): choose another place.") from None
    with file:
        yield file
