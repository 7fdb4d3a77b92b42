"""What a sample's records hold at each path: how often, in which types, how many different values, in which shapes."""

import ipaddress
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from models.discovery import vocabulary
from models.files.accents import without_accents
from schemas.paths import PARTS_MAX, Parts, parts, shown
from schemas.privacy import is_card_number

COLUMNS_MAX = 1_000
"""Paths that are looked at; records with more hold a map whose names are values."""

CARD_NUMBERS_SHARE = 0.5
"""From this share on a column is one of card numbers; 16 random digits have a right check digit in one of ten."""

CATEGORY_VALUES_MAX = 50
_OF_NUMBERS = frozenset("0123456789+-.,eE")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_SPACES = " \u00a0\u202f'"
_FORMS = {
    form: (re.compile(rf"[+-]?(\d{{1,3}}([{apart}]\d{{3}})+|\d+)(\{point}\d+)?"), re.compile(sure))
    for form, apart, point, sure in (
        ("$1,234.50", ",", ".", r".*,.*[.,].*"),
        ("1.234,50", ".", ",", r".*,(\d{1,2}|\d{4,})|.*\..*[.,].*"),
        ("1 234.50", _SPACES, ".", r".*\..*"),
        ("1 234,50", _SPACES, ",", r".*,(\d{1,2}|\d{4,})"),
    )
}
"""Numbers with thousands apart: what all are like, and one at least. The comma of 12,345 may be either; 030 123 456 is none."""
_DROPPED_MAX = 4
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHAPES = str.maketrans(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "9" * 10 + "a" * 26 + "A" * 26
)
_SHAPE_MAX = 24


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case and without accents.

    >>> words_of("merchantId"), words_of("TX_FRAUD"), words_of("Is Fraud?"), words_of("Empfänger")
    (['merchant', 'id'], ['tx', 'fraud'], ['is', 'fraud'], ['empfanger'])
    """
    return [word.lower() for word in _WORD.findall(without_accents(name))]


@dataclass(slots=True)
class _Raw:
    values: list[Any] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """The values of one path. rows: which records have one that is not null. records: how many were looked at."""

    path: str
    values: Sequence[Any]
    rows: Sequence[int]
    records: int

    @cached_property
    def words(self) -> list[str]:
        """Of the path's last name."""
        return words_of(str(next(part for part in reversed(parts(self.path)) if isinstance(part, str))))

    @cached_property
    def all_words(self) -> set[str]:
        """Of the whole path."""
        return {word for part in parts(self.path) if isinstance(part, str) for word in words_of(part)}

    @cached_property
    def held(self) -> list[Any]:
        """The values, empty texts left out."""
        return [value for value in self.values if value != ""]

    @cached_property
    def texts(self) -> list[str]:
        """The values that are texts, not empty ones."""
        return [value for value in self.held if isinstance(value, str)]

    @cached_property
    def as_text(self) -> list[str]:
        """Each value as an id is read."""
        return [value if isinstance(value, str) else str(value) for value in self.held if type(value) in (str, int)]

    @cached_property
    def written(self) -> Mapping[str, str]:
        """How its texts write numbers, as a spec says it: `drop` and `decimal`. Empty where as JSON does, or not at all."""
        others = "".join(sorted(set("".join(self.texts)) - _OF_NUMBERS))
        if not self.texts or len(others) > _DROPPED_MAX or not all(map(_beside_a_number, others)):
            return {}
        drop = {"drop": others} if others else {}
        signs = "".join(character for character in others if character not in _SPACES)
        bare = [_without(text, signs).strip(_SPACES) for text in self.texts]
        if all(map(_NUMBER.fullmatch, bare)):
            return drop
        for form, (every, some) in _FORMS.items():
            if all(map(every.fullmatch, bare)) and any(map(some.fullmatch, bare)):
                commas = {"decimal": "comma"} if form.endswith(",50") else {}
                return {"drop": f"{others},"} if form == "$1,234.50" else {**commas, **drop}
        return {}

    @cached_property
    def numbers(self) -> list[float]:
        """Values that are numbers, or decimal numbers as text."""
        return [number for number in map(self.number, self.held) if number is not None]

    def number(self, value: Any) -> float | None:
        """One of its values as a number; None where it is none."""
        if isinstance(value, str) and self.written:
            value = _without(value, self.written.get("drop", ""))
            if "decimal" in self.written:
                value = value.replace(".", "").replace(",", ".")
        if type(value) in (int, float) or (isinstance(value, str) and len(value) <= 40 and _NUMBER.fullmatch(value)):
            number = float(value)
            return number if math.isfinite(number) else None
        return None

    @cached_property
    def counts(self) -> Counter[Any]:
        """How often each value is there."""
        return Counter(_countable(value) for value in self.held)

    @cached_property
    def kinds(self) -> Counter[str]:
        """Types of the values."""
        return Counter(_kind(value) for value in self.values)

    @property
    def null_share(self) -> float:
        """Of the records: absent, null or an empty text."""
        return 1 - len(self.held) / self.records

    @property
    def is_number(self) -> bool:
        """Whether every value is a number, or a decimal number as text."""
        return bool(self.held) and len(self.numbers) == len(self.held)

    @property
    def is_whole(self) -> bool:
        """Whether every value is a whole number, no decimal point written."""
        return bool(self.held) and all(
            type(value) is int or (isinstance(value, str) and value.lstrip("+-").isdigit()) for value in self.held
        )

    @property
    def is_bool(self) -> bool:
        """Whether every value is true or false, as text too."""
        return bool(self.held) and all(
            isinstance(value, bool) or (isinstance(value, str) and value in ("true", "false")) for value in self.held
        )

    @property
    def is_text(self) -> bool:
        """Whether every value can be an id: a text or a whole number."""
        return bool(self.held) and len(self.as_text) == len(self.held)

    @property
    def is_scalar(self) -> bool:
        """Whether no value is an object or a list."""
        return not self.kinds.keys() & {"object", "list"}

    @cached_property
    def is_ip(self) -> bool:
        """Whether every value is an internet address."""
        return bool(self.texts) and len(self.texts) == len(self.held) and all(map(_address, self.counts))

    @cached_property
    def card_number_share(self) -> float:
        """Of the values: what looks like a card number."""
        held = self.as_text
        numbers = {value for value in set(held) if is_card_number(value)} if held else set()
        return sum(value in numbers for value in held) / len(held) if held else 0.0

    @property
    def holds_card_numbers(self) -> bool:
        """Whether it is a column of card numbers."""
        return self.card_number_share >= CARD_NUMBERS_SHARE

    @property
    def personal(self) -> bool:
        """Whether its name says that it is about a person."""
        words = set(self.words)
        named = (
            words <= vocabulary.NAMES
            and words & {"name", "first", "last"}
            and not self.all_words & vocabulary.COUNTERPARTY
        )
        return bool(vocabulary.PERSONAL & words or named)

    @property
    def names_things(self) -> bool:
        """Whether its values are someone's or something's own, and are not to be shown."""
        return self.personal or bool(vocabulary.NAMING & set(self.words)) or self.card_number_share > 0

    @property
    def is_category(self) -> bool:
        """Whether it has a few values, each of them often."""
        values = len(self.counts)
        return self.is_text and 1 < values <= min(CATEGORY_VALUES_MAX, max(3, len(self.held) // 5))

    @cached_property
    def showable(self) -> bool:
        """Whether its values may stand in a comment: few, short, no one's."""
        return (
            self.is_category
            and not self.names_things
            and all(len(str(value)) <= 32 and not re.search(r"\d{6}|@", str(value)) for value in self.counts)
        )

    def shape(self) -> str:
        """The most frequent shape of its values: every digit a 9, every letter an a or A."""
        shapes = Counter(re.sub(r"(.)\1{8,}", r"\1\1\1...", text.translate(_SHAPES)) for text in self.as_text)
        if not shapes:
            return ""
        safe = "".join(c if c.isascii() and c.isprintable() else "?" for c in shapes.most_common(1)[0][0])
        return safe if len(safe) <= _SHAPE_MAX else f"{safe[:_SHAPE_MAX]}..."


def joined_column(columns: Sequence[Column], separator: str = "/") -> Column:
    """The texts of several columns as one, of the records that have all of them; it goes by the last one's path."""
    held = [dict(zip(column.rows, column.values, strict=True)) for column in columns]
    rows = [row for row in held[0] if all(row in other for other in held)]
    values = [separator.join(str(other[row]) for other in held) for row in rows]
    return Column(columns[-1].path, values, rows, columns[0].records)


def columns_of(records: Sequence[Mapping[str, Any] | None]) -> tuple[dict[str, Column], list[str]]:
    """Each path's column, in the order of the first record that has it; and what was left out, in words."""
    raw: dict[Parts, _Raw] = {}
    notes: list[str] = []
    for row, record in enumerate(records):
        for found, value in _leaves(record or {}, ()):
            column = raw.get(found)
            if column is None:
                if len(raw) >= COLUMNS_MAX:
                    continue
                column = raw[found] = _Raw()
            if value is not None:
                column.values.append(value)
                column.rows.append(row)
    if len(raw) >= COLUMNS_MAX:
        notes.append(f"more than {COLUMNS_MAX:,} different fields: those beyond are not looked at")
    columns: dict[str, Column] = {}
    for found, column in raw.items():
        path = shown(found)
        try:
            readable = parts(path) == found
        except ValueError:
            readable = False
        if readable:
            columns[path] = Column(path, column.values, column.rows, len(records))
        else:
            notes.append("a field's name that no path can write (quotes, or $ at its beginning): left out")
    return columns, list(dict.fromkeys(notes))


def _leaves(value: Any, found: Parts) -> Iterator[tuple[Parts, Any]]:
    """Values that are neither objects nor lists; of a list the first element, and the list itself."""
    if isinstance(value, dict) and value and len(found) < PARTS_MAX:
        for name, inner in value.items():
            yield from _leaves(inner, (*found, name))
    elif isinstance(value, list) and found:
        yield found, value
        if value and not isinstance(found[-1], int) and len(found) < PARTS_MAX:
            yield from _leaves(value[0], (*found, 0))
    elif found:
        yield found, value


def _beside_a_number(character: str) -> bool:
    """Whether it may stand beside a number, or in it, and says nothing: a currency's sign, a space between thousands."""
    return character in _SPACES or unicodedata.category(character) == "Sc"


def _without(text: str, drop: str) -> str:
    return text.translate(dict.fromkeys(map(ord, drop))) if drop else text


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, int):
        return "whole number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def _countable(value: Any) -> Any:
    return (
        repr(value) if isinstance(value, list | dict) else (_kind(value), value) if isinstance(value, bool) else value
    )


def _address(value: Any) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value
