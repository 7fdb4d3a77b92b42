"""Which features a model reads: declared, not programmed. Written in YAML, carried in a bundle's `manifest.json`.

Unlike a message, a spec with an unknown field is refused: code that cannot compute all of it must not compute a part of it.
"""

import hashlib
import json
import operator
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import Part
from schemas.derived import Currencies, DerivedId, Networks, NetworksFile
from schemas.feature_kinds.base import ID_FIELDS, UNIT_MS, Duration, IdField, Name, duration_ms
from schemas.feature_kinds.event import (
    ApplicationFeature,
    AttributeFeature,
    CalendarFeature,
    CategoryFeature,
    EventFeature,
    NetworkFeature,
)
from schemas.feature_kinds.history import (
    HistoryFeature,
    LabelsFeature,
    NoveltyFeature,
    PlaceFeature,
    ProfileFeature,
    SinceFeature,
    WindowFeature,
)
from schemas.times import time_zone_problem

PROFILE_DAYS = 60
"""So many days of each terminal are kept: a label delay and the longest window behind it must fit."""

Feature = Annotated[EventFeature | HistoryFeature, Field(discriminator="kind")]

ENTITY_ID = "entity__"
"""The field of an entity's id in the spec of its stage, where the entity is the key."""

KEYED = (SinceFeature, WindowFeature, LabelsFeature, NoveltyFeature, PlaceFeature)
"""Kinds that read a key's history."""

Problem = tuple[tuple[str | int, ...], str]
"""Where (path into the spec) and what is wrong, with the fix."""


class Window(Part):
    """A length of time and its resolution."""

    duration: Duration = Field(description="Its length, at most.")
    buckets: Annotated[int, Field(ge=1, le=1000)] = Field(
        description="Equal steps in which it moves: it covers between duration - duration/buckets and duration."
    )

    @property
    def duration_ms(self) -> int:
        """Length in milliseconds."""
        return duration_ms(self.duration)

    @property
    def bucket_ms(self) -> int:
        """Width of a bucket in milliseconds. Windows of the same bucket width share their memory."""
        return self.duration_ms // self.buckets


class Entity(Part):
    """What events of many subjects share, such as a device, an address or a payee: its history is the whole stream's."""

    id: IdField | Annotated[tuple[IdField, ...], Field(min_length=2, max_length=4)] = Field(
        description="The field that holds its id, or several that name it together. An event that lacks one has no such "
        "entity: its features are those of an entity that was never seen before, and nothing is remembered."
    )
    allowed_lateness: Duration | None = Field(
        None,
        description="As the spec's, which is the default, for events of this entity: their order is that in which the "
        "partitions of the input were read. An hour lets a stream that catches up forget nothing; it costs buckets.",
    )

    @property
    def fields(self) -> tuple[IdField, ...]:
        """The fields that name it."""
        return (self.id,) if isinstance(self.id, str) else self.id


class FeatureSpec(Part):
    """Every input of a model, in order, and how history is kept for it."""

    version: Literal[1] = Field(description="Version of this format.")
    time_zone: Annotated[str, Field(max_length=64)] = Field(
        "UTC", description="IANA time zone of the calendar features."
    )
    allowed_lateness: Duration = Field(
        "5m",
        description="A payment older than its card's newest one by more than this is scored, flagged late and not remembered.",
    )
    keys: dict[Name, IdField] = Field(
        {},
        max_length=8,
        description="Whose history is kept: a name and the field that holds the id. A history is one partition's: whole for "
        "the field that the input topic is keyed by (card_id), for others that of the partition's share.",
    )
    entities: dict[Name, Entity] = Field(
        {},
        exclude_if=operator.not_,
        max_length=8,
        description="Whose history over the whole stream is kept: a name, which features give as key, and what holds the id.",
    )
    label_delay: Duration = Field(
        "7d", description="Whole days after which the label of a payment is taken as known, by profile features."
    )
    windows: Annotated[tuple[Window, ...], Field(max_length=64)] = Field(
        (), description="The windows that features may name."
    )
    networks: Annotated[dict[Name, Networks | NetworksFile], Field(max_length=16)] = Field(
        {},
        exclude_if=operator.not_,
        description="Lists of networks that features may ask of addresses, by a name of yours.",
    )
    derived: Annotated[dict[Name, DerivedId], Field(max_length=16)] = Field(
        {},
        exclude_if=operator.not_,
        description="Further ids, made of attributes: keys, categories and novelty may name them.",
    )
    currencies: Currencies | None = Field(
        None, description="In which currency amounts are added. Needed where the source's events name theirs."
    )
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=512)] = Field(
        description="The inputs, in order."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "FeatureSpec":
        for path, problem in self._problems():
            raise PydanticCustomError("feature_spec", "{problem}", {"problem": problem, "path": list(path)})
        return self

    def _problems(self) -> Iterator[Problem]:
        if problem := time_zone_problem(self.time_zone):
            yield ("time_zone",), problem
        for key, field in self.keys.items():
            if field in ("amount", "event_time"):
                yield ("keys", key), f"{field} names no one; write {', '.join(ID_FIELDS)} or an id of the source spec"
        yield from self._entity_problems()
        yield from self._window_problems()
        if self.currencies is not None:
            yield from ((("currencies", field), problem) for field, problem in self.currencies.problems())
        names: set[str] = set()
        for index, feature in enumerate(self.features):
            path = ("features", index)
            if feature.name in names:
                yield (*path, "name"), f"the name {feature.name!r} is taken by an earlier feature; choose another"
            names.add(feature.name)
            if isinstance(feature, AttributeFeature):
                yield from (((*path, field), problem) for field, problem in feature.problems())
            known = {**self.keys, **self.entities}
            if isinstance(feature, KEYED) and feature.key not in known:
                yield (
                    (*path, "key"),
                    f"{feature.key!r} is not one of the keys ({', '.join(known) or 'none'}); "
                    "declare it under keys, or under entities",
                )
            if isinstance(feature, WindowFeature):
                yield from self._aggregation_problems(feature, path)
                yield from (((*path, field), problem) for field, problem in feature.problems())
            if isinstance(feature, NoveltyFeature):
                yield from (((*path, field), problem) for field, problem in feature.problems())
            if (
                isinstance(feature, NetworkFeature)
                and feature.networks is not None
                and feature.networks not in self.networks
            ):
                yield (*path, "networks"), f"{feature.networks!r} is not one of the networks; declare it under networks"
            if isinstance(feature, LabelsFeature):
                yield from self._labels_problems(feature, path)
            if isinstance(feature, ProfileFeature):
                yield from self._profile_problems(feature, path)

    def _entity_problems(self) -> Iterator[Problem]:
        for name, entity in self.entities.items():
            path = ("entities", name)
            if name in self.keys:
                yield path, f"{name} is the name of a key, too; choose another, or remove it from keys"
            for field in entity.fields:
                if field in ("amount", "event_time"):
                    yield (
                        (*path, "id"),
                        f"{field} names no one; write {', '.join(ID_FIELDS)} or an id of the source spec",
                    )
            if len(set(entity.fields)) < len(entity.fields):
                yield (*path, "id"), "a field is named twice; name each once"

    def _aggregation_problems(self, feature: WindowFeature, path: tuple[str | int, ...]) -> Iterator[Problem]:
        yield from self._undeclared(feature.window, path)
        if feature.aggregation == "distinct" and feature.of is None:
            yield (*path, "aggregation"), "distinct needs `of`, the id to count; add for example of: terminal_id"
        if feature.aggregation != "distinct" and feature.of is not None:
            yield (*path, "of"), f"{feature.aggregation} takes no `of`; remove it, or make the aggregation distinct"

    def _undeclared(self, window: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
        declared = [window.duration for window in self.windows]
        if window not in declared:
            known = ", ".join(declared) or "none"
            yield (*path, "window"), f"{window!r} is not one of the windows ({known}); declare it under windows"

    def _labels_problems(self, feature: LabelsFeature, path: tuple[str | int, ...]) -> Iterator[Problem]:
        if self.keys.get(feature.key, ENTITY_ID) != ENTITY_ID:
            known = ", ".join(self.entities) or "none"
            yield (
                (*path, "key"),
                f"labels are kept by entity ({known}), not by {feature.key}; declare it under entities",
            )
        yield from self._undeclared(feature.window, path)
        for window in self.windows:
            if window.duration == feature.window and duration_ms(feature.label_delay) % window.bucket_ms:
                yield (
                    (*path, "label_delay"),
                    f"{feature.label_delay} is not a number of whole buckets of {window.duration} in {window.buckets} buckets; "
                    "choose another delay, or another number of buckets",
                )

    def _profile_problems(self, feature: ProfileFeature, path: tuple[str | int, ...]) -> Iterator[Problem]:
        for where, duration in (((*path, "window"), feature.window), (("label_delay",), self.label_delay)):
            if duration_ms(duration) % UNIT_MS["d"]:
                yield where, f"{duration} is not a number of whole days; write for example 7d"
        if feature.window_days + self.label_delay_days > PROFILE_DAYS:
            yield (
                (*path, "window"),
                f"{feature.window} behind a label delay of {self.label_delay} reaches further back than the "
                f"{PROFILE_DAYS} days that are kept; shorten one",
            )

    def _window_problems(self) -> Iterator[Problem]:
        lengths: set[int] = set()
        for index, window in enumerate(self.windows):
            if window.duration_ms in lengths:
                yield ("windows", index, "duration"), f"a window of {window.duration} is declared twice; remove one"
            lengths.add(window.duration_ms)
            if window.duration_ms % window.buckets:
                yield (
                    ("windows", index, "buckets"),
                    f"{window.duration} does not divide into {window.buckets} buckets of whole milliseconds; choose a divisor",
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def descriptions(self) -> tuple[str, ...]:
        """The features in words, in order."""
        return tuple(feature.words() for feature in self.features)

    @property
    def lateness_ms(self) -> int:
        """Allowed lateness in milliseconds."""
        return duration_ms(self.allowed_lateness)

    @property
    def label_delay_days(self) -> int:
        """Days after which a label is taken as known."""
        return duration_ms(self.label_delay) // UNIT_MS["d"]

    @property
    def history_ms(self) -> int:
        """How far back in time the windows look, at most, in milliseconds; the allowed lateness included."""
        return max((window.duration_ms for window in self.windows), default=0) + self.lateness_ms

    @property
    def stages(self) -> tuple[str, ...]:
        """The entities that some feature reads, in the spec's order: an event passes them one after the other."""
        read = {getattr(feature, "key", None) for feature in self.features}
        return tuple(name for name in self.entities if name in read)

    @property
    def of_applications(self) -> bool:
        """Whether it can be of credit applications: it reads nothing but attributes, by kinds that these have."""
        return all(isinstance(feature, ApplicationFeature) for feature in self.features)

    @property
    def open_categories(self) -> tuple[str, ...]:
        """Categories whose values are still to be learnt: nothing can be computed before."""
        categories = (feature for feature in self.features if isinstance(feature, CategoryFeature))
        return tuple(feature.name for feature in categories if feature.is_open)

    @property
    def embedded(self) -> tuple[int, ...]:
        """Columns whose numbers only stand for values."""
        found = enumerate(self.features)
        return tuple(place for place, one in found if isinstance(one, CategoryFeature) and one.is_embedded)

    @property
    def profiled(self) -> bool:
        """Whether some feature reads the terminals' profiles."""
        return any(isinstance(feature, ProfileFeature) for feature in self.features)

    @property
    def labelled(self) -> tuple[str, ...]:
        """The entities of which some feature reads labels, in the spec's order."""
        read = {feature.key for feature in self.features if isinstance(feature, LabelsFeature)}
        return tuple(name for name in self.entities if name in read)

    @property
    def reads_labels(self) -> bool:
        """Whether some feature depends on which payments were frauds."""
        return self.profiled or bool(self.labelled)

    @property
    def weekly(self) -> tuple[str, ...]:
        """Features that say nothing but the day of the week."""
        calendar = (feature for feature in self.features if isinstance(feature, CalendarFeature))
        return tuple(feature.name for feature in calendar if feature.part == "is_weekend")

    def digest(self) -> str:
        """SHA-256 (hex) of the spec's canonical JSON: sorted keys, no spaces, fields at their defaults left out.

        So a later version of this schema that adds a field with a default gives an old spec its old digest.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
