"""A back-fill of payments of 2019, with record timestamps of 2019, on a Kafka that deletes what is too old every second."""

import asyncio
import json
import time
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from schemas.topics import DAY_MS, SCORES, TRANSACTIONS, source_timestamp_ms
from services.broker import EmbeddedKafka
from services.kafka.client import admin, reader
from services.kafka.topic_configs import Difference, alter
from tests.services.harness import WAIT_S_MAX, Stream, payment

THEN_MS = 1_546_300_800_000  # 2019-01-01
COUNT = 400
EAGER = {"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "500"}


async def begins(stream: Stream, topic: str) -> int:
    """First offset that retention has left on the first partition."""
    consumer = reader(stream.kafka)
    await consumer.start()
    try:
        source = TopicPartition(stream.prefix + topic, 0)
        return int((await consumer.beginning_offsets([source]))[source])
    finally:
        await consumer.stop()


async def send(producer: AIOKafkaProducer, topic: str, number: int) -> None:
    """One payment of 2019, its record stamped with its time."""
    time_ms = THEN_MS + number * 60_000
    value = json.dumps(payment(number, card=f"card-{number % 20}", event_time_ms=time_ms)).encode()
    await producer.send(topic, value, partition=0, timestamp_ms=time_ms)


@pytest.mark.slow
async def test_scores_and_decisions_of_a_back_fill_outlive_retention(tmp_path: Path) -> None:
    """As it was: outputs bore their inputs' timestamps, so retention deleted scores and 180-day decisions within minutes.

    A topic of the same retention whose records bear the old time shows that retention runs: it is emptied.
    """
    with EmbeddedKafka(properties=EAGER, quick=True) as kafka:
        stream = Stream(kafka.bootstrap, f"t-{uuid.uuid4().hex[:12]}.", tmp_path, partitions=1)
        await stream.create()
        name, canary = stream.prefix + TRANSACTIONS.name, "canary"
        keeps = Difference(name, "retention.ms", str(TRANSACTIONS.retention_ms), "-1", own=True)
        await alter(stream.kafka, stream.topics, [], [keeps])
        client = admin(stream.kafka)
        await client.start()
        await client.create_topics(
            [
                NewTopic(
                    stream.prefix + canary,
                    1,
                    1,
                    topic_configs={"retention.ms": str(SCORES.retention_ms), "message.timestamp.type": "CreateTime"},
                )
            ]
        )
        await client.close()
        scorer = stream.scorer(ASSAY_DECISION_SHARE="1")
        try:
            scorer.wait_ready()
            producer = AIOKafkaProducer(bootstrap_servers=stream.bootstrap)
            await producer.start()
            for number in range(COUNT):
                await send(producer, name, number)
            await producer.flush()
            await stream.caught_up([scorer])
            began_ms = time.time() * 1000
            await send(producer, stream.prefix + canary, 0)
            await producer.stop()
            deadline_s = time.monotonic() + WAIT_S_MAX
            while await begins(stream, canary) == 0:
                assert time.monotonic() < deadline_s, "retention never ran"
                await asyncio.sleep(0.2)
            for topic in ("scores", "decisions"):
                records = await stream.read(topic)
                assert len(records) == COUNT, topic
                assert min(record.timestamp for record in records) > began_ms - DAY_MS
                stamps = [source_timestamp_ms(record.headers) for record in records]
                assert stamps == [THEN_MS + number * 60_000 for number in range(COUNT)]
            verdict = await stream.verdict()
            assert verdict.clean, verdict.as_dict()
            assert (verdict.inputs, verdict.unjudged) == (COUNT, 0)
        finally:
            stream.close()


pytestmark = pytest.mark.broker
