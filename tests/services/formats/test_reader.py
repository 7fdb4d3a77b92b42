"""A record of any format and envelope becomes the event's own JSON, one fault, or a record that is passed over."""

import base64
import json
from typing import Any

import pytest

from schemas.dead_letter import DeadLetterReason
from services.engine.faults import Fault
from services.errors import AssayError, SettingsError
from services.formats import PassedOver, RecordReader, open_reader
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.formats.documents import BYTES_MAX, Record, avro, plain, source

EVENT = {"id": "p-1", "at": 1, "card": "c", "amount": "12.30"}
AVRO = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": "long"},
        {"name": "card", "type": "string"},
        {"name": "amount", "type": "string"},
    ],
}
CHANGE = {
    "type": "record",
    "name": "Envelope",
    "fields": [
        {"name": "before", "type": ["null", AVRO]},
        {"name": "after", "type": ["null", "Payment"]},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"]},
    ],
}
CLOUD = {"specversion": "1.0", "id": "e-1", "source": "/bank", "type": "payment"}


def reader(form: str = "json", envelope: str = "none") -> RecordReader:
    return open_reader(source(form, envelope), SchemaRegistrySettings(url=None), BYTES_MAX)


def made(record: Record, form: str = "json", envelope: str = "none") -> Any:
    found = reader(form, envelope).to_json(record)
    return json.loads(found) if isinstance(found, bytes) else found


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_json_without_an_envelope_is_passed_on_as_it_stands() -> None:
    """Byte by byte."""
    payload = b'{"id" :  1.10}'
    assert reader().to_json(Record(payload)) == payload


def test_json_behind_the_id_of_a_schema_is_read_without_a_registry() -> None:
    """The five bytes go, and nothing else does."""
    payload = encoded(EVENT)
    assert reader("json_schema").to_json(Record(b"\x00\x00\x00\x00\x07" + payload)) == payload
    for wrong in (payload, b"\x00\x00"):
        fault = reader("json_schema").to_json(Record(wrong))
        assert isinstance(fault, Fault)
        assert fault.reason is DeadLetterReason.UNDECODABLE


def test_plain_avro_is_read_by_the_schema_of_the_spec() -> None:
    """No registry is asked for."""
    assert made(Record(avro(AVRO, EVENT)), plain("avro", json.dumps(AVRO))) == EVENT


@pytest.mark.parametrize("op", ["c", "r", "u"])
@pytest.mark.parametrize("with_schema", [False, True])
def test_what_debezium_writes_is_the_row_after_the_change(op: str, with_schema: bool) -> None:
    """Beside it stands how it came about, so that a spec can select what is new."""
    change = {"before": None, "after": EVENT, "op": op, "ts_ms": 5, "source": {"table": "payments"}}
    value = {"schema": None, "payload": change} if with_schema else change
    expected = {**EVENT, "__op": op, "__ts_ms": 5, "__source": {"table": "payments"}}
    assert made(Record(encoded(value)), envelope="debezium") == expected


def test_debezium_in_avro_is_read_alike() -> None:
    """The envelope is a record of its own there."""
    payload = avro(CHANGE, {"before": None, "after": EVENT, "op": "c", "ts_ms": 5})
    found = made(Record(payload), plain("avro", json.dumps(CHANGE)), "debezium")
    assert found == {**EVENT, "__op": "c", "__ts_ms": 5, "__source": None}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "tombstone"),
        (encoded({"before": EVENT, "after": None, "op": "d"}), "delete"),
        (encoded({"op": "t"}), "truncate"),
        (encoded({"op": "m", "message": {}}), "message"),
        (encoded({"schema": {}, "payload": None}), "tombstone"),
    ],
)
def test_deletions_are_passed_over_with_their_reason(value: bytes | None, why: str) -> None:
    """No event happened, and nothing is wrong."""
    record = Record(value)
    assert made(record, envelope="debezium") == PassedOver(record, why)


def test_decimals_of_connect_are_text_with_their_scale() -> None:
    """As JSON they are bytes, and the scale is in the schema alone."""
    schema = {
        "type": "struct",
        "fields": [
            {
                "field": "amount",
                "type": "bytes",
                "name": "org.apache.kafka.connect.data.Decimal",
                "parameters": {"scale": "2"},
            },
            {"field": "id", "type": "string"},
            {
                "field": "parts",
                "type": "array",
                "items": {"type": "struct", "name": "io.debezium.data.VariableScaleDecimal"},
            },
        ],
    }
    payload = {
        "amount": base64.b64encode((-1230).to_bytes(2, "big", signed=True)).decode(),
        "id": "p-1",
        "parts": [{"scale": 1, "value": base64.b64encode(b"\x0f").decode()}],
    }
    expected = {"amount": "-12.30", "id": "p-1", "parts": ["1.5"]}
    assert made(Record(encoded({"schema": schema, "payload": payload})), envelope="connect") == expected
    change = {"schema": {"type": "struct", "fields": [{"field": "after", **schema}]}, "payload": {"op": "c"}}
    change["payload"]["after"] = payload
    found = made(Record(encoded(change)), envelope="debezium")
    assert {name: found[name] for name in expected} == expected


def test_a_cloud_event_is_the_same_document_in_both_modes() -> None:
    """Attributes beside `data`, whether they come in the value or in headers."""
    expected = {**CLOUD, "data": EVENT}
    structured = Record(encoded(expected), [("content-type", b"application/cloudevents+json; charset=utf-8")])
    headers = [(f"ce_{name}", value.encode()) for name, value in CLOUD.items()]
    binary = Record(encoded(EVENT), [*headers, ("content-type", b"application/json")])
    packed = Record(encoded({**CLOUD, "data_base64": base64.b64encode(encoded(EVENT)).decode()}))
    for record in (structured, binary, packed):
        assert made(record, envelope="cloudevents") == expected
    in_avro = Record(avro(AVRO, EVENT), headers)
    assert made(in_avro, plain("avro", json.dumps(AVRO)), "cloudevents") == expected


@pytest.mark.parametrize(
    ("record", "envelope", "reason"),
    [
        (Record(None), "none", DeadLetterReason.EMPTY),
        (Record(None), "cloudevents", DeadLetterReason.EMPTY),
        (Record(b"{"), "debezium", DeadLetterReason.UNDECODABLE),
        (Record(b"[]"), "debezium", DeadLetterReason.SCHEMA),
        (Record(b'{"op": "x"}'), "debezium", DeadLetterReason.SCHEMA),
        (Record(b'{"op": "c", "after": 3}'), "debezium", DeadLetterReason.SCHEMA),
        (Record(b'{"id": 1}'), "connect", DeadLetterReason.SCHEMA),
        (Record(b'{"payload": 7}'), "connect", DeadLetterReason.SCHEMA),
        (Record(b'{"id": "1"}'), "cloudevents", DeadLetterReason.SCHEMA),
        (Record(b"{}", [("ce_specversion", b"\xff")]), "cloudevents", DeadLetterReason.SCHEMA),
        (Record(b'{"a":' * 200 + b"1" + b"}" * 200), "debezium", DeadLetterReason.TOO_DEEP),
        (Record(b"x" * (BYTES_MAX + 1)), "connect", DeadLetterReason.TOO_LARGE),
    ],
)
def test_what_is_not_in_its_envelope_is_one_fault(record: Record, envelope: str, reason: DeadLetterReason) -> None:
    """With a reason, in words of ours."""
    fault = made(record, envelope=envelope)
    assert isinstance(fault, Fault)
    assert (fault.record, fault.reason) == (record, reason)


async def test_nothing_is_looked_up_where_nothing_has_to_be() -> None:
    """JSON and plain records need no registry."""
    for form in ("json", "json_schema", plain("avro", json.dumps(AVRO))):
        with_reader = reader(form)
        await with_reader.prepare([Record(b"\x00\x00\x00\x00\x07"), Record(None)])
        await with_reader.close()


def test_a_registry_that_is_needed_and_not_set_is_one_sentence() -> None:
    """With the setting's name."""
    with pytest.raises(
        SettingsError, match="source spec of payments needs a schema registry: set ASSAY_SCHEMA_REGISTRY_URL"
    ):
        reader("avro")


def test_a_plain_schema_that_cannot_be_used_is_one_sentence() -> None:
    """At the start."""
    with pytest.raises(AssayError, match=r"Protobuf schema cannot be used: its schema is not a \.proto file"):
        reader(plain("protobuf", "message {"))
