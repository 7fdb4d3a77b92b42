"""The open loop against a real Kafka."""

from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Producer

from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from schemas.topics import LABELS, TRANSACTIONS
from services.clock import wall_ms
from services.kafka.client import reader
from services.kafka.topics_admin import create_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings
from services.simulator.payloads import Payload, payloads
from services.simulator.stream import Sent, SimulatorError, stream

PARTITIONS = 3
COUNT = 5000
RATE = 20_000.0


def records() -> Iterator[Payload]:
    return payloads(generate(SimulationSettings(seed=5, customers=300, terminals=600, days=None)), 0.01, 5)


@pytest.fixture
def kafka(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka_bootstrap)


@pytest.fixture
def topics(topic_prefix: str) -> TopicSettings:
    return TopicSettings(topic_prefix=topic_prefix, partitions=PARTITIONS)


async def test_records_arrive_in_order_with_the_moment_they_were_due(
    kafka: KafkaSettings, topics: TopicSettings
) -> None:
    """Each exactly once, a card's in order on one partition, timestamps rate apart and none before the start."""
    await create_topics(kafka, topics, (TRANSACTIONS, LABELS))
    begun_ms = wall_ms()
    sent = await stream(kafka, topics, RuntimeSettings(), records(), rate=RATE, count=COUNT)
    expected = [payload for payload, _ in zip(records(), range(COUNT), strict=False)]
    assert sent.records == COUNT
    assert sent.bad == sum(payload.garbage is not None for payload in expected)
    consumer = reader(kafka, [topics.topic_prefix + TRANSACTIONS.name])
    await consumer.start()
    read = []
    while len(read) < COUNT:
        read += [record for chunk in (await consumer.getmany(timeout_ms=500)).values() for record in chunk]
    await consumer.stop()
    by_key: dict[bytes, list[bytes]] = {}
    for payload in expected:
        by_key.setdefault(payload.key, []).append(payload.value)
    read_by_key: dict[bytes, list[bytes]] = {}
    for record in read:
        read_by_key.setdefault(record.key, []).append(record.value)
    assert read_by_key == by_key
    assert len({record.partition for record in read}) == PARTITIONS
    due_ms = sorted(record.timestamp for record in read)
    assert due_ms[0] >= begun_ms
    assert due_ms == [due_ms[0] + int(number * 1000 / RATE) for number in range(COUNT)]


async def test_a_duration_is_a_number_of_records(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """An open loop sends what is due in that time, whatever happens."""
    await create_topics(kafka, topics, (TRANSACTIONS, LABELS))
    told: list[Sent] = []
    sent = await stream(kafka, topics, RuntimeSettings(), records(), rate=500, duration_s=1.2, progress=told.append)
    assert sent.records == 600
    assert told
    assert all(state.records <= 600 for state in told)


async def test_keys_go_where_other_clients_would_put_them(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """The murmur2 partitioner, the default of Kafka's own client."""
    await create_topics(kafka, topics, (TRANSACTIONS, LABELS))
    name = topics.topic_prefix + TRANSACTIONS.name
    ours = [Payload(f"card-{number}".encode(), b"{}") for number in range(60)]
    await stream(kafka, topics, RuntimeSettings(), iter(ours), rate=10_000)
    theirs: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for payload in ours:
        producer.produce(
            name, b"", payload.key, callback=lambda error, message: theirs.update({message.key(): message.partition()})
        )
    producer.flush(30)
    consumer = reader(kafka)
    await consumer.start()
    consumer.assign([TopicPartition(name, number) for number in range(PARTITIONS)])
    placed: dict[bytes, set[int]] = {}
    seen = 0
    while seen < 2 * len(ours):
        for tp, chunk in (await consumer.getmany(timeout_ms=500)).items():
            seen += len(chunk)
            for record in chunk:
                placed.setdefault(record.key, set()).add(tp.partition)
    await consumer.stop()
    assert len(theirs) == len(ours)
    assert placed == {key: {partition} for key, partition in theirs.items()}


async def test_a_missing_topic_is_a_sentence(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """It names the command that makes it."""
    with pytest.raises(SimulatorError, match="assay topics create"):
        await stream(kafka, topics, RuntimeSettings(), records(), rate=10, count=1)
