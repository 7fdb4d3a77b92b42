"""An input topic that is deleted and made again, or grows, under a scorer and a broker that are real."""

import json

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.structs import OffsetAndMetadata

from schemas.topics import TRANSACTIONS
from services.cli.operating.standing import former_logs
from services.engine.offset_notes import OffsetNote
from services.errors import AssayError
from services.kafka.client import admin, plain_producer, reader
from services.replay.log import KafkaLog
from services.settings.processing import RuntimeSettings
from tests.services.harness import Stream, payment
from tests.services.scorer.test_standing_still import until


def payments(first: int, last: int) -> list[bytes]:
    """Of these numbers."""
    return [json.dumps(payment(i)).encode() for i in range(first, last)]


def log_of(stream: Stream) -> KafkaLog:
    """As a replay reads it; it looks at the group before it needs a consumer."""
    return KafkaLog(stream.kafka, stream.topics, stream.group, None)


async def commit(stream: Stream, note: OffsetNote) -> None:
    """An offset of the group with this note."""
    consumer = reader(stream.kafka, group=stream.group)
    await consumer.start()
    source = TopicPartition(stream.prefix + TRANSACTIONS.name, 0)
    consumer.assign([source])
    await consumer.commit({source: OffsetAndMetadata(10, str(note))})
    await consumer.stop()


@pytest.mark.slow
async def test_a_topic_made_again_under_a_running_scorer_is_said_and_scored_once_accepted(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No score of the new log is made with the old log's state, whether the process runs on, is killed, or starts again."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_GROUP", stream.group)
    scorer = stream.scorer(ASSAY_SNAPSHOT_INTERVAL_S="1")
    await stream.send(payments(0, 200))
    await stream.caught_up([scorer])
    # what tells the former log once its offsets are gone: a partition without a snapshot would begin at the new log's first
    saved = [{"partition": str(partition)} for partition in range(stream.partitions)]
    await until(lambda: all(scorer.metric("assay_snapshot_bytes", **labels) for labels in saved), scorer)
    made = len(await stream.read("scores"))
    now_id = await stream.make_again()
    await stream.send(payments(200, 1000))
    await until(lambda: now_id in scorer.get("/readyz")[1], scorer)
    status, why = scorer.get("/readyz")
    assert status == 503
    assert f"ASSAY_ACCEPTED_LOGS={now_id}" in why
    assert scorer.metric("assay_log_replaced", topic=stream.prefix + TRANSACTIONS.name) == 1
    assert scorer.log().count("log.replaced") == 1
    scorer.kill()
    again = stream.scorer()
    assert again.wait() == 2
    assert f"ASSAY_ACCEPTED_LOGS={now_id}" in again.log()
    assert "Traceback" not in again.log()
    assert len(await stream.read("scores")) == made
    # the brokers deleted the group's offsets with the topic; older ones, and other clusters, keep them
    for looked in (stream.verdict, log_of(stream).spans):
        with pytest.raises(AssayError, match="another log of this name"):
            await looked()
    await commit(stream, OffsetNote("a" * 32))
    for looked in (stream.verdict, log_of(stream).spans, former_logs):
        with pytest.raises(AssayError, match=f"another log of this name.*{now_id}"):
            await looked()
    accepted = stream.scorer(ASSAY_ACCEPTED_LOGS=now_id)
    await stream.caught_up([accepted])
    fresh = (await stream.read("scores"))[:]
    assert len(fresh) == made + 800
    assert accepted.terminate() == 0
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert (verdict.inputs, verdict.scores, verdict.uncounted) == (800, 800, 0)
    assert verdict.former >= made
    log = KafkaLog(stream.kafka, stream.topics, stream.group, reader(stream.kafka))
    await log._consumer.start()
    await log.spans()
    replayed = [score async for scores in log.scores(None) for score in scores]
    await log._consumer.stop()
    assert len(replayed) == 800
    assert await former_logs() == "the groups are at the inputs that are there"
    stays = stream.scorer(ASSAY_ACCEPTED_LOGS=now_id)
    stays.wait_ready()
    assert stays.log().count("log.accepted") == 0
    assert len(await stream.read("scores")) == made + 800


async def test_partitions_that_are_added_are_scored_within_seconds_from_their_first_record(stream: Stream) -> None:
    """From 4 to 6 while it runs; also where the group began at the end of the topic, what came before it saw them counts."""
    scorer = stream.scorer(ASSAY_START_FROM="latest")
    scorer.wait_ready()
    await stream.send(payments(0, 40))
    await stream.caught_up([scorer])
    name = stream.prefix + TRANSACTIONS.name
    client = admin(stream.kafka)
    await client.start()
    await client.create_partitions({name: NewPartitions(6)})
    await client.close()
    producer = plain_producer(stream.kafka, RuntimeSettings())
    await producer.start()
    for number, value in enumerate(payments(100, 112)):
        await producer.send_and_wait(name, value, partition=number % 6)
    await producer.stop()
    await until(lambda: scorer.metric("assay_records_total") == 52, scorer)
    await until(lambda: scorer.log().count("topic.partitions_added") == 1, scorer)
    assert scorer.metric("assay_partitions_added", topic=name) == 2
