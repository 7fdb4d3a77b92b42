"""What the user states about a file that is ambiguous, and the error that asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Literal

from schemas.privacy import card_numbers_in, is_card_number

NAMES_SHOWN_MAX = 30

MISSING = ("", "na", "n/a", "#n/a", "<na>", "null", "none", "nan", "nil", "-", "--", "?", ".", "\\n")
"""Words for nothing in a column of numbers or times, upper case or not. In a column of ids only an empty cell is nothing."""

DateOrder = Literal["dmy", "mdy", "ymd"]
TimeUnit = Literal["s", "ms", "us", "ns", "excel", "excel-1904"]
"""excel: days since the day that a spreadsheet counts from, 1899-12-30; excel-1904: since 1904-01-01, as old ones of macOS."""

UNIT_OF: dict[TimeUnit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


class TableError(ValueError):
    """A file or a mapping that cannot be used: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Answers to what a file leaves open; None: the file must say it.

    time_start: where bare numbers of a time count from, where that is not 1970; in seconds, or in `time_unit`. without: fields
    that the file is known not to have. yes, no: words of flags beside those that are known. part: of a Parquet file, from this
    row on and so many; by default all.
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    date_order: DateOrder | None = None
    time_unit: TimeUnit | None = None
    time_zone: str | None = None
    time_start: datetime | None = None
    without: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    part: tuple[int, int] | None = None


def shown(names: Sequence[str]) -> str:
    """Column names as a sentence may hold them: a file without a header has values there, perhaps card numbers."""
    safe = ["***" if is_card_number(name) or card_numbers_in(name) else name for name in names[:NAMES_SHOWN_MAX]]
    more = len(names) - len(safe)
    return ", ".join(safe) + (f" and {more} more" if more else "")


def nearest(name: str, columns: Sequence[str]) -> str | None:
    """The column whose name is most like `name`, if one is: upper case, spaces and underscores make no difference."""
    plain = {_plain(column): column for column in reversed(columns)}
    found = get_close_matches(_plain(name), plain, n=1, cutoff=0.75)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def value_kind(text: str) -> str:
    """What a value is, in words that do not repeat it."""
    if is_card_number(text) or card_numbers_in(text):
        return "a card number"
    if text.strip().lower() in MISSING:
        return "missing"
    if text.isascii() and text.strip().lstrip("+-").replace(".", "", 1).isdigit():
        return "a number"
    return "text"
