"""Values of a path, many at once, to columns. A value that cannot be read is a SchemaError that names the path, never it."""

import functools
import re
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from socket import AF_INET, AF_INET6, inet_pton
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.codec import SchemaError
from schemas.located import ISO_8601, Moment
from schemas.times import EVENT_TIME_MS_MAX, UNITS_MS, unit_of

NUMBER_CHARACTERS_MAX = 40
"""Of a decimal number as text."""

TIME_CHARACTERS_MAX = 40
IP_CHARACTERS_MAX = 45
ADDRESSES_MAX = 65_536
"""Remembered: to look at one again costs a third of judging it."""

_OF_NUMBERS = frozenset("0123456789+-.eE")
_WORDS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "min": "minutes",
    "h": "hours",
    "d": "days",
}
_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_CODES = {
    "Y": r"(?P<Y>\d{4})",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "H": r"(?P<H>\d{1,2})",
    "M": r"(?P<M>\d{2})",
    "S": r"(?P<S>\d{2})",
    "f": r"(?P<f>\d{1,9})",
    "z": r"(?P<z>Z|[+-]\d{2}:?\d{2})",
}

ToMs = Callable[[Sequence[Any]], list[int | None]]


def refused(what: str, path: str) -> SchemaError:
    """What is wrong with a value, and where it lies."""
    return SchemaError(f"{what} at $.{path}")


def texts(values: Sequence[Any], path: str, characters: tuple[int, int]) -> list[str | None]:
    """Texts as they are, whole numbers as their digits, "" as none. characters: at least and at most, of what is no text."""
    kinds = set(map(type, values))
    if int in kinds:
        found = [str(value) if type(value) is int else value for value in values]
        if any(value and not characters[0] <= len(value) <= characters[1] for value in found):
            raise refused(f"Expected {characters[0]} to {characters[1]} digits", path)
        values = found
    return [value or None for value in values] if "" in values else list(values)


def joined(
    columns: Sequence[Sequence[str | None]],
    paths: Sequence[str],
    separator: str,
    characters_max: int,
    *,
    required: bool,
) -> list[str | None]:
    """The texts of several columns as one: all of them, or none. Only the last may hold what separates them."""
    found: list[str | None] = []
    for row in zip(*columns, strict=True):
        missing = next((place for place, part in enumerate(row) if part is None), None)
        if missing is not None:
            if required or any(row):
                raise refused("Expected a text", paths[missing])
            found.append(None)
            continue
        parts = [str(part) for part in row]
        for part, path in zip(parts[:-1], paths, strict=False):
            if separator in part:
                raise refused(f"Expected a text without {separator!r}, which separates the parts,", path)
        text = separator.join(parts)
        if len(text) > characters_max:
            raise refused(f"Expected at most {characters_max} characters in all", paths[0])
        found.append(text)
    return found


def decoded(values: Sequence[float | None]) -> NDArray[np.float64]:
    """float64[n] of numbers whose type and bounds were checked as they were read, NaN where there is none."""
    column = np.empty(len(values), np.float64)
    try:
        struct.pack_into(f"{len(values)}d", column.data, 0, *values)  # two thirds of the time of numpy's own way
    except struct.error:  # one is None
        return np.array(values, np.float64)
    return column


def decoded_flags(values: Sequence[bool | None]) -> NDArray[np.float64]:
    """The same of true and false."""
    try:
        return np.frombuffer(bytes(values), np.uint8).astype(np.float64)  # type: ignore[arg-type]  # None raises
    except TypeError:
        return np.array(values, np.float64)


def numbers(
    values: Sequence[Any],
    path: str,
    scale: int,
    bounds: tuple[float, float],
    drop: str | None = None,
    *,
    comma: bool = False,
) -> NDArray[np.float64]:
    """float64[n], NaN where there is none. Texts are decimal numbers. scale: decimal places. bounds: at least, at most.

    drop: characters of texts that are left out. comma: texts have one before their decimal places, and points between
    thousands.
    """
    if drop is not None:
        without = dict.fromkeys(map(ord, drop))
        values = [value.translate(without) if type(value) is str else value for value in values]
    if comma:
        values = [with_point(value, path) if type(value) is str else value for value in values]
    held = [value for value in values if type(value) is str]
    if held:
        if not _OF_NUMBERS.issuperset("".join(held)) or max(map(len, held)) > NUMBER_CHARACTERS_MAX:
            raise refused("Expected a decimal number", path)
        try:
            values = [None if value is None or value == "" else float(value) for value in values]
        except ValueError:
            raise refused("Expected a decimal number", path) from None
    column = np.array(values, np.float64)
    if scale:
        column /= 10.0**scale  # both are exact, so the quotient is the double nearest to the decimal number
    check_bounds(column, path, bounds)
    return column


def with_point(text: str, path: str) -> str:
    """1.234,50 as 1234.50. Raises SchemaError where points do not stand between thousands."""
    whole, comma, places = text.partition(",")
    first, *thousands = whole.split(".")
    if "." in places or (thousands and not (1 <= len(first.lstrip("+-")) <= 3 and set(map(len, thousands)) == {3})):
        raise refused("Expected a decimal number such as 1.234,50", path)
    return "".join([first, *thousands, "." if comma else "", places])


def check_bounds(column: NDArray[np.float64], path: str, bounds: tuple[float, float]) -> None:
    """Raises SchemaError. NaN is within all bounds."""
    low, high = bounds
    if (column < low).any():
        raise refused(f"Expected a number >= {low:g}", path)
    if (column > high).any():
        raise refused(f"Expected a number <= {high:g}", path)


def flags(values: Sequence[Any], path: str, yes: frozenset[str], no: frozenset[str]) -> NDArray[np.float64]:
    """float64[n]: 1, 0, or NaN where there is none."""
    if set(map(type, values)) <= {bool, type(None)}:
        return np.array(values, np.float64)
    meant: dict[Any, float] = {
        True: 1.0,
        False: 0.0,
        None: np.nan,
        "": np.nan,
        **dict.fromkeys(yes, 1.0),
        **dict.fromkeys(no, 0.0),
    }
    try:
        return np.array([meant[str(value) if type(value) is int else value] for value in values], np.float64)
    except KeyError:
        raise refused("Expected one of the words for yes and no", path) from None


def addresses(values: Sequence[str | None], path: str) -> list[str | None]:
    """Checked internet addresses."""
    for value in values:
        if value is not None and not _is_address(value):
            raise refused("Expected an internet address", path)
    return list(values)


@functools.lru_cache(maxsize=ADDRESSES_MAX)
def _is_address(text: str) -> bool:
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def to_ms(moment: Moment, path: str) -> ToMs:
    """What makes ms since 1970 UTC of values that are written as `moment` says."""
    start_ms = 0 if moment.start is None else _since_1970_ms(_iso(moment.start))
    read = _of_unit(moment.unit, start_ms) if moment.unit else _of_text(str(moment.format), moment.time_zone)
    words = _WORDS.get(moment.unit or "", "")

    def convert(values: Sequence[Any]) -> list[int | None]:
        try:
            found = read(values)
        except (ValueError, TypeError, OverflowError):
            raise refused(
                f"Expected a time in {words}" if words else f"Expected a time as {moment.format}", path
            ) from None
        held = [ms for ms in found if ms is not None]
        if held and not 0 <= min(held) <= max(held) <= EVENT_TIME_MS_MAX:
            hint = _hint(values, moment.unit) if moment.start is None else f", counted from {moment.start},"
            raise refused(f"Expected a time from 1970 to 2100{hint}", path)
        return found

    return convert


def _hint(values: Sequence[Any], unit: str | None) -> str:
    """Which unit a number seems to be in, where it is not the one that was declared."""
    for value in values if unit else ():
        try:
            seems = unit_of(float(value))
        except (TypeError, ValueError):
            continue
        if seems and seems != _WORDS[str(unit)] and UNITS_MS[seems] <= UNITS_MS["seconds"]:
            return f" in {_WORDS[str(unit)]}, and it looks like {seems},"
    return ""


def _of_unit(unit: str, start_ms: int) -> Callable[[Sequence[Any]], list[int | None]]:
    def read(values: Sequence[Any]) -> list[int | None]:
        kinds = set(map(type, values))
        if str in kinds:
            values = [_number(value) if type(value) is str else value for value in values]
            kinds = set(map(type, values))
        if unit == "ms" and kinds == {int} and not start_ms:
            return list(values)
        return [None if value is None else start_ms + _ms(value, unit) for value in values]

    return read


def _number(text: str) -> int | float | None:
    if not text:
        return None
    if len(text) > TIME_CHARACTERS_MAX or not _OF_NUMBERS.issuperset(text):
        raise ValueError("no number")
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def time_kind(moment: Moment, written: str) -> Any:
    """The type of msgspec's in which a time comes. Seconds may have a fraction."""
    plain = moment.unit == "ms" and moment.start is None
    number: Any = Annotated[int, msgspec.Meta(ge=0, le=EVENT_TIME_MS_MAX)] if plain else int
    if moment.unit in _MS:
        number = int | float
    text = Annotated[str, msgspec.Meta(max_length=TIME_CHARACTERS_MAX)]
    if moment.unit is None:
        return text
    return {"number": number, "string": text, "any": number | text}[written]


def _ms(value: int | float, unit: str) -> int:
    if unit in _MS:
        return value * _MS[unit] if isinstance(value, int) else round(value * _MS[unit])
    return int(value // _PER_MS[unit])


def _of_text(form: str, time_zone: str | None) -> Callable[[Sequence[Any]], list[int | None]]:
    parse = _iso if form == ISO_8601 else _pattern(form, time_zone)

    def read(values: Sequence[Any]) -> list[int | None]:
        return [None if value is None or value == "" else _since_1970_ms(parse(value)) for value in values]

    return read


def _since_1970_ms(moment: datetime) -> int:
    since = moment - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1_000 + since.microseconds // 1_000


def _iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment


def _pattern(form: str, time_zone: str | None) -> Callable[[str], datetime]:
    """A reader of texts in a pattern of strftime's codes; its digits are ASCII."""
    expression = re.compile(
        "".join(_CODES[part[1]] if part.startswith("%") else re.escape(part) for part in re.split(r"(%.)", form)),
        re.ASCII,
    )
    zone = ZoneInfo(time_zone) if time_zone else None

    def parse(text: str) -> datetime:
        found = expression.fullmatch(text)
        if found is None:
            raise ValueError("not as the pattern")
        part = found.groupdict()
        year, month, day, hour, minute, second = (int(part.get(code) or 0) for code in "YmdHMS")
        moment = datetime(year, month, day, hour, minute, second, int((part.get("f") or "0")[:6].ljust(6, "0")))
        if zone is None:
            return moment.replace(tzinfo=UTC) - _offset(part["z"])
        local = moment.replace(tzinfo=zone)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            raise ValueError("the clocks skip or repeat it")
        return local.astimezone(UTC)

    return parse


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return -ahead if text[0] == "-" else ahead
