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
from schemas.derived import Currencies
from schemas.located import Located, Moment
from schemas.source_spec import (
    AmountField,
    EventFields,
    FlagAttribute,
    GeoAttribute,
    NumberAttribute,
    SourceSpec,
)

LEARNT_MAX = 16
"""So often the types to try first are chosen."""

Row = Any
"""One event as msgspec decodes it; only the parser that made it reads it."""


class EventParser:
    """Parses and validates events. Keeps between calls which types of JSON to try first, on which no result depends."""

    def __init__(self, source: SourceSpec, currencies: Currencies | None = None) -> None:
        """currencies: an event in any other is refused. Raises SourceSpecError where the spec reads one value in two ways."""
        self.source, self._currencies = source, currencies
        self._reading = _Reading(source, currencies)
        # open types cost several times as much to check, and a stream nearly always has one type for each field
        self._learnt = 0
        self._first: _Reading | None = None
        self._learn(lambda path: None)
        self._meant = select.selector(source.select) if source.select else None
        self.texts = tuple(
            name for name, field in self._reading.fields.items() if field.text and name in source.attributes
        )
        """Names of the attributes that are texts."""
        self.attributes = tuple(name for name in self._reading.fields if name.partition(".")[0] in source.attributes)
        """Names of the attributes' columns."""

    @property
    def selects(self) -> bool:
        """Whether some records may not be meant."""
        return self._meant is not None

    def meant(self, payload: bytes) -> bool:
        """Whether a record is an event at all. Raises RejectedError's kinds where that cannot be known."""
        return self._meant is None or self._meant(payload)

    def row(self, payload: bytes) -> Row:
        """One event. Raises RejectedError's kinds, in words that are safe to log."""
        return self._reading.row(payload)

    def batch(self, payloads: Sequence[bytes]) -> Events | None:
        """Many events; None where one of them would be refused."""
        events = self._first.batch(payloads) if self._first else None
        if events is None:
            events = self._reading.batch(payloads)
            if events and self._first and self._learnt < LEARNT_MAX:
                self._learn(events.first)
        return events

    def events(self, rows: Sequence[Row]) -> Events:
        """Rows as columns. Raises SchemaError where a value is not what the spec asks for."""
        return self._reading.events(rows)

    def _learn(self, seen: Callable[[str], Any]) -> None:
        """Try the types that one event has first."""
        self._learnt += 1
        pinned = with_types(self.source, seen)
        self._first = None if pinned == self.source else _Reading(pinned, self._currencies)


class _Reading:
    """A spec as types and columns."""

    def __init__(self, source: SourceSpec, currencies: Currencies | None) -> None:
        self.fields = {field.name: field for field in _fields(source, currencies)}
        self._amount = source.event.amount
        negative = self._amount.negative_where
        leaves = [leaf for field in self.fields.values() for leaf in field.leaves]
        leaves += [Leaf(path, COMPARED, False) for path in (negative.paths() if negative else ())]
        try:
            shape = Shape(leaves)
        except ValueError as error:
            raise SourceSpecError(f"The source spec of {source.topic}: {error}.") from None
        self._values = shape.values
        self._unchecked = [field for field in self.fields.values() if not field.checked]
        self._one, self._many = codec.native_decoder(shape.row), codec.native_batch_decoder(shape.row)
        self._negative = _Negative(negative) if negative else None

    def row(self, payload: bytes) -> Row:
        """As `EventParser.row`."""
        row = self._one(payload)
        if self._unchecked:
            self.events([row])
        return row

    def batch(self, payloads: Sequence[bytes]) -> Events | None:
        """As `EventParser.batch`."""
        rows = self._many(payloads)
        if rows is None:
            return None
        try:
            return self.events(rows)
        except codec.RejectedError:
            return None

    def events(self, rows: Sequence[Row]) -> Events:
        """As `EventParser.events`."""
        values = self._values(rows)
        made = {field.name: field.make(values) for field in self._unchecked}
        if self._negative is not None:
            made["amount"] = self._negative.turned(made["amount"], values)
        if "amount" in made:
            check_bounds(made["amount"], self._amount.path, (self._amount.at_least, self._amount.at_most))
        return Events(rows, self.fields, values, made)


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


def with_types(source: SourceSpec, seen: Callable[[str], Any]) -> SourceSpec:
    """The spec with one type of JSON wherever it takes any: that of the value seen at a path, else the usual one."""

    def pinned(field: Any) -> Any:
        if getattr(field, "written", None) != "any" or (isinstance(field, Located) and field.path is None):
            return field
        path = field.latitude if isinstance(field, GeoAttribute) else field.path
        found = seen(path) if path else None
        if isinstance(found, bool):
            return field.model_copy(update={"written": "boolean"})
        if found is not None:
            return field.model_copy(update={"written": "string" if isinstance(found, str) else "number"})
        numeric = isinstance(field, AmountField | NumberAttribute | GeoAttribute)
        kind = "number" if numeric or (isinstance(field, Moment) and field.unit) else "string"
        if isinstance(field, FlagAttribute):
            kind = "any" if field.yes else "boolean"
        return field.model_copy(update={"written": kind})

    event = {name: pinned(getattr(source.event, name)) for name in EventFields.model_fields}
    attributes = {name: pinned(attribute) for name, attribute in source.attributes.items()}
    return source.model_copy(update={"event": source.event.model_copy(update=event), "attributes": attributes})


def _fields(source: SourceSpec, currencies: Currencies | None) -> list[Field]:
    event = source.event
    fields = [id_field("id", event.id), time_field(event.time), id_field("subject", event.subject)]
    fields += [id_field("counterparty", event.counterparty) if event.counterparty else _nothing("counterparty")]
    fields += [amount_field(event.amount, event.currency)]
    fields += [currency_field(event.currency, currencies) if event.currency else _nothing("currency")]
    for name in ("mcc", "country", "channel"):
        field = getattr(event, name)
        fields.append(text_field(name, field) if field else _nothing(name))
    for name, attribute in source.attributes.items():
        fields += attribute_fields(name, attribute)
    return fields


def _nothing(name: str) -> Field:
    return Field(name, (), lambda values: [None] * len(values), checked=True)
