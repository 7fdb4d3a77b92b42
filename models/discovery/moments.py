"""In which ways a column's values can be read as times, with the two ends that each means; tried with the parser's code."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

from models.discovery.columns import Column
from models.discovery.sample import DiscoveryError
from models.sources.values import ToMs, to_ms
from schemas.codec import SchemaError
from schemas.located import ISO_8601, Moment, Unit
from schemas.times import EVENT_TIME_MS_MAX, TIME_MS_MIN, time_zone_problem

READ_SHARE = 0.98
"""A way in which fewer of the values can be read is none."""

TRIED_MAX = 1_000
DIGITS_MIN = 6
"""Of a date."""

SPREAD_MS_MAX = 20 * 365 * 86_400_000
"""Numbers that nothing but their size says to be times do not lie further apart."""

UNITS: tuple[Unit, ...] = ("s", "ms", "us", "ns")
_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y"),
    *("%d-%m-%Y", "%m-%d-%Y", "%d %m %Y"),
)
_CLOCKS = ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%H%M%S", "%H:%M:%S,%f")
_ZONES = ("", "%z", " %z")
PATTERNS = (
    *(f"{day}{zone}" for day, zone in product(_DAYS, _ZONES)),
    *(f"{day}{mark}{clock}{zone}" for day, mark, clock, zone in product(_DAYS, ("T", " ", ", ", ""), _CLOCKS, _ZONES)),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a column. low_ms, high_ms: its ends. share: of the values that it reads. local: it needs a zone."""

    unit: Unit | None
    format: str | None
    low_ms: int
    high_ms: int
    share: float
    local: bool = False

    @property
    def dated_only(self) -> bool:
        """Whether it has no time of day."""
        return self.format not in (None, ISO_8601) and "%H" not in str(self.format)

    @property
    def day_first(self) -> bool:
        """Whether the day comes before the month, and the year last."""
        return (self.format or "").startswith("%d")

    @property
    def month_first(self) -> bool:
        """Whether the month comes before the day."""
        return (self.format or "").startswith("%m")

    def ends(self) -> str:
        """The two ends, in words."""
        return f"{moment_words(self.low_ms)} to {moment_words(self.high_ms)}"

    def words(self) -> str:
        """How it is written."""
        return f"unit {self.unit}" if self.unit else f"format {self.format}"

    def fields(self, time_zone: str | None) -> dict[str, Any]:
        """As the source spec has it."""
        if self.unit:
            return {"unit": self.unit}
        return {"format": self.format} | ({"time_zone": time_zone} if self.local and time_zone else {})


def moment_words(ms: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def readings(column: Column, time_zone: str | None = None) -> list[Reading]:
    """Every way that fits nearly all values, the one that fits most first."""
    if column.is_whole or (column.is_number and not column.written):
        found = _of_numbers(column)
        if found or len(column.texts) < len(column.held):
            return found
    if not column.texts or len(column.texts) < READ_SHARE * len(column.held):
        return []
    return _of_texts(column.texts[:TRIED_MAX], time_zone or "UTC")


def _of_numbers(column: Column) -> list[Reading]:
    found = []
    for unit in UNITS:
        values = column.held[:TRIED_MAX]
        times = _read(_converter(unit, None, None), values)
        plausible = [ms for ms in times if ms is not None and TIME_MS_MIN <= ms < EVENT_TIME_MS_MAX]
        if len(plausible) >= READ_SHARE * len(values) > 0:
            found.append(Reading(unit, None, min(plausible), max(plausible), len(plausible) / len(values)))
    return found


def _of_texts(texts: Sequence[str], time_zone: str) -> list[Reading]:
    if not any(sum(map(str.isdigit, text)) >= DIGITS_MIN for text in texts[:5]):
        return []
    iso = _tried(ISO_8601, texts, None)
    if iso is not None:
        return [iso]
    few = texts[:20]
    found = []
    for pattern in PATTERNS:
        zone = None if "%z" in pattern else time_zone
        if _tried(pattern, few, zone, 0.5) and (reading := _tried(pattern, texts, zone)):
            found.append(reading)
    return sorted(found, key=lambda reading: -reading.share)


def _tried(form: str, texts: Sequence[str], time_zone: str | None, share: float = READ_SHARE) -> Reading | None:
    times = [ms for ms in _read(_converter(None, form, time_zone), texts) if ms is not None]
    if not times or len(times) < share * len(texts):
        return None
    return Reading(None, form, min(times), max(times), len(times) / len(texts), local=time_zone is not None)


def _read(convert: ToMs, values: Sequence[Any]) -> list[Any]:
    """Times of the values; None for those that cannot be read."""
    try:
        return convert(values)
    except SchemaError:
        pass
    found = []
    for value in values:
        try:
            found += convert([value])
        except SchemaError:
            found.append(None)
    return found


@functools.cache
def _converter(unit: Unit | None, form: str | None, time_zone: str | None) -> ToMs:
    return to_ms(Moment(unit=unit, format=form, time_zone=time_zone), "time")


def check_zone(time_zone: str | None) -> None:
    """Raises DiscoveryError where it is none."""
    if time_zone is not None and time_zone_problem(time_zone):
        raise DiscoveryError(f"--time-zone {time_zone} is not known: give for instance UTC or Europe/Paris.")
