"""What every feature has, and durations and numbers in words."""

import math
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Part

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNIT_WORDS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}

Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$", max_length=16)]
"""A whole number and a unit: 30s, 10m, 24h, 7d."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", max_length=64)]
Transform = Literal["none", "log1p"]
IdField = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", max_length=64)]
"""What names something: whose history may be kept, and what may be counted once each. One of ID_FIELDS, or an attribute."""

ID_FIELDS = ("card_id", "terminal_id", "currency", "mcc", "country", "channel")
"""The payment's own: subject, counterparty, and what else every source may have."""


def duration_ms(duration: str) -> int:
    """Milliseconds in a `Duration`."""
    return int(duration[:-1]) * UNIT_MS[duration[-1]]


def duration_words(duration: str) -> str:
    """A `Duration` in words: `10 minutes`, `hour`."""
    number, unit = duration[:-1], UNIT_WORDS[duration[-1]]
    return unit if number == "1" else f"{number} {unit}s"


def seconds_words(seconds: float) -> str:
    """Seconds in their two largest units: `2 h 5 min`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    parts = [(days, "d"), (hour, "h"), (minute, "min"), (second, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number) or "0 s"


def number_words(value: float) -> str:
    """At most two decimals, thousands apart."""
    text = f"{value:,.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class BaseFeature(Part):
    """What every feature has."""

    name: Name = Field(description="Column name, unique in the spec.")
    description: Annotated[str, Field(max_length=1_000)] | None = Field(
        None, description="The feature in words, as alert reasons quote it. Default: derived."
    )

    def words(self) -> str:
        """The feature in words."""
        return self.description or self._derived_words()

    def value_words(self, value: float) -> str:
        """A value of the feature, as the model reads it, in words for an analyst: its own unit, no logarithm."""
        return number_words(value)

    def _derived_words(self) -> str:
        raise NotImplementedError


class TransformedFeature(BaseFeature):
    """A feature whose value may be put on a logarithmic scale."""

    transform: Transform = Field("none", description="log1p: natural logarithm of 1 + value.")

    def value_words(self, value: float) -> str:
        """The value as it was before the transform."""
        return self._plain_words(value if self.transform == "none" else math.expm1(value))

    def _plain_words(self, value: float) -> str:
        return number_words(value)
