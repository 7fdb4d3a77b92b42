"""Rows of the fault table that need one scorer and one broker."""

import asyncio
import json
import resource
import signal

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas import codec
from schemas.dead_letter import DeadLetter, DeadLetterReason
from services.kafka.client import admin
from tests.chaos.bits import bits
from tests.chaos.system import SNAPSHOT_BYTES_MAX, limit_files
from tests.services.harness import ROOT, Scorer, Stream, payment

BOMB_BYTES = 64 << 20


def paid(start: int, end: int, cards: int = 500) -> list[bytes]:
    """Payments start to end."""
    amounts = [900.0 if i % 100 == 99 else 25.0 for i in range(start, end)]
    paid = [payment(i, card=f"card-{i % cards:04d}", amount=amounts[i - start]) for i in range(start, end)]
    return [json.dumps(one).encode() for one in paid]


async def assert_whole(stream: Stream, inputs: int) -> None:
    """The oracle finds no damage, and a replay no other bit."""
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert (verdict.inputs, verdict.lag) == (inputs, 0)
    compared, differing, examples = await bits(stream, [ROOT / "deploy/bundles/fraud"])
    assert (compared, differing) == (verdict.scores, 0), examples


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="only Linux limits the files of a running process: run it there"
)
async def test_a_full_disk_stops_no_scorer_and_costs_no_score(stream: Stream) -> None:
    """Snapshots fail, are counted, and are saved again once there is room; a kill in between restores from what there is."""
    scorer = stream.scorer(ASSAY_BATCH_RECORDS_MAX="50", ASSAY_SNAPSHOT_INTERVAL_S="0.05")
    scorer.wait_ready()
    await stream.send(paid(0, 500, cards=4000))
    await stream.caught_up([scorer])
    limit_files(scorer, SNAPSHOT_BYTES_MAX)
    await stream.send(paid(500, 4500, cards=4000))
    await stream.caught_up([scorer])
    scorer.wait_for_log("snapshot.failed")
    assert scorer.metric("assay_snapshots_total", outcome="failed") > 0
    scorer.kill()
    heir = stream.scorer()
    await stream.send(paid(4500, 5000, cards=4000))
    await stream.caught_up([heir])
    assert heir.terminate() == 0
    await assert_whole(stream, 5000)


async def test_a_clock_an_hour_wrong_changes_no_score(stream: Stream) -> None:
    """An hour ahead, then an hour behind, then right: one history, the same bits."""
    for number, shift_s in enumerate((3600, -3600, 0)):
        environment = {"TEST_CLOCK_SHIFT_S": str(shift_s)}
        scorer = Scorer(stream, environment, len(stream.processes), "tests.chaos.shifted")
        stream.processes.append(scorer)
        await stream.send(paid(number * 500, number * 500 + 500))
        await stream.caught_up([scorer])
        assert scorer.terminate() == 0
    await assert_whole(stream, 1500)


async def test_a_record_that_unpacks_to_64_mb_is_one_dead_letter(stream: Stream) -> None:
    """64 kB on the wire; its neighbours are scored."""
    stream.partitions = 1
    scorer = stream.scorer()
    await stream.send(paid(0, 100))
    producer = AIOKafkaProducer(
        bootstrap_servers=stream.bootstrap,
        compression_type="gzip",
        max_request_size=2 * BOMB_BYTES,
        max_batch_size=2 * BOMB_BYTES,
    )
    await producer.start()
    await producer.send_and_wait(f"{stream.prefix}transactions", b"0" * BOMB_BYTES, partition=0)
    await producer.stop()
    await stream.send(paid(100, 200))
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    (letter,) = [codec.read(DeadLetter, record.value) for record in await stream.read("dead-letters")]
    assert letter.reason is DeadLetterReason.TOO_LARGE
    assert "unpacks to more than 67,108,864 bytes" in letter.detail
    stream.partitions = 4
    await assert_whole(stream, 201)


async def test_an_output_that_the_broker_refuses_is_never_left_out(stream: Stream) -> None:
    """Rule A, whole: no commit without it, an end with one sentence; and all is well once the broker takes it."""
    await limit_messages(stream, "alerts", 200)
    scorer = stream.scorer(ASSAY_RESTARTS_MAX="2", ASSAY_BATCH_RECORDS_MAX="20")
    await stream.send(paid(0, 400))
    assert await asyncio.to_thread(scorer.wait) == 2
    assert "failed 3 times in a row" in scorer.log()
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert verdict.lag > 0
    await limit_messages(stream, "alerts", 1 << 20)
    heir = stream.scorer()
    await stream.caught_up([heir])
    assert heir.terminate() == 0
    await assert_whole(stream, 400)
    assert (await stream.verdict()).alerts > 0


async def limit_messages(stream: Stream, topic: str, bytes_max: int) -> None:
    """How large a message of a topic may be."""
    client = admin(stream.kafka)
    await client.start()
    try:
        settings = {"max.message.bytes": str(bytes_max)}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, stream.prefix + topic, settings)])
    finally:
        await client.close()


async def test_a_scorer_told_to_end_twice_still_drains(stream: Stream) -> None:
    """An impatient platform sends SIGTERM again; kill -9 comes later."""
    scorer = stream.scorer(ASSAY_BATCH_RECORDS_MAX="20")
    await stream.send(paid(0, 2000))
    scorer.wait_for_log("partition.running")
    scorer.signal(signal.SIGTERM)
    scorer.signal(signal.SIGTERM)
    assert await asyncio.to_thread(scorer.wait) == 0
    heir = stream.scorer()
    await stream.caught_up([heir])
    assert heir.terminate() == 0
    await assert_whole(stream, 2000)
