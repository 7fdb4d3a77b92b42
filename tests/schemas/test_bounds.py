"""Every number, string and list that crosses a boundary has a bound, and what belongs together is compared."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import JsonValue
from pydantic.fields import FieldInfo

import schemas
from schemas import codec
from schemas.base import COUNT_MAX, Message
from schemas.case import Case
from schemas.control import BundleRef
from schemas.terminal import TerminalProfile, TerminalSums

for module in pkgutil.iter_modules(schemas.__path__):
    importlib.import_module(f"schemas.{module.name}")


def every_schema(base: type[Message] = Message) -> Iterator[type[Message]]:
    """All messages, and the parts of manifests."""
    for schema in base.__subclasses__():
        if schema.__module__.startswith("schemas."):
            yield schema
        yield from every_schema(schema)


SCHEMAS = sorted(set(every_schema()), key=lambda schema: schema.__name__)


def unbounded(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    """What of a type has no bound."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        yield from unbounded(inner, [*metadata, *more])
        return
    flat = [part for m in metadata for part in (m.metadata if isinstance(m, FieldInfo) else [m])]
    lows = [m for m in flat if isinstance(m, annotated_types.Ge)]
    highs = [m for m in flat if isinstance(m, annotated_types.Le)]
    longest = [m for m in flat if isinstance(m, annotated_types.MaxLen)]
    if annotation is JsonValue or origin is Literal or annotation in (bool, type(None)):
        return  # of a manifest's settings: bounded by the file's size
    if origin in (Union, UnionType):
        for choice in get_args(annotation):
            yield from unbounded(choice, metadata)
    elif origin in (tuple, dict):
        if not longest:
            yield f"{annotation} has no largest length"
        for part in get_args(annotation):
            if part is not ...:
                yield from unbounded(part, [])
    elif annotation in (int, float):
        if not (lows and highs):
            yield f"{annotation.__name__} has no bounds"
    elif annotation is str:
        if not longest:
            yield "str has no largest length"
    else:
        assert issubclass(annotation, (Message, StrEnum)), annotation


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_number_string_and_list_of_a_schema_has_its_bound(schema: type[Message]) -> None:
    """Whatever a topic or a manifest holds: none can be larger than the arrays, files and counters behind it."""
    found = {name: list(unbounded(f.annotation, f.metadata)) for name, f in schema.model_fields.items()}
    assert {name: what for name, what in found.items() if what} == {}


def test_the_walk_finds_what_has_no_bound() -> None:
    """A test that could not fail would hold nothing."""
    assert list(unbounded(int, [])) == ["int has no bounds"]
    assert list(unbounded(str | None, [])) == ["str has no largest length"]
    assert len(list(unbounded(tuple[float, ...], []))) == 2


SUMS = {"day": 1, "terminal_ids": ["t"], "payments": [1], "frauds": [0]}
PROFILE = {"terminal_id": "t", "last_day": 9, "payments": [1, 2], "frauds": [0, 1]}
REFERENCE = {"name": "fraud", "version": 1, "digest": "0" * 64}


@pytest.mark.parametrize(
    ("schema", "good", "change"),
    [
        (TerminalSums, SUMS, {"payments": [COUNT_MAX + 1]}),
        (TerminalSums, SUMS, {"frauds": [-COUNT_MAX - 1]}),
        (TerminalSums, SUMS, {"frauds": []}),
        (TerminalSums, SUMS, {"terminal_ids": ["t", "u"]}),
        (TerminalProfile, PROFILE, {"payments": [-1, 2]}),
        (TerminalProfile, PROFILE, {"payments": [2**31, 2]}),
        (TerminalProfile, PROFILE, {"payments": [1]}),
        (TerminalProfile, PROFILE, {"terminal_id": "a\nb"}),
        (BundleRef, REFERENCE, {"name": "../../etc/x"}),
        (BundleRef, REFERENCE, {"version": 10**30}),
        (BundleRef, REFERENCE, {"digest": "/../" * 16}),
        (BundleRef, REFERENCE, {"digest": "0" * 64 + "\n"}),
    ],
)
def test_what_is_beyond_its_bound_or_does_not_fit_together_is_refused(
    schema: type[Message], good: dict[str, Any], change: dict[str, Any]
) -> None:
    """By every reader alike."""
    codec.read(schema, json.dumps(good).encode())
    payload = json.dumps(good | change).encode()
    with pytest.raises(codec.SchemaError):
        codec.read(schema, payload)
    with pytest.raises(codec.SchemaError):
        codec.decoder(schema)(payload)


def test_a_pattern_ends_where_the_text_does() -> None:
    """Python's `$` also matches before a last line break."""
    assert "0-1\n" not in str(Case.model_fields["case_id"])
    decode = codec.decoder(BundleRef)
    with pytest.raises(codec.SchemaError):
        decode(json.dumps(REFERENCE | {"name": "fraud\n"}).encode())
