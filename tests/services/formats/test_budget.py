"""Records of few bytes that by their schema are many values: each is one dead letter, before the values are made."""

import json
from typing import Any

import pytest

from schemas.codec import UnknownSchemaError
from schemas.dead_letter import DeadLetterReason
from services.engine.faults import Fault
from services.formats import RecordReader, avro_schemas, open_reader, protobuf_schemas, protobuf_wire
from services.formats import schema_registry as client
from services.formats.avro import AvroDocuments
from services.formats.avro_schemas import parse as parse_avro
from services.formats.compiled import CompiledSchemas
from services.formats.framing import framed
from services.formats.protobuf_schemas import parse as parse_protobuf
from services.formats.schema_registry import SchemaRegistry
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.formats.documents import BYTES_MAX, Record, avro, long, plain, source

NOWHERE = SchemaRegistrySettings(url=None)
TOO_WIDE = "by its schema it holds more fields than a record may"
TOO_MANY = "by its schema it holds more values than a document may have bytes"
WIDE = " ".join(f"int32 f{number} = {number + 1};" for number in range(400))
WIDE_LIST = f'syntax = "proto3"; message R {{ repeated W w = 1; }} message W {{ {WIDE} }}'


def doubled(levels: int, leaf: Any) -> dict[str, Any]:
    """Each level has the one before twice: so many levels, twice to the power of it."""
    schema: Any = leaf
    for level in range(levels):
        name = schema if isinstance(schema, str) else schema["name"]
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": name}]
        schema = {"type": "record", "name": f"R{level}", "fields": fields}
    return {"type": "record", "name": "Top", "fields": [{"name": "one", "type": "int"}, {"name": "x", "type": schema}]}


def opened(schema: dict[str, Any], bytes_max: int = BYTES_MAX) -> RecordReader:
    return open_reader(source(plain("avro", json.dumps(schema))), NOWHERE, bytes_max)


@pytest.mark.parametrize(
    "leaf",
    [
        {"type": "record", "name": "Leaf", "fields": []},
        {"type": "record", "name": "Leaf", "fields": [{"name": "n", "type": "null"}]},
        {"type": "fixed", "name": "Leaf", "size": 0},
    ],
    ids=["an empty record", "a record of nothing", "no bytes"],
)
def test_avro_records_that_double_without_bytes_are_refused(leaf: dict[str, Any]) -> None:
    """One byte, and 16 million records; a small tree of them is read."""
    fault = opened(doubled(24, leaf), 4 << 10).to_json(Record(long(1)))
    assert isinstance(fault, Fault)
    assert (fault.reason, fault.detail) == (DeadLetterReason.SCHEMA, TOO_MANY)
    assert isinstance(opened(doubled(8, leaf)).to_json(Record(long(1))), bytes)


def test_avro_fields_that_need_no_bytes_are_counted_in_lists() -> None:
    """A byte for each element, and a hundred values."""
    nothing = [{"name": f"n{number}", "type": "null"} for number in range(100)]
    inner = {"type": "record", "name": "I", "fields": [{"name": "flag", "type": "boolean"}, *nothing]}
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": {"type": "array", "items": inner}}]}
    one = {"flag": True, **{field["name"]: None for field in nothing}}
    reader = opened(schema)
    assert len(json.loads(reader.to_json(Record(avro(schema, {"x": [one] * 500}))))["x"]) == 500  # type: ignore[arg-type]
    fault = reader.to_json(Record(avro(schema, {"x": [one] * 6_000})))
    assert isinstance(fault, Fault)
    assert fault.detail == TOO_MANY


class Registry(SchemaRegistry):
    """Answers from a dict of paths."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(SchemaRegistrySettings(url="http://registry.invalid"), "a test")
        self.answers = answers

    async def _ask(self, path: str, body: Any = None) -> Any:
        return self.answers[path]


async def test_defaults_of_the_specs_schema_are_counted_too() -> None:
    """One who registers a schema leaves the fields out, and the spec's schema puts them in."""
    written = {"type": "record", "name": "I", "fields": [{"name": "flag", "type": "boolean"}]}
    defaults = [{"name": f"d{number}", "type": "int", "default": 7} for number in range(100)]
    read = {**written, "fields": [*written["fields"], *defaults]}

    def listed(inner: dict[str, Any]) -> dict[str, Any]:
        return {"type": "record", "name": "R", "fields": [{"name": "x", "type": {"type": "array", "items": inner}}]}

    registry = Registry({"/schemas/ids/1": {"schema": json.dumps(listed(written))}})
    reader = RecordReader(source("avro"), AvroDocuments(registry, json.dumps(listed(read))), BYTES_MAX)

    async def document(elements: int) -> Any:
        record = Record(framed(1, avro(listed(written), {"x": [{"flag": True}] * elements})))
        await reader.prepare([record])
        return reader.to_json(record)

    assert b'"d99":7' in await document(100)
    fault = await document(6_000)
    assert isinstance(fault, Fault)
    assert fault.detail == TOO_MANY


def test_protobuf_messages_with_many_absent_fields_are_refused() -> None:
    """Two bytes for each message, and the library has room in memory for all of its fields: 32,000 to a record."""
    reader = open_reader(source(plain("protobuf", WIDE_LIST, "R")), NOWHERE, BYTES_MAX)
    assert isinstance(reader.to_json(Record(b"\x0a\x00" * 100)), bytes)
    found = [reader.to_json(Record(b"\x0a\x00" * count)) for count in (3_000, 30_000)]
    assert [fault.detail for fault in found if isinstance(fault, Fault)] == [TOO_MANY, TOO_WIDE]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("message R { repeated R r = 100; %s }", b"\xa2\x06\x00"),
        ("message R { repeated group G = 100 { %s } }", b"\xa3\x06\xa4\x06"),
        ("message R { map<int32, W> m = 100; } message W { %s }", b"\xa2\x06\x04\x08\x01\x12\x00"),
        ("message R { optional group H = 101 { repeated R r = 100; } %s }", b"\xab\x06\xa2\x06\x00\xac\x06"),
        ("message R { repeated R r = 100; %s }", b"\xfb\x07\xfc\x07\xa2\x06\x00"),
    ],
    ids=["within itself", "groups", "a map", "within a group", "behind an unknown group"],
)
def test_memory_is_counted_wherever_messages_lie(schema: str, message: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may be are read, also behind fields that are none."""
    fields = " ".join(f"optional int32 f{number} = {number + 1};" for number in range(90))
    reader = open_reader(source(plain("protobuf", schema % fields, "R")), NOWHERE, BYTES_MAX)
    monkeypatch.setattr(protobuf_wire, "LAYOUT_BYTES_MAX", 100 * 100 * protobuf_wire.LAYOUT_BYTES)
    for few in (message * 50, b"\x08\x01" * 4_000 + message * 50):
        assert isinstance(reader.to_json(Record(few)), bytes)
    fault = reader.to_json(Record(message * 200))
    assert isinstance(fault, Fault)
    assert fault.detail == TOO_WIDE


async def test_a_schema_that_stands_on_too_many_others_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them is left out in silence."""
    monkeypatch.setattr(client, "REFERENCES_MAX", 3)

    def answer(*names: str) -> dict[str, Any]:
        listed = [{"name": name, "subject": name, "version": 1} for name in names]
        return {"schema": json.dumps({"type": "record", "name": "R", "fields": []}), "references": listed}

    leaf = {"schema": json.dumps({"type": "enum", "name": "E", "symbols": ["A"]})}
    answers = {f"/subjects/N{number}/versions/1": leaf for number in range(4)}
    few, many = answer("N0", "N1", "N2"), answer("N0", "N1", "N2", "N3")
    registry = Registry({"/schemas/ids/1": few, "/schemas/ids/2": many, **answers})
    schemas = CompiledSchemas(registry, "AVRO", lambda schema: len(schema.references))
    await schemas.look_up({1, 2})
    assert schemas.get(1) == 3
    with pytest.raises(UnknownSchemaError, match="schema 2: it stands on more than 3 other schemas"):
        schemas.get(2)


def test_a_schema_that_would_take_minutes_to_read_is_refused() -> None:
    """Its text is bounded; that of what it stands on counts."""
    with pytest.raises(UnknownSchemaError, match="more than"):
        parse_protobuf("message R {}", [("a.proto", " " * protobuf_schemas.SCHEMA_BYTES_MAX)])
    with pytest.raises(UnknownSchemaError, match="more than"):
        parse_avro('"int"', [" " * avro_schemas.SCHEMA_BYTES_MAX])
