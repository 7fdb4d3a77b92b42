"""Conditions on paths, evaluated over undecoded events: which are meant, and whose amounts are negative."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from schemas import codec
from schemas.conditions import Condition
from schemas.paths import parts

Event = Mapping[str, Any]
"""What conditions read of an event, by path."""

Holds = Callable[[Event], bool]
"""Whether a condition holds for an event."""


def compiled(condition: Condition) -> Holds:
    """A condition as a function."""
    if condition.negated is not None:
        inner = compiled(condition.negated)
        return lambda event: not inner(event)
    if condition.some is not None:
        some = list(map(compiled, condition.some))
        return lambda event: any(holds(event) for holds in some)
    if condition.every is not None:
        return all_of(condition.every)
    assert condition.path is not None
    path, test = condition.path, _test(condition)
    return lambda event: test(event[path])


def all_of(conditions: Sequence[Condition]) -> Holds:
    """Whether all hold."""
    every = list(map(compiled, conditions))
    return every[0] if len(every) == 1 else lambda event: all(holds(event) for holds in every)


def selector(conditions: Sequence[Condition]) -> Callable[[bytes], bool]:
    """Whether an event is meant, whatever else is in it. Raises RejectedError's kinds where that cannot be known."""
    read, holds = _reader(conditions), all_of(conditions)
    return lambda payload: holds(read(payload))


def _reader(conditions: Iterable[Condition]) -> Callable[[bytes], Event]:
    """A parser of what conditions read."""
    paths = dict.fromkeys(path for condition in conditions for path in condition.paths())
    names = list(dict.fromkeys(str(parts(path)[0]) for path in paths))
    rename = {f"f{number}": name for number, name in enumerate(names)}
    kind = msgspec.defstruct("Event", [(field, Any, None) for field in rename], rename=rename, frozen=True)
    decode = codec.native_decoder(kind)
    found = [(path, f"f{names.index(str(first))}", rest) for path in paths for first, *rest in (parts(path),)]

    def read(payload: bytes) -> Event:
        try:
            event = decode(payload)
        except codec.RejectedError:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):  # a number of too many digits
            raise codec.SchemaError("Number out of range") from None
        return {path: _value(getattr(event, field), rest) for path, field, rest in found}

    return read


def _value(event: Any, found: Iterable[str | int]) -> Any:
    for part in found:
        if isinstance(part, int):
            event = event[part] if isinstance(event, list) and len(event) > part else None
        else:
            event = event.get(part) if isinstance(event, dict) else None
    return event


def _test(condition: Condition) -> Callable[[Any], bool]:
    if condition.exists is not None:
        there = condition.exists
        return lambda value: (value is not None) == there
    if condition.equals is not None:
        wanted = _key(condition.equals)
        return lambda value: _key(value) == wanted
    if condition.one_of is not None:
        any_of = frozenset(map(_key, condition.one_of))
        return lambda value: isinstance(value, str | int | float) and _key(value) in any_of
    above, least, below, most = condition.above, condition.at_least, condition.below, condition.at_most

    def within(value: Any) -> bool:
        number = _number(value)
        return number is not None and (
            (above is None or number > above)
            and (least is None or number >= least)
            and (below is None or number < below)
            and (most is None or number <= most)
        )

    return within


def _key(value: Any) -> tuple[str, Any]:
    """Equal for equal values: true is not 1, 1 is 1.0."""
    if isinstance(value, bool):
        return "flag", value
    return ("number", value) if isinstance(value, int | float) else (type(value).__name__, value)


def _number(value: Any) -> float | int | None:
    """A number, or a decimal number as text."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and len(value) <= 40 and value and set(value) <= set("0123456789+-.eE"):
        try:
            return float(value)
        except ValueError:
            return None
    return None
