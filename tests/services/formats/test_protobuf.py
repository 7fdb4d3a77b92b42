"""Protobuf becomes JSON: schemas compiled from their text, fields by the schema's names, no bytes that stop a partition."""

from typing import Any

import pytest

from schemas.codec import SchemaError, UndecodableError, UnknownSchemaError
from services.formats.protobuf import ProtobufDocuments, message_indexes
from services.formats.protobuf_schemas import parse
from tests.services.formats.documents import long

COMMON = 'syntax = "proto3"; package pay.v1; message Money { string value = 1; string currency = 2; }'
PAYMENT = """
syntax = "proto3";  // as a team would write it
package pay.v1;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "confluent/type/decimal.proto";
import "common.proto";
option java_package = "com.example";
message Payment {
  enum Kind { UNKNOWN = 0; CARD = 1; }
  message Device { bool rooted = 1; Device parent = 2; }
  string id = 1;
  google.protobuf.Timestamp at = 2;
  Money amount = 3;
  Kind kind = 4;
  map<string, Money> fees = 5;
  repeated int64 items = 6;
  optional double score = 7;
  oneof who { string name = 8; int64 number = 9; }
  bytes raw = 10;
  confluent.type.Decimal rate = 11;
  google.protobuf.StringValue note = 12;
  Device device = 13;
  float share = 14;
  google.protobuf.Struct extra = 15;
  Status status = 16;
  map<int64, bool> flags = 17;
  repeated Device devices = 18;
  reserved 20 to 30;
}
enum Status { OK = 0; BAD = 5; }
message Other { int64 x = 1; message Inner { int64 y = 1; } }
service Payments { rpc Get(Other) returns (Payment); }
"""
SCHEMA = parse(PAYMENT, [("common.proto", COMMON)])
MESSAGE = SCHEMA.named("pay.v1.Payment")
DEFAULTS = {
    "id": "",
    "kind": "UNKNOWN",
    "fees": {},
    "items": [],
    "raw": "",
    "share": 0.0,
    "status": "OK",
    "flags": {},
    "devices": [],
}


def payment(**fields: Any) -> Any:
    return MESSAGE._class(**fields)


def test_a_message_without_bytes_has_the_defaults_of_what_cannot_be_absent() -> None:
    """And lacks what can be."""
    assert MESSAGE.document(b"") == DEFAULTS


def test_every_kind_of_field_is_read_as_what_json_has_for_it() -> None:
    """64-bit numbers stay numbers, enums are names, times RFC 3339, decimals and bytes text."""
    message = payment(id="a", kind=1, items=[1, 2**62], score=0.0, number=5, raw=b"\xff", share=float("nan"), status=5)
    message.at.FromJsonString("2026-01-01T10:00:00.123456789Z")
    message.amount.value = "12.30"
    message.fees["card"].value = "1"
    message.rate.value, message.rate.scale = (-12345).to_bytes(3, "big", signed=True), 2
    message.note.value = "n"
    message.device.parent.rooted = True
    message.extra.update({"a": [1, None, {"b": True}]})
    message.flags[5] = True
    message.devices.add()
    assert MESSAGE.document(message.SerializeToString()) == {
        **DEFAULTS,
        "id": "a",
        "at": "2026-01-01T10:00:00.123456789Z",
        "amount": {"value": "12.30", "currency": ""},
        "kind": "CARD",
        "fees": {"card": {"value": "1", "currency": ""}},
        "items": [1, 2**62],
        "score": 0.0,
        "number": 5,
        "raw": "/w==",
        "rate": "-123.45",
        "note": "n",
        "device": {"rooted": False, "parent": {"rooted": True}},
        "share": "nan",
        "extra": {"a": [1.0, None, {"b": True}]},
        "status": "BAD",
        "flags": {"5": True},
        "devices": [{"rooted": False}],
    }


def test_proto2_is_read_with_its_groups_and_absent_fields() -> None:
    """There nothing has to be present but what is required."""
    text = (
        "message A { required string id = 1; optional int32 n = 2 [default = 5]; repeated int32 xs = 3 [packed=true]; "
        "optional group G = 4 { optional int32 q = 1; } extensions 100 to 200; enum E { X = 0; } optional E e = 9; }"
    )
    message = parse(text).named(None)
    value = message._class(id="x", xs=[1, 2])
    value.g.q = 3
    assert message.document(value.SerializeToString()) == {"id": "x", "xs": [1, 2], "g": {"q": 3}}


def test_an_enum_of_a_later_schema_is_its_number() -> None:
    """Not the name of another one."""
    assert MESSAGE.document(payment(kind=9).SerializeToString())["kind"] == 9


@pytest.mark.parametrize("payload", [b"\x0a\x05ab", b"\x0a", b"\xff" * 11, b"\x0a\x01\xff", b"\x6a\x02" * 3000])
def test_bytes_that_are_no_message_are_refused(payload: bytes) -> None:
    """Cut, not UTF-8, or something else."""
    with pytest.raises(UndecodableError):
        ProtobufDocuments(None, 'syntax="proto3"; message A { string a = 1; A b = 13; }', None).document(payload)


def test_a_hundred_levels_are_too_many() -> None:
    """Protobuf's own limit."""
    inner = b""
    for _ in range(120):
        inner = b"\x12" + long_length(len(inner)) + inner
    with pytest.raises(UndecodableError):
        ProtobufDocuments(None, 'syntax="proto3"; message A { string a = 1; A b = 2; }', None).document(inner)


def long_length(number: int) -> bytes:
    """A varint without zigzag."""
    made = b""
    while number > 0x7F:
        made, number = made + bytes([number & 0x7F | 0x80]), number >> 7
    return made + bytes([number])


def test_a_list_of_empty_messages_is_bounded() -> None:
    """Two bytes each would become a document of all their fields."""
    with pytest.raises(SchemaError, match="more than 10000 elements"):
        MESSAGE.document(b"\x92\x01\x00" * 10_001)


def test_the_place_of_a_message_leads_to_it() -> None:
    """One zero is short for the first; the others are an index at each level."""
    assert message_indexes(b"\x00abc") == ((0,), 1)
    nested = long(2) + long(1) + long(0)
    assert message_indexes(nested + b"abc") == ((1, 0), len(nested))
    assert SCHEMA.at((1, 0)).document(b"\x08\x03") == {"y": 3}
    for wrong in (b"", b"\x80", long(-1), long(1000)):
        with pytest.raises(UndecodableError):
            message_indexes(wrong)
    with pytest.raises(UnknownSchemaError):
        SCHEMA.at((7,))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense {", "not a .proto file, in line 1"),
        ('syntax = "proto3"; message A { string a = 1 }', "not a .proto file"),
        ('syntax = "proto3"; message A { Nope x = 1; }', "cannot be read"),
        ('syntax = "proto3"; import "no.proto"; message A {}', "imports 'no.proto'"),
        ('syntax = "proto3"; message A { string a = 1; string b = 1; }', "cannot be read"),
    ],
)
def test_a_schema_that_cannot_be_compiled_says_why(text: str, why: str) -> None:
    """A mistake that is passed over would give other fields."""
    with pytest.raises(UnknownSchemaError, match=why):
        parse(text)


def test_plain_records_of_several_messages_are_asked_for_one() -> None:
    """The first is no better than the others."""
    with pytest.raises(UnknownSchemaError, match="it has 2 messages"):
        SCHEMA.named(None)
    with pytest.raises(UnknownSchemaError, match=r"no message Nope, but pay\.v1\.Payment"):
        SCHEMA.named("Nope")
