"""Events as columns: what every stage behind the parser works on, whatever the source."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.index import Keys, keys_of
from models.sources.fields import Field
from models.sources.shape import Values

ALIASES = {"card_id": "subject", "terminal_id": "counterparty", "transaction_id": "id", "event_time_ms": "time"}
"""Names that outputs and feature specs have for the event's own fields."""


class Events:
    """n events in the order of the log. A column is made when it is asked for, and kept."""

    __slots__ = ("_fields", "_made", "_values", "_words", "rows")

    def __init__(
        self, rows: Sequence[Any], fields: Mapping[str, Field], values: Values, made: dict[str, Any] | None = None
    ) -> None:
        self.rows, self._fields, self._values, self._made = rows, fields, values, made or {}
        self._words: dict[str, Keys] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Any:
        """The column of a field or attribute: a list of texts, or an array. Raises KeyError for a name of none."""
        column = self._made.get(name)
        if column is None:
            name = ALIASES.get(name, name)
            column = self._made.get(name)
        if column is None:
            column = self._made[name] = self._fields[name].make(self._values)
        return column

    def words(self, name: str) -> Keys:
        """A column of ids of which none is missing, as `index.keys_of` has them: made once, and read by several stages."""
        words = self._words.get(name)
        if words is None:
            words = self._words[name] = keys_of(self.column(name))
        return words

    @property
    def ids(self) -> list[str]:
        """Of the events."""
        ids: list[str] = self.column("id")
        return ids

    @property
    def time_ms(self) -> NDArray[np.int64]:
        """int64[n], ms since 1970 UTC."""
        times: NDArray[np.int64] = self.column("time")
        return times

    @property
    def subjects(self) -> list[str]:
        """Whose events they are."""
        subjects: list[str] = self.column("subject")
        return subjects

    @property
    def counterparties(self) -> list[str | None]:
        """The other sides."""
        found: list[str | None] = self.column("counterparty")
        return found

    @property
    def amount(self) -> NDArray[np.float64]:
        """float64[n], in the currency's main unit; refunds are negative."""
        amounts: NDArray[np.float64] = self.column("amount")
        return amounts

    @property
    def currencies(self) -> list[str | None]:
        """ISO 4217 codes."""
        found: list[str | None] = self.column("currency")
        return found

    def first(self, path: str) -> Any:
        """What lies at a path in the first event."""
        return self._values[path][0]

    def take(self, places: Sequence[int]) -> "Events":
        """The events at these places."""
        rows = [self.rows[place] for place in places]
        made = {
            name: column[np.asarray(places, np.int64)]
            if isinstance(column, np.ndarray)
            else [column[place] for place in places]
            for name, column in self._made.items()
        }
        taken = Events(rows, self._fields, self._values.take(rows, places), made)
        taken._words = {name: words[np.asarray(places, np.int64)] for name, words in self._words.items()}
        return taken

    def columns(
        self,
        fields: Collection[str],
        arrived_ms: NDArray[np.int64] | None,
        numbers: Collection[str] = (),
        entities: NDArray[np.float32] | None = None,
    ) -> TransactionColumns:
        """As the fold takes them. fields, numbers: what it reads as texts and as numbers. arrived_ms: records' timestamps.

        entities: what is known of the events' entities, as `TransactionColumns` has it.
        """
        return TransactionColumns(
            ids={field: self.named(field) for field in fields},
            event_time_ms=self.time_ms,
            amount=self.amount,
            arrived_ms=arrived_ms,
            numbers={name: self.column(name) for name in numbers},
            entities=entities,
        )

    def named(self, field: str) -> list[str]:
        """A column of ids, NO_VALUE where there is none."""
        values = self.column(field)
        return values if all(values) else [value or NO_VALUE for value in values]
