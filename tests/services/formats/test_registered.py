"""Records that name a schema of a real registry: looked up once, in all their versions, on a real topic too."""

import json
import uuid
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from models.sources.parser import EventParser
from schemas.dead_letter import DeadLetterReason
from services.engine.faults import Fault
from services.formats import RecordReader, open_reader
from services.formats import schema_registry as client
from services.formats.framing import framed
from services.formats.schema_registry import RegisteredSchema, RejectedSchemaError, SchemaRegistry
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.formats.documents import BYTES_MAX, Record, avro, long, source
from tests.services.formats.test_protobuf import COMMON, PAYMENT, payment

pytestmark = pytest.mark.broker

FIRST: dict[str, Any] = {
    "type": "record",
    "name": "Payment",
    "namespace": "pay",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "card", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}
SECOND = {**FIRST, "fields": [*FIRST["fields"][:4], {"name": "channel", "type": "string", "default": "web"}]}
"""A field added with a default, and one removed."""

RENAMED = {**FIRST, "fields": [*FIRST["fields"][:2], {"name": "pan_token", "type": "string", "aliases": ["card"]}]}
EVENT = {"id": "p-1", "at": 1_767_225_600_000, "card": "c-1", "amount": b"\x04\xce"}


@pytest.fixture
def settings(schema_registry: str) -> SchemaRegistrySettings:
    return SchemaRegistrySettings(url=schema_registry)


@pytest.fixture
def registry(settings: SchemaRegistrySettings) -> SchemaRegistry:
    return SchemaRegistry(settings, "a test")


@pytest.fixture
def subject() -> str:
    """That no other test has, with a character that a path must not hold."""
    return f"t/{uuid.uuid4().hex[:8]}-value"


def raw(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    """A record whose decimal is given as its bytes."""
    bare = json.loads(json.dumps(schema).replace('"logicalType": "decimal", ', ""))
    return avro(bare, value)


async def read(reader: RecordReader, record: Record) -> Any:
    await reader.prepare([record])
    found = reader.to_json(record)
    return json.loads(found) if isinstance(found, bytes) else found


def avro_schema(schema: dict[str, Any]) -> RegisteredSchema:
    return RegisteredSchema("AVRO", json.dumps(schema))


async def test_versions_of_a_schema_are_each_read_as_they_were_written(
    registry: SchemaRegistry, settings: SchemaRegistrySettings, subject: str
) -> None:
    """A field that a version lacks is absent; the others do not move."""
    first = await registry.register(subject, avro_schema(FIRST))
    second = await registry.register(subject, avro_schema(SECOND))
    assert await registry.register(subject, avro_schema(FIRST)) == first != second
    reader = open_reader(source("avro"), settings, BYTES_MAX)
    common = {"id": "p-1", "at": 1_767_225_600_000, "card": "c-1", "amount": "12.30"}
    assert await read(reader, Record(framed(first, raw(FIRST, {**EVENT, "note": "n"})))) == {**common, "note": "n"}
    assert await read(reader, Record(framed(second, raw(SECOND, {**EVENT, "channel": "pos"})))) == {
        **common,
        "channel": "pos",
    }


async def test_a_schema_of_the_spec_says_how_every_version_is_read(
    registry: SchemaRegistry, settings: SchemaRegistrySettings, subject: str
) -> None:
    """Defaults are filled in, and a field is found under its alias: Avro's own rules."""
    written = await registry.register(subject, avro_schema(FIRST))
    for schema, expected in (
        (SECOND, {"id": "p-1", "at": 1_767_225_600_000, "card": "c-1", "amount": "12.30", "channel": "web"}),
        (RENAMED, {"id": "p-1", "at": 1_767_225_600_000, "pan_token": "c-1"}),
    ):
        form = json.dumps({"type": "avro", "schema_text": json.dumps(schema)})
        reader = open_reader(source(form), settings, BYTES_MAX)
        assert await read(reader, Record(framed(written, raw(FIRST, {**EVENT, "note": None})))) == expected
    other = {"type": "record", "name": "Payment", "namespace": "pay", "fields": [{"name": "must", "type": "int"}]}
    reader = open_reader(source(json.dumps({"type": "avro", "schema_text": json.dumps(other)})), settings, BYTES_MAX)
    fault = await read(reader, Record(framed(written, raw(FIRST, {**EVENT, "note": None}))))
    assert (fault.reason, fault.detail) == (
        DeadLetterReason.UNKNOWN_SCHEMA,
        "its schema cannot be read as the source spec's",
    )


async def test_a_protobuf_message_is_found_by_its_place_and_through_references(
    registry: SchemaRegistry, settings: SchemaRegistrySettings, subject: str
) -> None:
    """The registry answers with text, and with the subjects that the text imports."""
    await registry.register(subject, RegisteredSchema("PROTOBUF", COMMON))
    body = {"schemaType": "PROTOBUF", "schema": PAYMENT}
    body["references"] = [{"name": "common.proto", "subject": subject, "version": 1}]  # type: ignore[assignment]
    answer = await registry._ask(f"/subjects/{client._quoted(subject + '2')}/versions", body)
    reader = open_reader(source("protobuf"), settings, BYTES_MAX)
    message = payment(id="p-1", kind=1)
    message.amount.value = "12.30"
    found = await read(reader, Record(framed(answer["id"], b"\x00" + message.SerializeToString())))
    assert (found["id"], found["kind"], found["amount"]["value"]) == ("p-1", "CARD", "12.30")
    inner = framed(answer["id"], long(2) + long(1) + long(0) + b"\x08\x03")
    assert await read(reader, Record(inner)) == {"y": 3}
    fault = await read(reader, Record(framed(answer["id"], long(1) + long(9))))
    assert fault.reason is DeadLetterReason.UNKNOWN_SCHEMA


async def test_an_id_that_the_registry_does_not_have_is_one_fault_and_is_not_asked_for_again(
    registry: SchemaRegistry, settings: SchemaRegistrySettings, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbour in the batch is read; and so is what is of another kind than the spec says, refused."""
    monkeypatch.setattr(client, "UNKNOWN_PAUSE_S", 0.0)
    known = await registry.register(subject, avro_schema(FIRST))
    other = await registry.register(f"{subject}2", RegisteredSchema("PROTOBUF", COMMON))
    reader = open_reader(source("avro"), settings, BYTES_MAX)
    records = [
        Record(framed(1 << 30, b"x"), offset=0),
        Record(framed(known, raw(FIRST, {**EVENT, "note": None})), offset=1),
        Record(framed(other, b"x"), offset=2),
    ]
    await reader.prepare(records)
    asked = reader._documents._compiled._registry.requests  # type: ignore[attr-defined]
    await reader.prepare(records)
    assert reader._documents._compiled._registry.requests == asked  # type: ignore[attr-defined]
    unknown, read_well, mistaken = map(reader.to_json, records)
    assert isinstance(unknown, Fault)
    assert (unknown.reason, unknown.detail) == (
        DeadLetterReason.UNKNOWN_SCHEMA,
        f"the registry has no schema {1 << 30}",
    )
    assert isinstance(read_well, bytes)
    assert isinstance(mistaken, Fault)
    assert mistaken.detail == f"schema {other} is PROTOBUF, and the source spec says AVRO"


async def test_a_schema_that_the_registry_refuses_is_one_sentence(registry: SchemaRegistry, subject: str) -> None:
    """Its own word, not an outage."""
    with pytest.raises(RejectedSchemaError, match="refuses our schema"):
        await registry.register(subject, RegisteredSchema("AVRO", '{"type": "nonsense"}'))


async def test_a_topic_of_avro_is_read_as_the_events_of_its_spec(
    kafka_bootstrap: str, topic_prefix: str, registry: SchemaRegistry, settings: SchemaRegistrySettings
) -> None:
    """From Kafka's bytes to the columns that every stage works on."""
    topic = f"{topic_prefix}payments"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    schema_id = await registry.register(f"{topic}-value", avro_schema(FIRST))
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, enable_idempotence=True) as producer:
        for number in range(3):
            value = framed(schema_id, raw(FIRST, {**EVENT, "id": f"p-{number}", "note": None}))
            await producer.send_and_wait(topic, value, key=b"merchant")
    spec = source("avro")
    reader = open_reader(spec, settings, BYTES_MAX)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    async with consumer:
        records = [await consumer.getone() for _ in range(3)]
    await reader.prepare(records)
    events = EventParser(spec).batch([made for record in records if isinstance(made := reader.to_json(record), bytes)])
    assert events is not None
    assert events.ids == ["p-0", "p-1", "p-2"]
    assert events.amount.tolist() == [12.3] * 3
    assert events.time_ms.tolist() == [EVENT["at"]] * 3
