"""What conditions may read: the event's own fields, its attributes, the features and the scores, each with its type."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.feature_spec import FeatureSpec
from schemas.policy import Judges
from schemas.source_spec import (
    BaseAttribute,
    FlagAttribute,
    GeoAttribute,
    NumberAttribute,
    SourceSpec,
    TimeAttribute,
)

Kind = Literal["number", "text", "boolean"]
Group = Literal["event", "attribute", "feature", "score"]

SCORES = ("probability", "anomaly_percentile")
OWN_TEXTS = {
    "event_id": "id",
    "transaction_id": "id",
    "subject": "subject",
    "card_id": "subject",
    "counterparty": "counterparty",
    "terminal_id": "counterparty",
    "currency": "currency",
    "mcc": "mcc",
    "country": "country",
    "channel": "channel",
}
OWN_NUMBERS = {"amount": "amount", "event_time_ms": "time"}
GROUPS: tuple[Group, ...] = ("event", "attribute", "feature", "score")


@dataclass(frozen=True, slots=True)
class Column:
    """One name. column: what `Events` calls it, or the feature's place; nullable: whether events may lack it."""

    name: str
    group: Group
    kind: Kind
    column: str | int
    nullable: bool = False


class Known:
    """Names and what they stand for."""

    def __init__(self, columns: Iterable[Column], judges: Judges = "payments") -> None:
        """judges: what the events are."""
        self.judges = judges
        self._by_group: dict[Group, dict[str, Column]] = {group: {} for group in GROUPS}
        for column in columns:
            self._by_group[column.group][column.name] = column

    def find(self, name: str, group: str | None = None) -> Column | None:
        """What a name stands for. A plain name is the event's, else an attribute's, a score's, a feature's."""
        if group is not None:
            place = f"{group}.{name}"
            if place in self._by_group["attribute"]:
                return self._by_group["attribute"][place]
            return self._by_group[group].get(name) if group in self._by_group else None
        for one in ("event", "attribute", "score", "feature"):
            found = self._by_group[one].get(name)
            if found is not None:
                return found
        return None

    def clash(self, name: str) -> tuple[Group, Group] | None:
        """Two groups between which a plain name is not decided: an attribute's and a score's or a feature's."""
        held = [group for group in ("attribute", "score", "feature") if name in self._by_group[group]]
        if name in self._by_group["event"] or len(held) < 2:
            return None
        return held[0], held[1]  # type: ignore[return-value]

    def columns(self) -> Iterator[Column]:
        """All of them."""
        for columns in self._by_group.values():
            yield from columns.values()

    def names(self) -> list[str]:
        """Every plain name, once."""
        return list(dict.fromkeys(column.name for column in self.columns()))

    def nearest(self, name: str) -> str | None:
        """The known name that is most like this one."""
        near = difflib.get_close_matches(name.lower(), self.names(), n=1, cutoff=0.6)
        return near[0] if near else None


def known_columns(source: SourceSpec, spec: FeatureSpec) -> Known:
    """What a policy beside a bundle of these may read."""
    return Known((*_own(source), *_attributes(source), *feature_columns(spec), *score_columns()))


def _own(source: SourceSpec) -> Iterator[Column]:
    event = source.event
    for name, field in OWN_TEXTS.items():
        given = getattr(event, field)
        if given is not None:
            required = field in ("id", "subject") or getattr(given, "required", False)
            yield Column(name, "event", "text", field, nullable=not required)
    for name, field in OWN_NUMBERS.items():
        yield Column(name, "event", "number", field)


def _attributes(source: SourceSpec) -> Iterator[Column]:
    for name, attribute in source.attributes.items():
        missing = not attribute.required
        if isinstance(attribute, GeoAttribute):
            for side in ("latitude", "longitude"):
                yield Column(f"{name}.{side}", "attribute", "number", f"{name}.{side}", missing)
        else:
            yield Column(name, "attribute", _kind(attribute), name, missing)


def _kind(attribute: BaseAttribute) -> Kind:
    if isinstance(attribute, FlagAttribute):
        return "boolean"
    return "number" if isinstance(attribute, NumberAttribute | TimeAttribute) else "text"


def feature_columns(spec: FeatureSpec) -> Iterator[Column]:
    """Of the features."""
    for place, name in enumerate(spec.names):
        yield Column(name, "feature", "number", place)


def score_columns() -> Iterator[Column]:
    """Of the scores."""
    for name in SCORES:
        yield Column(name, "score", "number", name)
