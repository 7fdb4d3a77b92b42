"""Which features a model reads: declared, not programmed. Written in YAML, carried in a bundle's `manifest.json`.

Unlike a message, a spec with an unknown field is refused: whoever cannot compute all of it must not compute a part of it.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import Message

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNIT_WORDS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}

Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$")]
"""A whole number and a unit: 30s, 10m, 24h, 7d."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Transform = Literal["none", "log1p"]
Aggregation = Literal["count", "sum", "mean", "max", "std", "ratio"]

_WINDOW_WORDS: dict[Aggregation, str] = {
    "count": "payments of this {key} in the last {window}",
    "sum": "sum of this {key}'s {field}s in the last {window}",
    "mean": "mean {field} of this {key} in the last {window}",
    "max": "largest {field} of this {key} in the last {window}",
    "std": "spread (standard deviation) of this {key}'s {field}s in the last {window}",
    "ratio": "{field} relative to the mean of this {key} in the last {window}",
}
_CALENDAR_WORDS = {
    "hour": "local time of day, in hours",
    "is_night": "at night (local time before 07:00)",
    "is_weekend": "on a Saturday or Sunday (local time)",
}


def duration_ms(duration: str) -> int:
    """Milliseconds in a `Duration`."""
    return int(duration[:-1]) * UNIT_MS[duration[-1]]


def duration_words(duration: str) -> str:
    """A `Duration` in words: `10 minutes`, `hour`."""
    number, unit = duration[:-1], UNIT_WORDS[duration[-1]]
    return unit if number == "1" else f"{number} {unit}s"


class _Part(Message):
    """A piece of a spec: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class _Feature(_Part):
    """What every feature has."""

    name: Name = Field(description="Column name, unique in the spec.")
    description: str | None = Field(
        None, description="The feature in words, as alert reasons quote it. Default: derived."
    )

    def words(self) -> str:
        """The feature in words."""
        return self.description or self._derived_words()

    def _derived_words(self) -> str:
        raise NotImplementedError


class FieldFeature(_Feature):
    """A number of the payment itself."""

    kind: Literal["field"] = Field(description="A number of the payment itself.")
    field: Literal["amount"] = Field(description="Which one.")
    transform: Transform = Field("none", description="log1p: natural logarithm of 1 + value.")

    def _derived_words(self) -> str:
        return self.field if self.transform == "none" else f"{self.field} (logarithm)"


class CalendarFeature(_Feature):
    """What the local clock and calendar said."""

    kind: Literal["calendar"] = Field(description="Local clock and calendar.")
    part: Literal["hour", "is_night", "is_weekend"] = Field(
        description="hour: 0 to 24 with fractions; is_night: 1 from 00:00 to 06:59:59; is_weekend: 1 on Saturday and Sunday."
    )

    def _derived_words(self) -> str:
        return _CALENDAR_WORDS[self.part]


class SinceFeature(_Feature):
    """Seconds since the key's last or first payment."""

    kind: Literal["since"] = Field(description="Seconds since another payment of the same key.")
    key: Name = Field(description="Whose payments.")
    event: Literal["last", "first"] = Field(description="Since the last payment before, or the first one known.")
    at_most: Duration = Field(
        "30d", description="Larger values become this; so does `last` where there is none before."
    )
    transform: Transform = Field("none", description="log1p: natural logarithm of 1 + seconds.")

    @property
    def at_most_ms(self) -> int:
        """The cap in milliseconds."""
        return duration_ms(self.at_most)

    def _derived_words(self) -> str:
        suffix = "" if self.transform == "none" else " (logarithm)"
        return f"seconds since this {self.key}'s {self.event} payment{suffix}"


class WindowFeature(_Feature):
    """An aggregation over the key's payments in a window that ends with the present payment, which it includes."""

    kind: Literal["window"] = Field(
        description="An aggregation over the key's recent payments, the present one included."
    )
    key: Name = Field(description="Whose payments.")
    aggregation: Aggregation = Field(description="ratio: the present value divided by the window's mean.")
    window: Duration = Field(description="One of the spec's windows.")
    field: Literal["amount"] = Field("amount", description="Of which number; count needs none.")
    transform: Transform = Field("none", description="log1p: natural logarithm of 1 + value.")

    def _derived_words(self) -> str:
        words = _WINDOW_WORDS[self.aggregation].format(
            key=self.key, field=self.field, window=duration_words(self.window)
        )
        return words if self.transform == "none" else f"{words} (logarithm)"


Feature = Annotated[FieldFeature | CalendarFeature | SinceFeature | WindowFeature, Field(discriminator="kind")]


class Window(_Part):
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


class FeatureSpec(_Part):
    """Every input of a model, in order, and how history is kept for it."""

    version: Literal[1] = Field(description="Version of this format.")
    time_zone: str = Field("UTC", description="IANA time zone of the calendar features.")
    allowed_lateness: Duration = Field(
        "5m",
        description="A payment older than the newest one by more than this is scored, flagged late and not remembered.",
    )
    keys: dict[Name, Literal["card_id"]] = Field(
        min_length=1, max_length=1, description="Whose history is kept: a name and the field that holds the id."
    )
    windows: tuple[Window, ...] = Field((), description="The windows that features may name.")
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=512)] = Field(
        description="The inputs, in order."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "FeatureSpec":
        for path, problem in self._problems():
            raise PydanticCustomError("feature_spec", "{problem}", {"problem": problem, "path": list(path)})
        return self

    def _problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Where (path into the spec) and what is wrong, with the fix."""
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield (
                ("time_zone",),
                f"{self.time_zone!r} is not a known time zone; write an IANA name such as Europe/Paris",
            )
        yield from self._window_problems()
        declared = {window.duration for window in self.windows}
        names: set[str] = set()
        for index, feature in enumerate(self.features):
            path = ("features", index)
            if feature.name in names:
                yield (*path, "name"), f"the name {feature.name!r} is taken by an earlier feature; choose another"
            names.add(feature.name)
            if isinstance(feature, SinceFeature | WindowFeature) and feature.key not in self.keys:
                yield (
                    (*path, "key"),
                    f"{feature.key!r} is not one of the keys ({', '.join(self.keys)}); declare it under keys",
                )
            if isinstance(feature, WindowFeature) and feature.window not in declared:
                known = ", ".join(window.duration for window in self.windows) or "none"
                yield (
                    (*path, "window"),
                    f"{feature.window!r} is not one of the windows ({known}); declare it under windows",
                )

    def _window_problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
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

    def digest(self) -> str:
        """SHA-256 (hex) of the spec's canonical JSON: sorted keys, no spaces, fields at their defaults left out.

        So a later version of this schema that adds a field with a default gives an old spec its old digest.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
