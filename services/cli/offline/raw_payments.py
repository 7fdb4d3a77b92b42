"""Payments as they are before pseudonyms: lines with card numbers, made into transactions or refused without a word of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from models.files.options import ReadOptions
from models.files.text import TextTable
from schemas import codec
from schemas.privacy import CardNumberError, PrivacyKey, card_numbers_in, pseudonym
from schemas.transaction import Transaction

FIELDS = tuple(Transaction.model_fields)

_check = codec.decoder(Transaction)


class Refused(NamedTuple):
    """Why a line is not written, in words that hold nothing of it."""

    why: str


def rows(lines: IO[str], form: str) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    """Number, from 1, and content of each line. form: csv, with a header, or jsonl. Raises TableError."""
    if form == "csv":
        table = TextTable(Path("The payments"), lines, ReadOptions(), "utf-8")
        for number, row in table.rows():
            if len(row) != len(table.columns):
                yield number, Refused("the row has more or fewer fields than the header")
            elif any(not cell.isascii() and not _is_utf8(cell) for cell in row):
                yield number, Refused("it is not UTF-8; convert the file first")
            else:
                yield number, {name: value for name, value in zip(table.columns, row, strict=True) if value}
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _object(line)


def _is_utf8(text: str) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


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
