"""Payments before pseudonyms: lines with card numbers, made into transactions or refused without quoting them."""

import json
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from models.files.text import TextTable, has_surrogate
from schemas import codec
from schemas.privacy import CardNumberError, PrivacyKey, card_numbers_in, pseudonym
from schemas.transaction import Transaction

FIELDS = tuple(Transaction.model_fields)

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
    if not isinstance(value, str) or name not in ("amount", "event_time_ms"):
        return value
    return int(value) if name == "event_time_ms" else float(value)
