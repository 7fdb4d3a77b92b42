"""The converter on a real Kafka, with a real registry: every message once, in order, with the same fields, through kills."""

import json
from typing import Any

import pytest

from schemas import codec
from schemas.alert import Alert
from schemas.base import Message
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.score import Score
from schemas.topics import ALERTS, CONVERTED, DECISIONS, SCORES, Topic, typed_copy
from services.formats.avro import AvroDocuments
from services.formats.framing import unframed
from services.formats.protobuf import ProtobufDocuments
from services.formats.schema_registry import SchemaRegistry
from services.kafka.topics_admin import create_topics
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.harness import Stream

SCORE = {
    "transaction_id": "t-1",
    "event_time_ms": 1_767_225_600_000,
    "card_id": "c-1",
    "probability": 0.25,
    "reconstruction_error": 0.1,
    "anomaly_percentile": 99.5,
    "alert": True,
    "model": "fraud/1@cpu",
}
REASON = {"feature": "f", "value": 1.0, "contribution": 0.5, "score": "probability", "text": "Much more than usual."}
ALERT = {**SCORE, "terminal_id": "-", "amount": 12.3, "triggers": ["probability"], "reasons": [REASON, REASON]}
DECISION = {
    **SCORE,
    "decision_id": "transactions-0-1",
    "decided_at_ms": 1_767_225_600_000,
    "bundle_digest": "0" * 64,
    "features": [1.0, 2.5],
    "probability_threshold": 0.2,
    "anomaly_percentile_threshold": 99.0,
    "outcome": "alert",
    "recorded_because": "alert",
    "challenger": {"model": "fraud/2@cpu", "probability": 0.0, "anomaly_percentile": 1.0, "alert": False},
}
MESSAGES: dict[Topic, tuple[type[Message], dict[str, Any]]] = {
    SCORES: (Score, SCORE),
    ALERTS: (Alert, ALERT),
    DECISIONS: (Decision, DECISION),
}
NUMBER = 400


def message(topic: Topic, i: int) -> dict[str, Any]:
    """The i-th message of a topic, as JSON has it in full."""
    schema, fields = MESSAGES[topic]
    return json.loads(codec.write(schema.model_validate_json(json.dumps({**fields, "transaction_id": f"t-{i}"}))))


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("form", ["avro", pytest.param("protobuf", marks=pytest.mark.slow)])
async def test_each_message_is_copied_once_and_in_order_and_reads_back_as_it_was(
    stream: Stream, schema_registry: str, form: Any
) -> None:
    """One converter dies between sends, one in its commit; what is no message of the topic is a dead letter."""
    await create_topics(stream.kafka, stream.topics, [typed_copy(topic, form) for topic in CONVERTED])
    for topic in CONVERTED:
        payloads = [json.dumps(message(topic, i)).encode() for i in range(NUMBER)]
        payloads[NUMBER // 2] = b'{"probability": 7}'
        await stream.send(payloads, [b"c-%d" % (i % 50) for i in range(NUMBER)], topic.name)
    environment = {
        "ASSAY_OUTPUT_FORMAT": form,
        "ASSAY_SCHEMA_REGISTRY_URL": schema_registry,
        "ASSAY_BATCH_RECORDS_MAX": "20",
        "ASSAY_DEAD_LETTER_SHARE_MAX": "1",
    }
    for failpoint in ("between_sends:5", "commit_sent:4"):
        assert stream.service("services.converter", **environment, ASSAY_FAILPOINT=failpoint).wait() != 0
    converter = stream.service("services.converter", **environment)
    registry = SchemaRegistry(SchemaRegistrySettings(url=schema_registry), "a test")
    documents = (AvroDocuments if form == "avro" else ProtobufDocuments)(registry, None, *[None] * (form != "avro"))
    for topic in CONVERTED:
        await stream.caught_up([converter], group=f"{stream.prefix}converter", name=topic.name)
        given, copies = await stream.read(topic.name), await stream.read(f"{topic.name}.{form}")
        given = [record for record in given if b"transaction_id" in record.value]
        assert [(c.partition, c.key, c.headers) for c in copies] == [(g.partition, g.key, g.headers) for g in given]
        await documents.look_up(documents.missing([copy.value for copy in copies]))
        clean = without_nulls if form == "protobuf" else lambda value: value
        assert [documents.document(copy.value) for copy in copies] == [clean(json.loads(g.value)) for g in given]
        found = await registry.latest(f"{stream.prefix}{topic.name}.{form}-value")
        assert found is not None
        assert {unframed(copy.value).schema_id for copy in copies} == {found[0]}
    letters = [codec.read(DeadLetter, record.value) for record in await stream.read("dead-letters")]
    assert sorted(letter.source_topic for letter in letters) == sorted(stream.prefix + t.name for t in CONVERTED)


def test_json_needs_no_converter(stream: Stream) -> None:
    """One sentence says so."""
    converter = stream.service("services.converter")
    assert converter.wait() == 2
    assert "ASSAY_OUTPUT_FORMAT is json, in which scores, alerts and decisions are already" in converter.log()
