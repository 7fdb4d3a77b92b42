"""Bytes that no one meant: each is a document, one fault or passed over, never an error of ours, and never large."""

import json
import random
from typing import Any

import pytest

from schemas.dead_letter import DeadLetterReason
from services.engine.faults import Fault
from services.formats import RecordReader, open_reader
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.formats.documents import BYTES_MAX, Record, avro, plain, source
from tests.services.formats.test_reader import CHANGE, EVENT

NUMBER = 1_000
TREE = {
    "type": "record",
    "name": "Tree",
    "fields": [
        {"name": "left", "type": ["null", "Tree"]},
        {"name": "items", "type": {"type": "array", "items": ["null", "double", "Tree"]}},
        {
            "name": "names",
            "type": {"type": "map", "values": {"type": "bytes", "logicalType": "decimal", "precision": 4}},
        },
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "id", "type": {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}},
    ],
}
LEAF = {"left": None, "items": [None, 1.5], "names": {}, "day": 1, "kind": "A", "id": bytes(16)}
PROTO = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/struct.proto";
import "confluent/type/decimal.proto";
message A { string a = 1; A b = 2; repeated A c = 3; map<int64, A> d = 4; google.protobuf.Timestamp e = 5;
  google.protobuf.Value f = 6; confluent.type.Decimal g = 7; repeated double h = 8; bytes i = 9; }
"""


def readers() -> dict[str, tuple[RecordReader, list[bytes]]]:
    """Each with payloads to begin from."""

    def opened(form: str, envelope: str = "none") -> RecordReader:
        return open_reader(source(form, envelope), SchemaRegistrySettings(url=None), BYTES_MAX)

    change = {"before": None, "after": EVENT, "op": "c", "ts_ms": 5}
    tree = avro(TREE, {**LEAF, "left": LEAF, "items": [None, LEAF, 2.0]})
    connect = {"schema": {"type": "struct", "fields": [{"field": "a", "type": "bytes"}]}, "payload": {"a": "Aw=="}}
    return {
        "avro": (opened(plain("avro", json.dumps(TREE))), [tree]),
        "avro in debezium": (opened(plain("avro", json.dumps(CHANGE)), "debezium"), [avro(CHANGE, change)]),
        "protobuf": (
            opened(plain("protobuf", PROTO)),
            [b"\x0a\x01x\x12\x03\x0a\x01y\x2a\x02\x08\x05", b"\x32\x02\x20\x01"],
        ),
        "debezium": (opened("json", "debezium"), [json.dumps(change).encode()]),
        "connect": (opened("json", "connect"), [json.dumps(connect).encode()]),
        "cloudevents": (opened("json", "cloudevents"), [b'{"specversion":"1.0","id":"1","source":"/","type":"t"}']),
    }


def mutated(payload: bytes, chance: random.Random) -> bytes:
    """Cut, flipped, doubled, or something else."""
    made = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(made) + 1)
        match chance.randrange(5):
            case 0:
                del made[place:]
            case 1:
                made[place:place] = chance.randbytes(chance.randint(1, 9))
            case 2 if made:
                made[place % len(made)] = chance.choice((0, 1, 2, 0x7F, 0x80, 0xFF))
            case 3:
                made[place:place] = made[: chance.randint(0, 64)]
            case _:
                made[place:place] = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    return bytes(made)


@pytest.mark.parametrize("name", readers())
def test_no_bytes_are_an_error_of_ours(name: str) -> None:
    """A record on which a stage raises is isolated, and costs its batch; here none does."""
    reader, begun = readers()[name]
    chance = random.Random(7)
    ours: list[Any] = []
    for number in range(NUMBER):
        payload = chance.randbytes(chance.randint(0, 60)) if number % 5 == 0 else mutated(chance.choice(begun), chance)
        found = reader.to_json(Record(payload))
        if isinstance(found, bytes):
            json.loads(found)
            assert len(found) <= reader.json_bytes_max
        elif isinstance(found, Fault) and found.reason is DeadLetterReason.UNSCORABLE:
            ours.append((payload, found.detail))
    assert ours == []


def test_the_document_of_a_record_is_bounded() -> None:
    """Names of fields that are not in the record make it many times as large."""
    names = [f"a_name_of_some_length_{number}" for number in range(100)]
    inner = {"type": "record", "name": "I", "fields": [{"name": name, "type": "boolean"} for name in names]}
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": {"type": "array", "items": inner}}]}
    reader = open_reader(source(plain("avro", json.dumps(schema))), SchemaRegistrySettings(url=None), BYTES_MAX)
    payload = avro(schema, {"x": [dict.fromkeys(names, False)] * 600})
    fault = reader.to_json(Record(payload))
    assert len(payload) <= BYTES_MAX
    assert isinstance(fault, Fault)
    assert fault.detail == f"more than {16 * BYTES_MAX} bytes as JSON"
