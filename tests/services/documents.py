"""Records of any schema, drawn by a seed: whole ones, spoiled ones, and those that are known to be hostile."""

import functools
import json
import random
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from schemas.base import Message

NUMBER_4301_DIGITS = b"9" * 4301
TIME_MS = 1_577_836_800_000
SECRET = "s3cret"  # noqa: S105 (no password)
"""A text that no log line may hold."""

WORDS = (
    "a",
    "fraud/1@cpu",
    "0-1",
    "card-1",
    "terminal-1",
    "\x00",
    "[/a]",
    "\x1b[2J",
    "\r\nX-Evil: 1",
    "é" * 32,
    "x" * 64,
)
TEXTS = (
    *WORDS[:5], "0-7", "978", SECRET, "EUR", "transactions", "a" * 64, "0" * 32, "2026.11.29", "1", "terminal-2", "card-2",
)  # fmt: skip
NUMBERS = (0.0, 0.5, 1.0, 2.0, 5.0, 90.0, 900.0, 20_000.0, 1e6, 2.0**31 - 1, 2.0**31, 2.0**53, 1e38, 1e308, -1.0)
CHAINS = (
    ("let_through", "alerts", "scored", "records"),
    ("dead_letters", "records"),
    ("late", "scored"),
    ("both_alerts", "challenger_alerts", "challenger_scored"),
    ("first_offset", "last_offset"),
)
"""Fields that are parts of the next, as the schemas compare them."""
ODD_SHARE = 0.01
"""Of the values that are drawn from all, bounds or not."""

SPOILING: tuple[Any, ...] = (None, True, -1, 2**31, 2**63, 10**30, 1e308, -1e308, "", [], {}, [[]], "4111111111111111")
TOKENS = (b"{", b"}", b'"', b"\\", b",", b"null", b"NaN", b"1e999", b"\xff", b"\x00", b"[" * 150, NUMBER_4301_DIGITS)

ENCODERS = (json.JSONEncoder().encode, json.JSONEncoder(ensure_ascii=False).encode)

HOSTILE = (
    b"\xff",
    b"{}",
    b"null",
    b"[]",
    b"[" * 5000,
    b'{"z":' + NUMBER_4301_DIGITS + b"}",
    b'{"z":' * 2000,
    b"\x00" * 64,
)


Draw = Callable[[random.Random], Any]


def _one_of(values: Sequence[Any], draw: random.Random) -> Any:
    """As `draw.choice`, at a third of its time: millions are drawn."""
    return values[int(draw.random() * len(values))]


def _between(low: int, high: int, draw: random.Random) -> int:
    """Both ends included."""
    return low + int(draw.random() * (high - low + 1))


def drawn(annotation: Any, metadata: tuple[Any, ...] = ()) -> Draw:
    """What draws one of a field's type, which fits nearly always."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return drawn(parts[0], (*parts[1:], *metadata))
    if origin in (Union, UnionType):
        draws = [drawn(part, metadata) for part in parts]
        return lambda draw: _one_of(draws, draw)(draw)
    if origin is Literal:
        return lambda draw: _one_of(parts, draw)
    if origin is dict:
        name, each = drawn(parts[0]), drawn(parts[1])
        return lambda draw: {str(name(draw)): each(draw) for _ in range(_between(0, 2, draw))}
    if origin is tuple:
        low, high = _bounds(metadata, "min_length", "max_length")
        element, fewest, most = drawn(parts[0]), int(low or 0), int(high or 3) if low else 3
        return lambda draw: [element(draw) for _ in range(_between(fewest, most, draw))]
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return functools.partial(document, annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        members = [member.value for member in annotation]
        return lambda draw: _one_of(members, draw)
    return _plain(annotation, metadata)


def _plain(annotation: Any, metadata: tuple[Any, ...]) -> Draw:
    """Within its bounds, as a rule; sometimes not."""
    if annotation is bool:
        return lambda draw: draw.random() < 0.5
    if annotation is str:
        longest, pattern = _bounds(metadata, "max_length", "pattern")
        return _mostly(
            [text for text in TEXTS if len(text) <= (longest or 64) and (not pattern or re.search(pattern, text))],
            WORDS,
        )
    if annotation not in (int, float):
        return lambda _: None
    low, high = _bounds(metadata, "ge", "le")
    if annotation is int and high and 10**12 < high < 10**13:
        return lambda draw: TIME_MS + int(draw.random() * (1 << 30))
    numbers = NUMBERS if annotation is float else tuple(int(number) for number in NUMBERS)
    return _mostly([n for n in numbers if (low is None or n >= low) and (high is None or n <= high)], numbers)


def _mostly(fitting: Sequence[Any], all_values: Sequence[Any]) -> Draw:
    usual = fitting or all_values
    return lambda draw: _one_of(usual if draw.random() > ODD_SHARE else all_values, draw)


def _bounds(metadata: tuple[Any, ...], *names: str) -> list[Any]:
    found: dict[str, Any] = {}
    for one in metadata:
        for each in one.metadata if isinstance(one, FieldInfo) else (one,):
            found.update({name: getattr(each, name) for name in names if getattr(each, name, None) is not None})
    return [found.get(name) for name in names]


@functools.cache
def _fields_of(schema: type[Message]) -> tuple[tuple[str, bool, Draw], ...]:
    """Name, required, and what draws it."""
    return tuple(
        (name, field.is_required(), drawn(field.annotation, tuple(field.metadata)))
        for name, field in schema.model_fields.items()
    )


def document(schema: type[Message], draw: random.Random) -> dict[str, Any]:
    """All that the schema asks for, and now and then what it allows."""
    fields = {}
    for name, required, one in _fields_of(schema):
        if required or draw.random() < 0.5:
            fields[name] = one(draw)
    if draw.random() > ODD_SHARE:
        _put_in_order(fields)
    return fields


def _put_in_order(fields: dict[str, Any]) -> None:
    for chain in CHAINS:
        names = [name for name in chain if type(fields.get(name)) is int]
        if len(names) > 1:
            fields.update(zip(names, sorted(fields[name] for name in names), strict=True))
    if type(fields.get("alerts")) is int and isinstance(fields.get("listed"), list):  # a case
        named = [one["alerts"] for one in fields.get("reasons") or () if type(one.get("alerts")) is int]
        fields["alerts"] = max([fields["alerts"], len(fields["listed"]), *named])
        fields["decided_version"] = min(fields.get("decided_version") or 0, fields["version"])
    if fields.get("action") in ("mute", "unmute"):
        fields.setdefault("scope", "card")
        fields.setdefault("muted_id", "card-1")
    elif "action" in fields:
        fields.setdefault("case_id", "0-1")


def spoiled(schema: type[Message], draw: random.Random) -> bytes | None:
    """A document with a few things done to it; sometimes nothing, sometimes mere bytes."""
    kind = draw.random()
    if kind < 0.1:
        return draw.choice([*HOSTILE, None, b"", draw.randbytes(draw.randrange(100))])
    fields = document(schema, draw)
    if kind < 0.5:
        name = _one_of([*fields, "unknown"], draw)
        if draw.random() < 0.3:
            fields.pop(name, None)
        else:
            fields[name] = _one_of(SPOILING, draw)
    content = bytearray(_one_of(ENCODERS, draw)(fields).encode())
    if kind > 0.8:
        at, to = sorted((draw.randint(0, len(content)), draw.randint(0, len(content))))
        content[at : draw.choice((at, at + 1, to))] = draw.choice(TOKENS)
    return bytes(content)
