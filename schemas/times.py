"""What a number can mean as a time: bounds, and the unit that a wrong one is in. Pure, for streams and files alike."""

import json
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EVENT_TIME_MS_MAX = 4_102_444_800_000
"""2100-01-01. No field of a message holds a later time."""

RECORD_TIME_MS_MAX = 3_786_912_000_000
"""2090-01-01. No record's timestamp is later, so that what is derived from one (the end of a window) still is a valid time."""

TIME_MS_MIN = 315_532_800_000
"""1980-01-01, the default floor. Card payments are younger; seconds, minutes, hours or days since 1970 are far below it."""

UNITS_MS: Final = {
    "days": 86_400_000.0,
    "hours": 3_600_000.0,
    "minutes": 60_000.0,
    "seconds": 1000.0,
    "milliseconds": 1.0,
    "microseconds": 1e-3,
    "nanoseconds": 1e-6,
}
"""How many milliseconds a unit has."""


def time_zone_problem(name: str) -> str | None:
    """Why it names no time zone that is known here; None where it does."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"{name!r} is not a known time zone; write an IANA name such as Europe/Paris"
    return None


def unit_of(value: float) -> str | None:
    """The unit in which `value`, counted from 1970, is a time from 1980 to 2100. The ranges do not overlap: it is one or none.

    >>> unit_of(1_780_000_000), unit_of(1_780_000_000_000), unit_of(1_780_000_000_000_000), unit_of(12)
    ('seconds', 'milliseconds', 'microseconds', None)
    """
    found = (unit for unit, ms in UNITS_MS.items() if TIME_MS_MIN <= value * ms < EVENT_TIME_MS_MAX)
    return next(found, None)


def looks_like(value: float) -> str:
    """What to add to a refusal of a time in milliseconds: the unit it seems to be in, or nothing.

    >>> "event_time_ms is before 1980" + looks_like(1_780_000_000)
    'event_time_ms is before 1980: it looks like seconds, multiply by 1000'
    """
    unit = unit_of(value)
    if unit is None or unit == "milliseconds":
        return ""
    factor = UNITS_MS[unit]
    how = f"multiply by {factor:.0f}" if factor > 1 else f"divide by {1 / factor:.0f}"
    return f": it looks like {unit}, {how}"


def time_in(payload: bytes, field: str) -> float | None:
    """The number in a field of a JSON object that its schema refused; None where there is none."""
    try:
        value = json.loads(payload)[field]
        return float(value) if type(value) in (int, float) else None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def record_time_problem(timestamp_ms: int) -> str | None:
    """What is wrong with a record's Kafka timestamp; None where nothing is."""
    if timestamp_ms < 0:
        return "the record has no timestamp"
    if TIME_MS_MIN <= timestamp_ms <= RECORD_TIME_MS_MAX:
        return None
    return f"the record's timestamp is not between 1980 and 2090{looks_like(timestamp_ms)}"
