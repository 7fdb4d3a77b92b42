"""Payments before pseudonyms: lines with card numbers, made into transactions or refused without quoting them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from models.files.text import TextTable, has_surrogate
from schemas import codec
from schemas.privacy import CardNumberError, PrivacyKey, card_numbers_in, pseudonym
from schemas.transaction import Transaction

if TYPE_CHECKING:
    from models.files.options import ReadOptions

FIELDS = tuple(Transaction.model_fields)
READ = ("amount", "event_time_ms")
"""Fields that are no text."""

_check = codec.decoder(Transaction)


class Refused(NamedTuple):
    """Why a line is not written, without quoting it."""

    why: str


def table_rows(table: TextTable) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    """Line, from 1, and cells of each row, spaces around them removed. Raises TableError."""
    for number, row in table.rows():
        if len(row) != len(table.columns):
            yield number, Refused("the row has more or fewer fields than the header: quote or add the delimiter")
        elif any(has_surrogate(cell) for cell in row):
            yield number, Refused("it is not UTF-8: say which encoding the file has with --encoding")
        else:
            yield number, {n: cell.strip() for n, cell in zip(table.columns, row, strict=True) if cell.strip()}


def read_columns(
    rows: Sequence[tuple[int, dict[str, Any] | Refused]], columns: Mapping[str, str], options: "ReadOptions"
) -> list[tuple[int, dict[str, Any] | Refused]]:
    """The same rows with amounts as numbers and times as ms since 1970: each column is judged as a whole.

    columns: of the fields that have another name. Raises TableError where a column leaves open what it holds.
    """
    import polars as pl

    from models.files.numbers import read_numbers
    from models.files.options import shown
    from models.files.times import read_times

    lines = pl.Series([number for number, _ in rows], dtype=pl.Int64)
    values: dict[str, list[Any]] = {}
    for name in READ:
        column = columns.get(name, name)
        cells = [None if isinstance(row, Refused) else row.get(column) for _, row in rows]
        text, words = pl.Series(cells, dtype=pl.String), shown([column])
        found = read_numbers(text, words, options, lines)[0] if name == "amount" else None
        values[name] = (read_times(text, words, options, lines).ms if found is None else found).to_list()
    return [(number, _with_values(row, columns, values, at)) for at, (number, row) in enumerate(rows)]


def _with_values(
    row: dict[str, Any] | Refused, columns: Mapping[str, str], values: Mapping[str, list[Any]], at: int
) -> dict[str, Any] | Refused:
    if isinstance(row, Refused):
        return row
    read = {name: values[name][at] for name in READ if columns.get(name, name) in row}
    for name, value in read.items():
        if value is None:
            return Refused(f"{name} is no {'number' if name == 'amount' else 'time'}: correct it")
    return {**row, **{columns.get(name, name): value for name, value in read.items()}}


def object_rows(lines: IO[str]) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    """Number, from 1, and content of each line of JSON."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _object(line)


def _object(line: str) -> dict[str, Any] | Refused:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, dict) else Refused("no JSON object")


def transaction(
    row: dict[str, Any] | Refused, card_column: str, columns: Mapping[str, str], key: PrivacyKey
) -> bytes | Refused:
    """A payment as JSON, under the card's pseudonym. columns: of the fields that have another name."""
    if isinstance(row, Refused):
        return row
    if card_column not in row:
        return Refused("the column with the card number is missing or empty; --card-column names it")
    try:
        card_id = pseudonym(str(row[card_column]), key)
    except CardNumberError as error:
        return Refused(str(error))
    present = {name: row[columns.get(name, name)] for name in FIELDS if columns.get(name, name) in row}
    try:
        fields = {name: _typed(name, value) for name, value in present.items()} | {"card_id": card_id}
        payload = json.dumps(fields, allow_nan=False).encode()
        _check(payload)
    except (codec.RejectedError, ValueError, TypeError) as error:
        return Refused(str(error) if isinstance(error, codec.RejectedError) else "a number is none")
    held = next((name for name, value in fields.items() if name != "card_id" and card_numbers_in(str(value))), None)
    return Refused(f"{held} holds a card number") if held else payload


def _typed(name: str, value: Any) -> Any:
    """CSV knows text only. Raises ValueError."""
    if not isinstance(value, str) or name not in READ:
        return value
    return int(value) if name == "event_time_ms" else float(value)
