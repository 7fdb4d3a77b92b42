"""How a source spec says where an id or a time of an event lies, and how it is written."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Part
from schemas.paths import ROW, Path
from schemas.times import time_zone_problem

TIME_CODES = {"Y", "m", "d", "H", "M", "S", "f", "z"}
ISO_8601 = "iso8601"

Written = Literal["any", "number", "string"]
"""In which type of JSON a value comes; any takes both."""

Unit = Literal["s", "ms", "us", "ns", "min", "h", "d"]
FROM_A_START = ("min", "h", "d")
"""Units in which no one counts from 1970."""

Joined = Annotated[tuple[Path, ...], Field(min_length=2, max_length=8)]
Separator = Annotated[str, Field(min_length=1, max_length=4)]

Problem = tuple[tuple[str | int, ...], str]
"""Where (path into the spec) and what is wrong, with the fix."""


class Located(Part):
    """A field that lies at one path, or is made of what lies at several."""

    path: Path | None = Field(None, description="Where it lies.")
    join: Joined | None = Field(None, description="In place of a path: several, whose texts are joined in this order.")
    written: Written = Field("any", description="In which type of JSON: string, number, or any.")

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it lies, in the order in which it is made of them."""
        return self.join or ((self.path,) if self.path is not None else ())

    @property
    def where(self) -> str:
        """The same in words."""
        return " with ".join(self.paths)

    def ways(self) -> int:
        """How many of the ways to find it are given: exactly one may be."""
        return (self.path is not None) + (self.join is not None)


class IdField(Located):
    """An id of the event: a text, or a whole number, which is read as its digits."""

    separator: Separator = Field(
        "/", description="Between what is joined; only the last part may hold it, so that no two ids become one."
    )
    row: bool = Field(
        False,
        description="In place of a path: the number of the row in its file, from 1. Records of a topic have none.",
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it lies; ROW for the row's number."""
        return (ROW,) if self.row else super().paths

    @property
    def where(self) -> str:
        """The same in words."""
        return "the row's number" if self.row else super().where

    def ways(self) -> int:
        """How many of the ways to find it are given."""
        return super().ways() + self.row


class OptionalIdField(IdField):
    """An id that an event may lack."""

    required: bool = Field(True, description="An event without one is a dead letter.")


class Moment(Part):
    """How a time is written."""

    unit: Unit | None = Field(None, description="Of a number since 1970 UTC, or since the start.")
    start: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="What numbers count from, in place of 1970: 2026-01-01T00:00:00Z."
    )
    format: Annotated[str, Field(min_length=2, max_length=64)] | None = Field(
        None, description="Of a text: iso8601, with its offset; or a pattern of %Y %m %d %H %M %S %f %z."
    )
    time_zone: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="IANA time zone of texts that name none: for patterns without %z."
    )

    def moment_problems(self) -> Iterator[Problem]:
        """What is wrong beyond types."""
        if (self.unit is None) == (self.format is None):
            yield (), "a time needs either unit (s, ms, us, ns since 1970) or format (iso8601 or a pattern); give one"
        elif self.start is not None and self.format is not None:
            yield ("start",), "only numbers count from a start; remove it, or give a unit in place of the format"
        elif self.start is not None and not _has_zone(self.start):
            yield ("start",), f"{self.start!r} is no time with its zone; write it as 2026-01-01T00:00:00Z"
        elif self.unit in FROM_A_START and self.start is None:
            yield ("unit",), "minutes, hours and days count from a start of their own; add start: 2026-01-01T00:00:00Z"
        elif self.format is None or self.format == ISO_8601:
            if self.time_zone is not None:
                yield ("time_zone",), "only patterns without %z take a time zone; remove it"
        else:
            yield from self._pattern_problems(self.format)

    def _pattern_problems(self, pattern: str) -> Iterator[Problem]:
        codes = re.findall(r"%(.)", pattern)
        unknown = [code for code in codes if code not in TIME_CODES]
        missing = [code for code in "Ymd" if code not in codes]
        if unknown or missing or len(set(codes)) != len(codes):
            yield (
                ("format",),
                f"{pattern!r} is not iso8601, nor a pattern with each of %Y %m %d and, once each, any of %H %M %S %f %z",
            )
        elif "z" in codes and self.time_zone is not None:
            yield ("time_zone",), "a pattern with %z takes no time zone; remove one of them"
        elif "z" not in codes and self.time_zone is None:
            yield ("format",), "the pattern has no %z, so it does not say which time zone it means; add time_zone"
        elif self.time_zone is not None and (problem := time_zone_problem(self.time_zone)):
            yield ("time_zone",), problem


def _has_zone(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


class TimeField(Located, Moment):
    """When the event happened. What is joined has a space between."""
