"""The event that intake writes, JSON under names of our own, whatever the user's layout; and the spec that reads it back.

`EventWriter` and `events_spec` are two halves of one format: what the user's spec reads from a record, the derived spec reads
from the event that is made of it, bit for bit. Numbers are written as the shortest decimals that are the same double, times in
ms, flags as true and false; what is missing is left out. So an event does not change where the user renames a field.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from models.sources.events import Events
from models.sources.parser import EventParser
from schemas import codec
from schemas.located import IdField, OptionalIdField, TimeField
from schemas.source_spec import (
    AmountField,
    Attribute,
    CurrencyField,
    EventFields,
    FlagAttribute,
    GeoAttribute,
    NumberAttribute,
    SourceSpec,
    TimeAttribute,
)
from schemas.topics import EVENTS

TEXTS = ("mcc", "country", "channel")
SIDES = ("latitude", "longitude")


def in_log(source: SourceSpec | None) -> SourceSpec | None:
    """The spec by which the scorer reads its topic: the user's own, or the derived one where intake is between."""
    return events_spec(source) if source is not None and source.is_routed else source


def events_spec(source: SourceSpec) -> SourceSpec:
    """The spec of the events that intake makes of a source. Pure; of a derived spec it is the same again."""
    event = source.event
    fields = EventFields(
        id=IdField(path="id", written="string"),
        time=TimeField(path="time", unit="ms", written="number"),
        subject=IdField(path="subject", written="string"),
        counterparty=event.counterparty
        and OptionalIdField(path="counterparty", written="string", required=event.counterparty.required),
        amount=AmountField(
            path="amount", written="number", at_least=event.amount.at_least, at_most=event.amount.at_most
        ),
        currency=event.currency
        and CurrencyField(
            path="currency", written="string", required=event.currency.required or event.currency.fixed is not None
        ),
        **{
            name: field and field.model_copy(update={"path": name, "written": "string"})
            for name in TEXTS
            for field in (getattr(event, name),)
        },
    )
    attributes = {name: _flat(name, attribute) for name, attribute in source.attributes.items()}
    return SourceSpec(version=1, topic=EVENTS.name, routed=True, event=fields, attributes=attributes)


def _flat(name: str, attribute: Attribute) -> Attribute:
    """An attribute as an event of ours has it."""
    if isinstance(attribute, GeoAttribute):
        latitude, longitude = (f'["{name}.{side}"]' for side in SIDES)
        return attribute.model_copy(update={"latitude": latitude, "longitude": longitude, "written": "number"})
    changes: dict[str, Any] = {"path": name, "written": "string"}
    if isinstance(attribute, NumberAttribute):
        changes |= {"written": "number", "scale": 0, "decimal": "point", "drop": None}
    elif isinstance(attribute, FlagAttribute):
        changes |= {"written": "boolean", "yes": None, "no": None}
    elif isinstance(attribute, TimeAttribute):
        changes |= {"written": "number", "unit": "ms", "start": None, "format": None, "time_zone": None}
    return attribute.model_copy(update=changes)


class EventWriter:
    """Encodes events, many at once, column by column."""

    def __init__(self, parser: EventParser) -> None:
        """parser: of the user's source."""
        source = parser.source
        own = [name for name in EventFields.model_fields if getattr(source.event, name) is not None]
        self._cells: dict[str, Callable[[Any], list[Any]]] = dict.fromkeys(own, _as_given)
        self._cells |= {name: _cells_of(source.attributes[name.partition(".")[0]]) for name in parser.attributes}
        self._cells |= {"time": np.ndarray.tolist, "amount": np.ndarray.tolist}
        fields: list[Any] = [(f"f{number}", Any, None) for number in range(len(self._cells))]
        rename = {f"f{number}": name for number, name in enumerate(self._cells)}
        self._row = msgspec.defstruct("Event", fields, rename=rename, omit_defaults=True, frozen=True, gc=False)

    def encode(self, events: Events) -> list[bytes]:
        """Each event's JSON, in their order."""
        columns = [cells(events.column(name)) for name, cells in self._cells.items()]
        return list(map(codec.encode, map(self._row, *columns)))


def _cells_of(attribute: Attribute) -> Callable[[Any], list[Any]]:
    if isinstance(attribute, NumberAttribute | GeoAttribute):
        return _numbers
    if isinstance(attribute, FlagAttribute):
        return lambda column: [None if value != value else value == 1.0 for value in column.tolist()]
    if isinstance(attribute, TimeAttribute):
        return lambda column: [None if value != value else int(value) for value in column.tolist()]
    return _as_given


def _as_given(column: Sequence[str | None]) -> list[str | None]:
    return list(column)


def _numbers(column: Any) -> list[float | None]:
    values: list[float | None] = column.tolist()
    return [None if value != value else value for value in values] if np.isnan(column).any() else values
