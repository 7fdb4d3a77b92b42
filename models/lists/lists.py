"""All lists: by name and field, values, prefixes and ranges; asked by a policy's rules for a batch (`models.policy.Lists`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from models.lists.spans import Networks, NumberRanges
from models.lists.texts import GONE_MS, NEVER_MS, Filter, Hashes, Rows, TextSet, Times, hashes_of
from schemas.lists import ANY_FIELD, ListEntry

Values = Sequence[str | None] | NDArray[Any]

NO_ROWS: Rows = np.zeros(0, np.intp)

LISTS_MAX = 1_000
"""Lists and fields together: each has arrays of its own, from 64 KiB on."""
ENTRIES_MAX = 10_000_000
"""In all lists together, about 30 bytes each; one more is refused."""

SPANS_MAX = 100_000
"""Prefixes and ranges of a list and field: a change makes all their pieces again."""


class ListFullError(ValueError):
    """There is no room for the entry."""


@dataclass(slots=True)
class Fields:
    """What one list says of one field."""

    texts: TextSet = field(default_factory=TextSet)
    networks: Networks = field(default_factory=Networks)
    ranges: NumberRanges = field(default_factory=NumberRanges)

    @property
    def spans(self) -> int:
        """Prefixes and ranges."""
        return len(self.networks) + len(self.ranges)


class Lists:
    """Every list's entries. The same changes in the same order give the same answers."""

    def __init__(self) -> None:
        self._fields: dict[tuple[str, str], Fields] = {}
        self._entries = 0
        self._columns: dict[str, _Column] = {}
        self._filters: dict[str, Filter] = {}
        """By field, of the values of all its lists: most payments' values are on none, and end there."""
        self._changes = 0

    def __len__(self) -> int:
        """How many entries, those taken back lately among them."""
        return sum(len(fields.texts) + fields.spans for fields in self._fields.values())

    @property
    def bytes(self) -> int:
        """Of the values' arrays."""
        filters = sum(one.bytes for one in self._filters.values())
        return filters + sum(fields.texts.bytes for fields in self._fields.values())

    @property
    def names(self) -> set[str]:
        """The lists that have, or had, an entry."""
        return {name for name, _ in self._fields}

    def put(self, entry: ListEntry) -> None:
        """Add an entry, change its expiry or take it back. Raises ListFullError, ValueError."""
        expires_ms = NEVER_MS if entry.expires_at_ms is None else entry.expires_at_ms
        self._put(entry.list_name, entry.field, entry.kind, entry.value, GONE_MS if entry.removed else expires_ms)

    def put_values(self, entries: Sequence[ListEntry]) -> bool:
        """The same of many entries, in order, where all are values and there is room; False where one has to look at each."""
        if self._entries + len(entries) > ENTRIES_MAX or any(entry.kind != "value" for entry in entries):
            return False
        groups: dict[tuple[str, str], tuple[list[str], list[int]]] = {}
        for entry in entries:
            texts, expires_ms = groups.setdefault((entry.list_name, entry.field), ([], []))
            texts.append(entry.value)
            until_ms = NEVER_MS if entry.expires_at_ms is None else entry.expires_at_ms
            expires_ms.append(GONE_MS if entry.removed else until_ms)
        if len(self._fields.keys() | groups.keys()) > LISTS_MAX:
            return False
        for group, (texts, expires_ms) in groups.items():
            held = self._fields.setdefault(group, Fields()).texts
            before = len(held)
            held.put_many(texts, expires_ms)
            self._entries += len(held) - before
            self._filtered(group[1], texts)
        return True

    def remove(self, list_name: str, field_name: str, kind: str, value: str) -> None:
        """Take an entry back. Raises ValueError."""
        self._put(list_name, field_name, kind, value, GONE_MS)

    def _put(self, list_name: str, field_name: str, kind: str, value: str, expires_ms: int) -> None:
        fields = self._fields.get((list_name, field_name))
        if fields is None:
            if expires_ms == GONE_MS:
                return
            if len(self._fields) >= LISTS_MAX:
                raise ListFullError(f"there are {LISTS_MAX:,} lists and fields already")
            fields = self._fields[list_name, field_name] = Fields()
        if expires_ms != GONE_MS:
            self._check_room(fields, kind)
        if kind == "value":
            before = len(fields.texts)
            fields.texts.put(value, expires_ms)
            self._entries += len(fields.texts) - before
            self._filtered(field_name, [value])
        elif kind == "network":
            fields.networks.put(value, expires_ms)
        else:
            fields.ranges.put(value, expires_ms)

    def _filtered(self, field_name: str, texts: Sequence[str]) -> None:
        """The field's filter lets these texts pass."""
        self._changes += 1
        held = self._filters.get(field_name)
        if held is not None:
            held.add(hashes_of(texts))
        if held is None or held.full:
            sets = [fields.texts.hashes for (_, name), fields in self._fields.items() if name == field_name]
            self._filters[field_name] = Filter(np.concatenate(sets))

    def _check_room(self, fields: Fields, kind: str) -> None:
        if kind == "value" and self._entries >= ENTRIES_MAX:
            raise ListFullError(f"lists hold {ENTRIES_MAX:,} entries already")
        if kind != "value" and fields.spans >= SPANS_MAX:
            raise ListFullError(f"the list holds {SPANS_MAX:,} prefixes and ranges already")

    def contains(self, list_name: str, column_name: str, values: Values, event_time_ms: Times) -> NDArray[np.bool_]:
        """bool[n]: whether each value is on the list, of this field or of any, and had not expired when its event happened.

        values: of a column of text, None where there is none; or of numbers, NaN where there is none. An unknown list holds
        nothing. A column that several rules look up is hashed once, where they pass the same object.
        """
        found = []
        for field_name in (column_name, ANY_FIELD):
            fields = self._fields.get((list_name, field_name))
            if fields is not None:
                column = self._column(column_name, values)
                rows = column.passing(field_name, self._filters, self._changes) if len(fields.texts) else NO_ROWS
                found.append(column.on(fields, event_time_ms, rows))
        if len(found) == 1:
            return found[0]
        return found[0] | found[1] if found else np.zeros(len(event_time_ms), np.bool_)

    def _column(self, name: str, values: Values) -> "_Column":
        column = self._columns.get(name)
        if column is None or column.given is not values:
            column = self._columns[name] = _Column(values)
        return column


class _Column:
    """A column's values in the forms that lists need, each made once."""

    def __init__(self, values: Values) -> None:
        self.given = values
        self.numbers: NDArray[np.float64] | None = None
        texts: list[str | None]
        if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
            self.numbers = values.astype(np.float64)
            texts = [_number_text(number) for number in self.numbers.tolist()]
        else:
            texts = values.tolist() if isinstance(values, np.ndarray) else list(values)
        self._missing: NDArray[np.bool_] | None = None
        if not all(texts):  # far sooner found than whether some are missing, and seldom so
            missing = np.fromiter((text is None for text in texts), np.bool_, len(texts))
            self._missing = missing if missing.any() else None
        self._texts: Sequence[str] = (
            [text or "" for text in texts] if self._missing is not None else cast(list[str], texts)
        )
        self._hashes: Hashes | None = None
        self._passing: dict[str, tuple[int, Rows]] = {}

    @property
    def hashes(self) -> Hashes:
        """Of the texts."""
        if self._hashes is None:
            self._hashes = hashes_of(self._texts)
        return self._hashes

    def passing(self, field_name: str, filters: Mapping[str, Filter], changes: int) -> Rows:
        """Rows whose value may be on some list of a field. changes: of all lists, so far."""
        known = self._passing.get(field_name)
        if known is None or known[0] != changes:
            known = self._passing[field_name] = changes, filters[field_name].passing(self.hashes)
        return known[1]

    def on(self, fields: Fields, times_ms: Times, rows: Rows) -> NDArray[np.bool_]:
        """bool[n]: whether each is on the list. rows: those whose value may be."""
        found = np.zeros(len(times_ms), np.bool_)
        if len(rows):
            texts = [self._texts[row] for row in rows.tolist()]
            found[rows] = fields.texts.contains(texts, self.hashes[rows], times_ms[rows])
        if len(fields.ranges) and self.numbers is not None:
            found |= fields.ranges.contains(self.numbers, times_ms)
        if len(fields.networks) and self.numbers is None:
            found |= fields.networks.contains(self._texts, times_ms)
        if self._missing is not None:
            found &= ~self._missing
        return found


def _number_text(number: float) -> str | None:
    """A number as an entry writes it: without a point where it is whole."""
    if number != number:
        return None
    return str(int(number)) if number.is_integer() else repr(number)
