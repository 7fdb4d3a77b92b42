"""The one parser of a source: from a record's bytes to events, as the source spec says. Made once, at the start."""

from collections.abc import Callable, Sequence
from typing import Any

from models.sources import select
from models.sources.events import Events
from models.sources.fields import (
    Field,
    amount_field,
    attribute_fields,
    currency_field,
    id_field,
    text_field,
    time_field,
)
from models.sources.shape import COMPARED, Leaf, Shape, Values
from models.sources.spec_file import SourceSpecError
from models.sources.values import check_bounds
from schemas import codec
from schemas.conditions import Condition
from schemas.source_spec import SourceSpec

Row = Any
"""One event as msgspec decodes it; only the parser that made it reads it."""


class EventParser:
    """Parses and validates events. Keeps nothing between calls."""

    def __init__(self, source: SourceSpec) -> None:
        """Raises SourceSpecError where the spec reads one value in two ways."""
        self.source = source
        self._fields = {field.name: field for field in _fields(source)}
        compared = [source.event.amount.negative_where] if source.event.amount.negative_where else []
        leaves = [leaf for field in self._fields.values() for leaf in field.leaves]
        leaves += [Leaf(path, COMPARED, False) for condition in compared for path in condition.paths()]
        try:
            self._shape = Shape(leaves)
        except ValueError as error:
            raise SourceSpecError(f"The source spec of {source.topic}: {error}.") from None
        self._unchecked = [field for field in self._fields.values() if not field.checked]
        self._one = codec.native_decoder(self._shape.row)
        self._many = codec.native_batch_decoder(self._shape.row)
        self._meant = select.selector(source.select) if source.select else None
        self._negative = _Negative(compared[0]) if compared else None
        self.texts = tuple(name for name, field in self._fields.items() if field.text and name in source.attributes)
        """Names of the attributes that are texts."""

    @property
    def selects(self) -> bool:
        """Whether some records may not be meant."""
        return self._meant is not None

    def meant(self, payload: bytes) -> bool:
        """Whether a record is an event at all. Raises RejectedError's kinds where that cannot be known."""
        return self._meant is None or self._meant(payload)

    def row(self, payload: bytes) -> Row:
        """One event. Raises RejectedError's kinds, in words that are safe to log."""
        row = self._one(payload)
        if self._unchecked:
            self.events([row])
        return row

    def batch(self, payloads: Sequence[bytes]) -> Events | None:
        """Many events; None where one of them would be refused."""
        rows = self._many(payloads)
        if rows is None:
            return None
        try:
            return self.events(rows)
        except codec.RejectedError:
            return None

    def events(self, rows: Sequence[Row]) -> Events:
        """Rows as columns. Raises SchemaError where a value is not what the spec asks for."""
        values = self._shape.values(rows)
        made = {field.name: field.make(values) for field in self._unchecked}
        if self._negative is not None:
            made["amount"] = self._negative.turned(made["amount"], values)
        amount = self.source.event.amount
        if "amount" in made:
            check_bounds(made["amount"], amount.path, (amount.at_least, amount.at_most))
        return Events(rows, self._fields, values, made)


class _Negative:
    """Turns the amounts of some events negative."""

    def __init__(self, condition: Condition) -> None:
        self._paths = list(dict.fromkeys(condition.paths()))
        self._holds: Callable[[select.Event], bool] = select.compiled(condition)

    def turned(self, amounts: Any, values: Values) -> Any:
        """The amounts with their signs."""
        for place, found in enumerate(zip(*(values[path] for path in self._paths), strict=True)):
            if self._holds(dict(zip(self._paths, found, strict=True))):
                amounts[place] = -amounts[place]
        return amounts


def _fields(source: SourceSpec) -> list[Field]:
    event = source.event
    fields = [id_field("id", event.id), time_field(event.time), id_field("subject", event.subject)]
    fields += [id_field("counterparty", event.counterparty) if event.counterparty else _nothing("counterparty")]
    fields += [amount_field(event.amount)]
    fields += [currency_field(event.currency) if event.currency else _nothing("currency")]
    for name in ("mcc", "country", "channel"):
        field = getattr(event, name)
        fields.append(text_field(name, field) if field else _nothing(name))
    for name, attribute in source.attributes.items():
        fields += attribute_fields(name, attribute)
    return fields


def _nothing(name: str) -> Field:
    return Field(name, (), lambda values: [None] * len(values), checked=True)
