"""Delivery on the real broker: what a read_committed reader sees, and what is committed, after each kind of fault."""

import asyncio
import gc
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from services.broker import EmbeddedKafka
from services.engine.batches import Write
from services.engine.delivery import DISCARD_TIMEOUT_S, ExactlyOnce, RevokedError
from services.engine.worker import RETRIABLE_ERRORS
from services.kafka import client as connections
from services.kafka.batch_writer import NumberedHeaders
from services.settings.processing import RuntimeSettings
from tests.services.harness import Stream

Profile = Literal["throughput", "latency"]
PROFILES = pytest.mark.parametrize("profile", ["throughput", "latency"])
"""Offsets behind the sends, and beside them."""


def yes() -> bool:
    """Still ours."""
    return True


@dataclass
class Scene:
    """An input and an output topic of one partition, and deliveries between them."""

    stream: Stream
    runtime: RuntimeSettings

    @property
    def source(self) -> TopicPartition:
        """The input partition."""
        return TopicPartition(f"{self.stream.prefix}in", 0)

    def take(self, profile: Profile) -> None:
        """For deliveries that are made from now on."""
        self.runtime = self.runtime.model_copy(update={"profile": profile})

    def delivery(self) -> ExactlyOnce:
        """A fresh one, as a new owner has it."""
        return ExactlyOnce(self.stream.kafka, self.runtime, self.source, {self.out: 1, self.small: 1})

    @property
    def out(self) -> str:
        """An ordinary output topic."""
        return f"{self.stream.prefix}out"

    @property
    def small(self) -> str:
        """A topic that refuses messages over 200 bytes."""
        return f"{self.stream.prefix}small"

    async def values(self) -> list[bytes]:
        """What a read_committed reader sees on `out`."""
        return [record.value for record in await self.stream.read("out")]

    async def committed(self) -> int | None:
        """The group's committed offset."""
        consumer = connections.reader(self.stream.kafka, group=self.runtime.group)
        await consumer.start()
        try:
            return await consumer.committed(self.source)  # type: ignore[no-any-return]
        finally:
            await consumer.stop()


def write(topic: str, *values: bytes) -> Write:
    """Records for a topic."""
    result = Write(topic)
    for value in values:
        result.append(None, value, [])
    return result


@pytest.fixture
async def scene(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Scene:
    """Fresh topics."""
    return await made(Stream(kafka_bootstrap, topic_prefix, tmp_path))


async def made(stream: Stream) -> Scene:
    """Topics of this prefix."""
    admin = connections.admin(stream.kafka)
    await admin.start()
    names = [NewTopic(f"{stream.prefix}{name}", 1, 1) for name in ("in", "out")]
    await admin.create_topics(
        [*names, NewTopic(f"{stream.prefix}small", 1, 1, topic_configs={"max.message.bytes": "200"})]
    )
    await admin.close()
    return Scene(stream, RuntimeSettings(group=f"{stream.prefix}group"))


@PROFILES
async def test_outputs_and_offset_become_visible_together(scene: Scene, profile: Profile) -> None:
    """The plain case."""
    scene.take(profile)
    delivery = scene.delivery()
    await delivery.start()
    await delivery.deliver([write(scene.out, b"a", b"b")], 2, yes)
    await delivery.discard()
    assert await scene.values() == [b"a", b"b"]
    assert await scene.committed() == 2


async def test_a_batch_larger_than_a_record_batch_is_split_and_stays_in_order(scene: Scene) -> None:
    """Five hundred records of 10 kB are five megabytes: several batches, one transaction."""
    delivery = scene.delivery()
    await delivery.start()
    values = [b"%06d" % i * 1700 for i in range(500)]
    await delivery.deliver([write(scene.out, *values)], 500, yes)
    await delivery.discard()
    assert await scene.values() == values


def numbered(topic: str, records: int, value: bytes) -> Write:
    """Records whose batches are written from columns."""
    numbers = np.arange(records, dtype=np.int64)
    headers = NumberedHeaders((("topic", b"t"),), ("offset", "time"), numbers, numbers + 1_000, (("known", b"7"),))
    keys, values = (
        [b"%d" % number for number in range(records)],
        [b"%d " % number + value for number in range(records)],
    )
    return Write(topic, [*keys], [*values], headers)


async def test_batches_written_from_columns_are_read_as_they_were_given(scene: Scene) -> None:
    """Two transactions of five batches each by one producer: its sequence numbers go on from batch to batch."""
    delivery, given = scene.delivery(), numbered(scene.out, 10_000, b"x" * 450)
    await delivery.start()
    for place in range(2):
        await delivery.deliver([given], 10_000 * (place + 1), yes)
    await delivery.discard()
    read = [(record.key, record.value, list(record.headers)) for record in await scene.stream.read("out")]
    assert read == list(zip(given.keys, given.values, given.headers, strict=True)) * 2
    assert await scene.committed() == 20_000


async def test_a_refused_batch_that_was_written_from_columns_commits_nothing(scene: Scene) -> None:
    """Rule A, as for any other."""
    delivery = scene.delivery()
    await delivery.start()
    with pytest.raises(KafkaError):
        await delivery.deliver([numbered(scene.out, 40, b""), numbered(scene.small, 40, b"x" * 500)], 1, yes)
    await delivery.discard()
    assert await scene.values() == []
    assert await scene.committed() is None


@PROFILES
async def test_a_failed_send_commits_nothing(scene: Scene, profile: Profile) -> None:
    """Rule A: the client's own commit ignores a refused batch; ours must not."""
    scene.take(profile)
    delivery = scene.delivery()
    await delivery.start()
    with pytest.raises(KafkaError):
        await delivery.deliver([write(scene.out, b"a"), write(scene.small, b"x" * 500)], 1, yes)
    await delivery.discard()
    assert await scene.values() == []
    assert await scene.committed() is None


@PROFILES
async def test_a_partition_taken_away_before_the_commit_commits_nothing(scene: Scene, profile: Profile) -> None:
    """Rule E: the token is looked at after everything is sent and before the commit."""
    scene.take(profile)
    delivery = scene.delivery()
    await delivery.start()
    with pytest.raises(RevokedError):
        await delivery.deliver([write(scene.out, b"a")], 1, lambda: False)
    await delivery.discard()
    assert await scene.values() == []
    assert await scene.committed() is None


@PROFILES
async def test_a_new_owner_fences_the_old_one_whatever_the_group_believes(scene: Scene, profile: Profile) -> None:
    """Rule C: one transactional id for each input partition."""
    scene.take(profile)
    old, new = scene.delivery(), scene.delivery()
    await old.start()
    await old.deliver([write(scene.out, b"old")], 1, yes)
    await new.start()
    with pytest.raises(ProducerFenced):
        await old.deliver([write(scene.out, b"zombie")], 2, yes)
    await new.deliver([write(scene.out, b"new")], 2, yes)
    await asyncio.gather(old.discard(), new.discard())
    assert await scene.values() == [b"old", b"new"]


async def test_a_producer_fenced_between_two_sends_fails_mendably_and_forgets_nothing(scene: Scene) -> None:
    """Rule C: the client then says IllegalOperation, not ProducerFenced; and no future's exception stays unseen."""
    forgotten: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: forgotten.append(context))
    old, new = scene.delivery(), scene.delivery()
    await old.start()
    producer = old._producer
    assert producer is not None
    await new.start()
    send_batch = producer.send_batch

    async def send_slowly(*arguments: object, **options: object) -> object:
        future = await send_batch(*arguments, **options)
        await asyncio.wait([future])
        return future

    producer.send_batch = send_slowly
    with pytest.raises(RETRIABLE_ERRORS) as raised:
        await old.deliver([write(scene.out, b"zombie"), write(scene.out, b"again")], 1, yes)
    assert isinstance(raised.value, IllegalOperation)
    await asyncio.gather(old.discard(), new.discard())
    del old, new, producer, raised
    gc.collect()
    assert forgotten == []
    assert await scene.values() == []


async def test_a_new_owner_settles_the_transaction_that_the_old_one_left_open(scene: Scene) -> None:
    """Rule C: after `start` the committed offset is final and no reader hangs on an open transaction."""
    old, new = scene.delivery(), scene.delivery()
    await old.start()
    producer = old._producer
    assert producer is not None
    await producer.begin_transaction()
    await (await producer.send(scene.out, b"half"))
    await new.start()
    await new.deliver([write(scene.out, b"whole")], 1, yes)
    await asyncio.gather(old.discard(), new.discard())
    assert await scene.values() == [b"whole"]


async def test_the_committed_offset_is_told_once_the_commit_is_over(scene: Scene) -> None:
    """Rule C: as the client asks, it would be given the offset before; a coordinator that has just taken over sees it so."""
    delivery = scene.delivery()
    await delivery.start()
    await delivery.deliver([write(scene.out, b"a")], 1, yes)
    producer = delivery._producer
    assert producer is not None
    await producer.begin_transaction()
    await producer.send_offsets_to_transaction({scene.source: 2}, scene.runtime.group)
    asking = asyncio.ensure_future(scene.committed())
    await asyncio.sleep(1.0)
    assert not asking.done(), "it was given an offset that the open transaction is about to move"
    await producer.commit_transaction()
    assert await asyncio.wait_for(asking, 30) == 2
    await delivery.discard()


async def test_a_commit_without_answer_fails_within_the_request_timeout(scene: Scene) -> None:
    """Rule B: no one waits for ever for a commit; whether it happened is for a fresh producer to find out."""
    scene.runtime = RuntimeSettings(group=scene.runtime.group, request_timeout_s=4)
    delivery = scene.delivery()
    await delivery.start()
    producer = delivery._producer
    assert producer is not None
    asked = asyncio.Event()

    async def never() -> None:
        asked.set()
        await asyncio.get_running_loop().create_future()

    producer.commit_transaction = never
    delivering = asyncio.ensure_future(delivery.deliver([write(scene.out, b"a")], 1, yes))
    done, _ = await asyncio.wait([delivering], timeout=60)
    assert done, "it waits for ever"
    assert asked.is_set(), "it failed before the commit"
    assert isinstance(delivering.exception(), TimeoutError)
    await delivery.discard()
    assert await scene.values() == []


async def test_a_producer_is_worn_out_by_age_and_by_count(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule D: sequence numbers wrap after 2^31 records of one producer."""
    delivery = scene.delivery()
    await delivery.start()
    assert not delivery.needs_recycling
    monkeypatch.setattr("services.engine.delivery.PRODUCER_RECORDS_MAX", 1)
    await delivery.deliver([write(scene.out, b"a", b"b")], 2, yes)
    assert delivery.needs_recycling
    await delivery.discard()
    scene.runtime = RuntimeSettings(group=scene.runtime.group, producer_age_s_max=1e-9)
    aged = scene.delivery()
    await aged.start()
    assert aged.needs_recycling
    await aged.discard()


@pytest.mark.slow
@pytest.mark.broker
async def test_a_delivery_without_coordinator_is_discarded_within_a_bound(topic_prefix: str, tmp_path: Path) -> None:
    """Closing the client waits for a coordinator that may not come back: the partition could not start again meanwhile."""
    kafka = EmbeddedKafka(heap_mb=256, quick=True)
    await asyncio.to_thread(kafka.start)
    try:
        scene = await made(Stream(kafka.bootstrap, topic_prefix, tmp_path))
        scene.runtime = scene.runtime.model_copy(update={"request_timeout_s": 1.0})
        delivery = scene.delivery()
        await delivery.start()
        await delivery.deliver([write(scene.out, b"a")], 1, yes)

        def dies() -> bool:
            kafka.kill_node(0)
            return True

        with pytest.raises(TimeoutError):  # in the commit
            await delivery.deliver([write(scene.out, b"b")], 2, dies)
        begun_s = time.monotonic()
        await delivery.discard()
        assert time.monotonic() - begun_s < 3 * DISCARD_TIMEOUT_S + 1
    finally:
        await asyncio.to_thread(kafka.stop)
