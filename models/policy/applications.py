"""What conditions read of credit applications: their attributes, each of the type that the bundle or the policy says.

An attribute of another type counts as missing, and its application is named: what could not be read is never passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features.attributes import NUMBER_MAX, Value, category
from models.policy.known import Column, Kind, Known, feature_columns, score_columns
from models.policy.program import Program
from schemas.application import Application
from schemas.feature_kinds.event import CategoryFeature, FlagFeature, MissingFeature
from schemas.feature_spec import FeatureSpec
from schemas.policy import Policy

OWN = {"application_id": "id", "applicant_id": "subject"}
PREFIX = "attribute."
"""Before an attribute's name, so that none is taken for one of our own."""


def known_attributes(spec: FeatureSpec, policy: Policy) -> Known:
    """What a policy beside a credit bundle of this spec may read."""
    return Known((*_own(), *_attributes(spec, policy), *feature_columns(spec), *score_columns()), "applications")


def _own() -> Iterator[Column]:
    for name, field in OWN.items():
        yield Column(name, "event", "text", field)
    yield Column("event_time_ms", "event", "number", "time")


def _attributes(spec: FeatureSpec, policy: Policy) -> Iterator[Column]:
    kinds: dict[str, Kind] = {}
    for feature in spec.features:
        if isinstance(feature, CategoryFeature):
            kind: Kind = "text"
        elif isinstance(feature, FlagFeature):
            kind = "boolean"
        elif isinstance(feature, MissingFeature):
            continue  # it reads whatever there is, and so says nothing of its type
        else:
            kind = "number"
        for name in getattr(feature, "attributes_read", ()):
            kinds.setdefault(name, kind)
    for name, kind in (kinds | policy.attributes).items():
        yield Column(name, "attribute", kind, f"{PREFIX}{name}", nullable=True)


class ApplicationColumns:
    """n applications as a program reads events."""

    def __init__(self, program: Program, applications: Sequence[Application]) -> None:
        """unread: by row, the attributes that conditions read and that are of another type."""
        self._applications = applications
        self.ids = [application.application_id for application in applications]
        self.time_ms: NDArray[np.int64] = np.array([a.event_time_ms for a in applications], np.int64)
        self.unread: dict[int, tuple[str, ...]] = {}
        self._columns: dict[str, Any] = {
            str(column.column): self._read(column.name, column.kind)
            for column in program.columns.values()
            if column.group == "attribute"
        }

    def column(self, name: str) -> Any:
        """A column by the name that `Column` has for it; of numbers, NaN where one is missing."""
        match name:
            case "id":
                return self.ids
            case "subject":
                return [application.applicant_id for application in self._applications]
            case "time":
                return self.time_ms
        return self._columns[name]

    def _read(self, name: str, kind: Kind) -> Any:
        values: list[Any] = []
        for row, application in enumerate(self._applications):
            given = application.attributes.get(name)
            value = None if given is None else _as(kind, given)
            if value is None and given is not None:
                self.unread[row] = (*self.unread.get(row, ()), name)
            values.append(value)
        if kind == "text":
            return values
        return np.array([np.nan if value is None else value for value in values], np.float64)


def _as(kind: Kind, value: Value) -> Any:
    """The value as a type, as features read it; None where it is of another."""
    if kind == "text":
        return None if value is None else category(value)
    if isinstance(value, str) or value is None or not abs(value) <= NUMBER_MAX:
        return None
    if kind == "boolean" and value not in (0.0, 1.0):
        return None
    return float(value)


def attribute_values(application: Mapping[str, Value]) -> Application:
    """An application that has nothing but its attributes, for files and examples."""
    return Application.model_construct(
        application_id="", event_time_ms=0, applicant_id="", attributes=dict(application)
    )
