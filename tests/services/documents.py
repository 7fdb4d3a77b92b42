"""Records of any schema, drawn by a seed: whole ones, spoiled ones, and those that are known to be hostile."""

import json
import random
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from schemas.base import Message

NUMBER_4301_DIGITS = b"9" * 4301
TIME_MS = 1_577_836_800_000

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
SPOILING: tuple[Any, ...] = (None, True, -1, 2**31, 2**63, 10**30, 1e308, -1e308, "", [], {}, [[]], "4111111111111111")
TOKENS = (b"{", b"}", b'"', b"\\", b",", b"null", b"NaN", b"1e999", b"\xff", b"\x00", b"[" * 150, NUMBER_4301_DIGITS)

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


def value(annotation: Any, draw: random.Random, metadata: tuple[Any, ...] = ()) -> Any:
    """One of a field's type, which fits nearly always."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *inner = get_args(annotation)
        return value(base, draw, (*inner, *metadata))
    if origin in (Union, UnionType):
        return value(draw.choice(get_args(annotation)), draw, metadata)
    if origin is Literal:
        return draw.choice(get_args(annotation))
    if origin is dict:
        names, values = get_args(annotation)
        return {str(value(names, draw)): value(values, draw) for _ in range(draw.randint(0, 2))}
    if origin is tuple:
        low, high = _bounds(metadata, "min_length", "max_length")
        return [
            value(get_args(annotation)[0], draw)
            for _ in range(draw.randint(int(low or 0), int(high or 3) if low else 3))
        ]
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return document(annotation, draw)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return draw.choice([member.value for member in annotation])
    return _plain(annotation, draw, metadata)


def _plain(annotation: Any, draw: random.Random, metadata: tuple[Any, ...]) -> Any:
    if annotation is str:
        low, _ = _bounds(metadata, "min_length", "max_length")
        return "0" * int(low) if low and low > 1 else draw.choice(WORDS)
    if annotation is bool:
        return draw.random() < 0.5
    if annotation is int:
        _, high = _bounds(metadata, "ge", "le")
        return (
            TIME_MS + draw.randrange(1 << 30)
            if high and high > 10**12
            else draw.choice((0, 1, 5, 20_000, 2**31, 2**53))
        )
    if annotation is float:
        _, high = _bounds(metadata, "ge", "le")
        return draw.random() if high == 1.0 else draw.choice((0.0, 0.5, 900.0, 1e308))
    return None


def _bounds(metadata: tuple[Any, ...], *names: str) -> list[Any]:
    found: dict[str, Any] = {}
    for one in metadata:
        for each in one.metadata if isinstance(one, FieldInfo) else (one,):
            found.update({name: getattr(each, name) for name in names if hasattr(each, name)})
    return [found.get(name) for name in names]


def document(schema: type[Message], draw: random.Random) -> dict[str, Any]:
    """All that the schema asks for, and now and then what it allows."""
    fields = {}
    for name, field in schema.model_fields.items():
        if field.is_required() or draw.random() < 0.5:
            fields[name] = value(field.annotation, draw, tuple(field.metadata))
    return fields


def spoiled(schema: type[Message], draw: random.Random) -> bytes | None:
    """A document with a few things done to it; sometimes nothing, sometimes mere bytes."""
    kind = draw.random()
    if kind < 0.1:
        return draw.choice([*HOSTILE, None, b"", draw.randbytes(draw.randrange(100))])
    fields = document(schema, draw)
    if kind < 0.5:
        name = draw.choice([*fields, "unknown"])
        if draw.random() < 0.3:
            fields.pop(name, None)
        else:
            fields[name] = draw.choice(SPOILING)
    content = bytearray(json.dumps(fields, ensure_ascii=draw.random() < 0.5).encode())
    if kind > 0.8:
        at, to = sorted((draw.randint(0, len(content)), draw.randint(0, len(content))))
        content[at : draw.choice((at, at + 1, to))] = draw.choice(TOKENS)
    return bytes(content)
