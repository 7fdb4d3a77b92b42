"""What an outsider writes and sees: another Kafka client, plain JSON, and the exported JSON Schemas."""

import json
from typing import Any

import jsonschema
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from schemas.topics import ANSWERS, CONTROL_ANSWERS, SCORER_OUTPUTS, SCORES, TRANSACTIONS
from tests.services.engine.test_decode import BAD
from tests.services.harness import ROOT, Stream, payment

POSITION = {"assay-source-topic", "assay-source-partition", "assay-source-offset", "assay-source-timestamp-ms"}
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def read_all(stream: Stream, topic: str) -> list[Any]:
    """Every committed record of a topic, through librdkafka."""
    consumer = Consumer(
        {
            "bootstrap.servers": stream.bootstrap,
            "group.id": "outsider",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    name = stream.prefix + topic
    partitions = range(len(consumer.list_topics(name, 30).topics[name].partitions))
    consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in partitions])
    records, ended = [], set()
    while len(ended) < len(partitions):
        record = consumer.poll(30)
        assert record is not None, f"{name} did not end"
        if record.error():
            ended.add(record.partition())
        else:
            records.append(record)
    consumer.close()
    return records


def write_all(stream: Stream, payloads: list[bytes], codec: str) -> None:
    """To the partitions in turn, through librdkafka, compressed."""
    producer = Producer({"bootstrap.servers": stream.bootstrap, "compression.type": codec, "linger.ms": 50})
    for i, payload in enumerate(payloads):
        producer.produce(stream.prefix + TRANSACTIONS.name, payload, b"k", partition=i % stream.partitions)
    assert producer.flush(30) == 0


def schema_of(topic: str) -> Any:
    """The exported JSON Schema of a topic."""
    return json.loads((ROOT / "schemas/json" / f"{topic}.json").read_text())


@pytest.mark.parametrize("topic", [topic.name for topic in SCORER_OUTPUTS])
def test_every_topic_has_an_exported_schema(topic: str) -> None:
    """An outsider finds it by the topic's name."""
    assert schema_of(topic)["properties"]


@pytest.mark.slow
async def test_an_outsider_writes_in_any_codec_and_reads_every_topic_as_the_exported_schemas_say(
    stream: Stream,
) -> None:
    """librdkafka, json and jsonschema: keys, headers and payloads; each payment is scored however it was compressed."""
    scorer = stream.scorer(ASSAY_DECISION_SHARE="0.5")
    paid = [payment(i, amount=900.0 if i % 50 == 0 else 25.0) for i in range(1000)]
    for i, one in enumerate(paid):
        one["event_time_ms"] += i * 240_000  # three days, so that some are over
    good = [json.dumps(one).encode() for one in paid]
    share = len(good) // len(CODECS)
    for place, codec in enumerate(CODECS):
        write_all(stream, good[place * share : (place + 1) * share], codec)
    await stream.send([payload for payload, _ in BAD])
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    assert len(read_all(stream, SCORES.name)) == len(good)
    # no one commands (see test_swap), and no one asks (see tests/services/gateway)
    for topic in (topic for topic in SCORER_OUTPUTS if topic not in (CONTROL_ANSWERS, ANSWERS)):
        records = read_all(stream, topic.name)
        validator = jsonschema.Draft202012Validator(schema_of(topic.name))
        assert records, topic.name
        for record in records:
            value = json.loads(record.value())
            validator.validate(value)
            headers = dict(record.headers())
            assert set(headers) == POSITION | ({"assay-profiles-offset"} if topic.key == "card_id" else set())
            assert headers["assay-source-topic"].decode() == f"{stream.prefix}transactions"
            assert topic.partitions == "one" or int(headers["assay-source-partition"]) == record.partition()
            assert record.key() == (None if topic.key == "none" else value[topic.key].encode())
