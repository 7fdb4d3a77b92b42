"""Intake's part of a partition without Kafka: formats, what is passed over, what becomes too large, what is handed on."""

import json
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

from models.features.capture import Capture
from models.sources.spec_file import parse_source
from schemas import codec
from schemas.dead_letter import DeadLetter
from schemas.privacy import PrivacyKey
from schemas.source_spec import SourceSpec
from schemas.topics import EVENTS, SOURCE_SPEC_HEADER
from services.engine.batches import Result
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import unscorable
from services.formats import open_reader
from services.intake.processor import IntakeProcessor
from services.intake.route import Router
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.formats.documents import Record, avro, plain, source

PAYMENT = {"id": "p-1", "at": 1_767_225_500_000, "card": "k1:4vn", "amount": 12.5}
EVENT = b'{"id":"p-1","time":1767225500000,"subject":"k1:4vn","amount":12.5}'
TRACE = [
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", b"a=b"),
    ("own", b"x"),
]


async def routed(spec: SourceSpec, records: Sequence[Record], **settings: Any) -> tuple[Result, Metrics]:
    """What is made of records, committed."""
    runtime, metrics = RuntimeSettings(**settings), Metrics()
    reader = open_reader(spec, SchemaRegistrySettings(), runtime.message_bytes_max)
    letters = DeadLetterWriter(PrivacyKey("test", b"k" * 32))
    where = TopicPartition("payments", 0)
    processor = IntakeProcessor(where, spec, reader, Router("", spec, 4), runtime, letters, metrics)
    assert isinstance(processor.snapshot(), Capture)
    result = await processor.process(list(records))
    processor.committed(result)
    refused = processor.refuse(unscorable(records[0], "ValueError"), folded=True)
    assert [write.values for write in refused.writes if write.topic == "dead-letters"]
    return result, metrics


def events(result: Result) -> list[bytes]:
    """Values for `events`, partition by partition."""
    return [value for write in result.writes if write.topic == EVENTS.name for value in write.values]


def letters(result: Result) -> list[DeadLetter]:
    """Dead letters."""
    found = [value for write in result.writes if write.topic == "dead-letters" for value in write.values]
    return [codec.read(DeadLetter, value) for value in found]


async def test_an_avro_record_is_an_event_and_its_dead_letter_speaks_of_the_record_itself() -> None:
    """The size of what lies on the topic, not of the JSON that was made of it."""
    fields = [{"name": "id", "type": "string"}, {"name": "at", "type": "long"}, {"name": "card", "type": "string"}]
    schema = {"type": "record", "name": "P", "fields": [*fields, {"name": "amount", "type": "double"}]}
    spec = source(plain("avro", json.dumps(schema)))
    assert spec.is_routed
    good, negative = avro(schema, PAYMENT), avro(schema, {**PAYMENT, "amount": -1.0})
    result, metrics = await routed(
        spec, [Record(good, offset=3), Record(negative, offset=4), Record(b"\xff", offset=5)]
    )
    assert events(result) == [EVENT]
    assert [(d.reason.value, d.source_offset, d.payload_bytes) for d in letters(result)] == [
        ("schema", 4, len(negative)),
        ("undecodable", 5, 1),
    ]
    assert metrics.events.labels("0")._value.get() == 1


async def test_deletions_of_an_envelope_are_passed_over_and_counted() -> None:
    """As what the spec does not select is."""
    change = {"op": "c", "after": PAYMENT, "ts_ms": 1, "source": {}}
    values = [change, {**change, "op": "d", "after": None, "before": PAYMENT}, {**change, "op": "z"}]
    records = [Record(json.dumps(value).encode(), offset=n) for n, value in enumerate(values)]
    result, metrics = await routed(source("json", "debezium"), [*records, Record(None, offset=3)])
    assert events(result) == [EVENT]
    assert [d.source_offset for d in letters(result)] == [2]
    assert metrics.unselected.labels("0")._value.get() == 2


async def test_an_event_that_outgrew_the_bound_is_a_dead_letter_of_intake() -> None:
    """It would be one of the scorer else, a hop later; its neighbours pass."""
    text = "version: 1\ntopic: payments\nrouted: true\nevent:\n  id: {path: i}\n  time: {path: t, unit: ms}\n"
    text += "  subject: {path: c}\n  amount: {path: a}\nattributes:\n  an_attribute_of_a_long_name: {type: number, path: b}\n"
    small = {"i": "1", "t": PAYMENT["at"], "c": "k", "a": 1}
    records = [
        Record(json.dumps(value).encode(), offset=n) for n, value in enumerate([small, {**small, "b": 1}, small])
    ]
    result, _ = await routed(parse_source(text), records, message_bytes_max=80)
    assert len(events(result)) == 2
    assert [(d.source_offset, d.reason.value, d.detail) for d in letters(result)] == [
        (1, "too_large", "its event takes more than 80 bytes")
    ]


async def test_an_event_names_its_spec_and_hands_the_trace_on() -> None:
    """And nothing else of the producer's headers."""
    spec = source("json").model_copy(update={"routed": True})
    result, _ = await routed(spec, [Record(json.dumps(PAYMENT).encode(), TRACE)])
    (write,) = [write for write in result.writes if write.topic == EVENTS.name]
    (headers,) = write.headers
    assert headers[-2:] == TRACE[:2]
    assert dict(headers)[SOURCE_SPEC_HEADER].decode() == spec.digest()[:16]
    assert [name for name, _ in headers if not name.startswith("assay-")] == ["traceparent", "tracestate"]
    assert write.keys == [b"k1:4vn"]
