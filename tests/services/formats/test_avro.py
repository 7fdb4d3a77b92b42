"""Avro becomes JSON without losing anything, and no bytes and no schema can stop a partition."""

import json
import math
import struct
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import SchemaError, TooDeepError, UndecodableError
from services.errors import AssayError
from services.formats.avro import AvroDocuments
from tests.services.formats.documents import avro, long

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT_MS = 1_767_225_600_000


def record(**types: Any) -> dict[str, Any]:
    """A schema with these fields."""
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in types.items()]}


def read(schema: Any, payload: bytes) -> Any:
    return AvroDocuments(None, json.dumps(schema)).document(payload)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ({"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}, Decimal("-12.30"), "-12.30"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 0}, Decimal(10**25), str(10**25)),
        (
            {"type": "fixed", "name": "F", "size": 6, "logicalType": "decimal", "precision": 10, "scale": 3},
            Decimal("1.5"),
            "1.500",
        ),
        ({"type": "long", "logicalType": "timestamp-millis"}, MOMENT, MOMENT_MS),
        ({"type": "long", "logicalType": "timestamp-micros"}, MOMENT, MOMENT_MS * 1000),
        (["null", {"type": "long", "logicalType": "local-timestamp-millis"}], None, None),
        ({"type": "int", "logicalType": "date"}, date(2026, 1, 2), "2026-01-02"),
        ({"type": "string", "logicalType": "uuid"}, str(uuid.UUID(int=7)), str(uuid.UUID(int=7))),
        ({"type": "enum", "name": "E", "symbols": ["CARD", "CASH"]}, "CASH", "CASH"),
        ("bytes", b"\x00\xff", "AP8="),
        ({"type": "fixed", "name": "G", "size": 2}, b"\x00\xff", "AP8="),
        ("long", 2**63 - 1, 2**63 - 1),
        ("double", float("nan"), "nan"),
        ("double", float("-inf"), "-inf"),
        ("float", float("inf"), "inf"),
        ({"type": "array", "items": ["null", "float"]}, [0.5, float("nan"), None], [0.5, "nan", None]),
        (["null", "double"], 0.1, 0.1),
        ({"type": "array", "items": "float"}, [0.5], [0.5]),
        ({"type": "map", "values": ["null", "string"]}, {"k": None}, {"k": None}),
    ],
)
def test_each_type_is_read_as_what_json_has_for_it(kind: Any, value: Any, expected: Any) -> None:
    """Decimals are text, times numbers in their unit, days and enums text, bytes base64; NaN is no number."""
    schema = record(x=kind)
    assert read(schema, avro(schema, {"x": value})) == {"x": expected}


@given(st.binary(min_size=8, max_size=8))
def test_any_bytes_of_a_number_are_that_number_or_a_text(bits: bytes) -> None:
    """Whichever of its two forms a schema is read in: null would be silently another value."""
    for kind, form, size in (("double", "<d", 8), ("float", "<f", 4)):
        (value,) = struct.unpack(form, bits[:size])
        found = read(record(x=kind), bits[:size])["x"]
        assert found == (value if math.isfinite(value) else str(value))


def test_a_value_that_is_cut_or_has_too_many_bytes_is_refused() -> None:
    """A shorter text, or what lies behind a record, would be another record."""
    schema = record(a="string", b="long")
    payload = avro(schema, {"a": "payment", "b": 3})
    for wrong in (payload[:-1], payload[:3], payload + b"\x00", b"", long(1 << 40) + b"abc", long(-5) + b"abc"):
        with pytest.raises(UndecodableError):
            read(schema, wrong)


def test_a_list_that_claims_more_than_its_bytes_is_refused() -> None:
    """And one whose elements need no bytes never gets as far as a record."""
    with pytest.raises(UndecodableError):
        read({"type": "array", "items": "int"}, long(1 << 60) + b"\x00\x00")
    for items in ("null", {"type": "fixed", "name": "N", "size": 0}, {**record(a="null"), "name": "Q"}):
        with pytest.raises(AssayError, match="a list of values without bytes"):
            read(record(x={"type": "array", "items": items}), b"")


def test_a_record_within_itself_is_read_to_a_depth_that_is_bounded() -> None:
    """A million levels need a million bytes, and would end the process."""
    schema = {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}
    assert read(schema, b"\x02\x02\x00") == {"next": {"next": {"next": None}}}
    with pytest.raises(TooDeepError):
        read(schema, b"\x02" * 1_000_000 + b"\x00")


def test_a_decimal_of_thousands_of_digits_is_refused() -> None:
    """To write one down takes the square of its length."""
    schema = record(x={"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2})
    with pytest.raises(SchemaError, match="too many digits"):
        read(schema, long(60_000) + b"\x7f" * 60_000)


@pytest.mark.parametrize("text", ["nope", '{"type": "record"}', '"x"', "[" * 5000, "{}", "17"])
def test_a_schema_that_is_none_is_one_sentence(text: str) -> None:
    """At the start, before any record."""
    with pytest.raises(AssayError, match=r"Avro schema cannot be used: .* Correct schema_file"):
        AvroDocuments(None, text)
