"""Transactions that the partitions of a process share, on the real broker: what is visible and committed after each fault."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, ProducerFenced

from services.engine.delivery import Delivery, ExactlyOnce, RevokedError
from services.engine.shared_delivery import ProcessTransactions
from services.engine.suspects import UnsendableError
from services.kafka import client as connections
from services.kafka.group_offsets import LeftBehindError, Member
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings
from tests.services.engine.test_delivery import PROFILES, Profile, Scene, write, yes
from tests.services.harness import SESSION_TIMEOUT_S, Stream


class Assignments(connections.ConsumerRebalanceListener):  # type: ignore[misc]  # the library is untyped
    """Says when the group has given its member something."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """The group begins another generation."""
        self.came.clear()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """It has."""
        self.came.set()


@dataclass
class Two(Scene):
    """Two input partitions, a member of their group that has both, and what processes share."""

    members: list[AIOKafkaConsumer] = field(default_factory=list)
    made: list[ProcessTransactions] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def sources(self) -> list[TopicPartition]:
        """Both."""
        return [TopicPartition(f"{self.stream.prefix}in", number) for number in (0, 1)]

    async def join(self) -> None:
        """One member more; back once every member has an assignment of the same generation."""
        listeners = [Assignments()]
        consumer = connections.input_consumer(self.stream.kafka, self.runtime)
        await consumer.start()
        self.members.append(consumer)
        consumer.subscribe([f"{self.stream.prefix}in"], listener=listeners[0])
        async with asyncio.timeout(60):
            await listeners[0].came.wait()
            while len({member._coordinator.generation for member in self.members}) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def process(self, *sources: TopicPartition) -> ProcessTransactions:
        """One that the group gave these, as the first member in its present generation."""
        outputs = {self.out: 2, self.small: 2}
        made = ProcessTransactions(self.stream.kafka, self.runtime, outputs, self.members[0], self.metrics)
        made.assigned(sources or self.sources)
        self.made.append(made)
        return made

    async def started(self, process: ProcessTransactions) -> list[Delivery]:
        """A delivery of each of its partitions."""
        assert process._assignment is not None
        deliveries = [process.delivery(source) for source in sorted(process._assignment._sources)]
        await asyncio.gather(*(delivery.start() for delivery in deliveries))
        return deliveries

    async def offsets(self) -> list[int | None]:
        """What the group has committed of both."""
        consumer = connections.reader(self.stream.kafka, group=self.runtime.group)
        await consumer.start()
        try:
            return [await consumer.committed(source) for source in self.sources]
        finally:
            await consumer.stop()

    async def written(self) -> list[bytes]:
        """What a read_committed reader sees on `out`, in the order of its bytes."""
        return sorted(await self.values())

    @property
    def transactions(self) -> float:
        """How many were committed."""
        return float(self.metrics.process_transactions._value.get())


@pytest.fixture
async def scene(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Two]:
    """Fresh topics, and a member."""
    stream = Stream(kafka_bootstrap, topic_prefix, tmp_path)
    admin = connections.admin(stream.kafka)
    await admin.start()
    names = [NewTopic(f"{stream.prefix}{name}", 2, 1) for name in ("in", "out")]
    await admin.create_topics(
        [*names, NewTopic(f"{stream.prefix}small", 2, 1, topic_configs={"max.message.bytes": "200"})]
    )
    await admin.close()
    runtime = RuntimeSettings(group=f"{stream.prefix}group", session_timeout_s=SESSION_TIMEOUT_S)
    two = Two(stream, runtime)
    await two.join()
    yield two
    for process in two.made:
        await process.revoked()
    for member in two.members:
        await member.stop()


def producer_of(process: ProcessTransactions) -> Any:
    """The one that its partitions share."""
    assert process._assignment is not None
    return process._assignment._producer


@PROFILES
async def test_what_partitions_bring_together_is_one_transaction(scene: Two, profile: Profile) -> None:
    """The plain case."""
    scene.take(profile)
    first, second = await scene.started(scene.process())
    await asyncio.gather(
        first.deliver([write(scene.out, b"a")], 1, yes), second.deliver([write(scene.out, b"b")], 5, yes)
    )
    assert scene.transactions == 1
    await second.deliver([write(scene.out, b"c")], 6, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"a", b"b", b"c"], [1, 6])


@PROFILES
async def test_a_refused_output_commits_nothing_and_harms_the_others_once(scene: Two, profile: Profile) -> None:
    """Rule A; from then on the partition with the refused output takes part in no other's transaction."""
    scene.take(profile)
    process = scene.process()
    first, second = await scene.started(process)

    async def both() -> tuple[BaseException | None, BaseException | None]:
        return await asyncio.gather(
            first.deliver([write(scene.out, b"a"), write(scene.small, b"x" * 500)], 1, yes),
            second.deliver([write(scene.out, b"b")], 5, yes),
            return_exceptions=True,
        )

    assert all(isinstance(error, KafkaError) for error in await both())
    assert (await scene.written(), await scene.offsets()) == ([], [None, None])
    await asyncio.gather(first.discard(), second.discard())
    first, second = await scene.started(process)
    refused, fine = await both()
    assert isinstance(refused, KafkaError)
    assert fine is None
    assert (await scene.written(), await scene.offsets()) == ([b"b"], [None, 5])
    await first.discard()
    first, _ = await scene.started(process)
    await asyncio.gather(
        first.deliver([write(scene.out, b"a")], 1, yes), second.deliver([write(scene.out, b"c")], 6, yes)
    )
    assert (await scene.written(), await scene.offsets()) == ([b"a", b"b", b"c"], [1, 6])


@PROFILES
async def test_a_partition_taken_away_before_the_commit_commits_nothing(scene: Two, profile: Profile) -> None:
    """Rule E: of each partition the token is looked at, after everything is sent and before the commit."""
    scene.take(profile)
    first, second = await scene.started(scene.process())
    found = await asyncio.gather(
        first.deliver([write(scene.out, b"a")], 1, yes),
        second.deliver([write(scene.out, b"b")], 5, lambda: False),
        return_exceptions=True,
    )
    assert [type(error) for error in found] == [RevokedError, RevokedError]
    assert (await scene.written(), await scene.offsets()) == ([], [None, None])


async def test_a_member_that_the_group_has_gone_on_without_commits_nothing(scene: Two) -> None:
    """Rule C: the group judges by generation, although no other producer has taken over yet."""
    left_behind, _ = await scene.started(scene.process())
    await left_behind.deliver([write(scene.out, b"old")], 1, yes)
    await scene.join()
    with pytest.raises(LeftBehindError):
        await left_behind.deliver([write(scene.out, b"zombie")], 2, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"old"], [1, None])
    fresh = await scene.started(scene.process(scene.sources[0]))
    await fresh[0].deliver([write(scene.out, b"new")], 2, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"new", b"old"], [2, None])


async def test_a_consumer_without_a_generation_is_no_member(scene: Two) -> None:
    """Rule C: offsets without one would be believed, whatever the group has become."""
    consumer = connections.input_consumer(scene.stream.kafka, scene.runtime)
    await consumer.start()
    try:
        with pytest.raises(LeftBehindError):
            Member.of(consumer)
    finally:
        await consumer.stop()


async def test_the_next_owner_of_the_first_partition_fences_a_process(scene: Two) -> None:
    """Rule C: whatever the group believes, and with it all that the process has."""
    _, old = await scene.started(scene.process())
    await old.deliver([write(scene.out, b"old")], 1, yes)
    heir = scene.process(scene.sources[0])
    (new,) = await scene.started(heir)
    with pytest.raises(ProducerFenced):
        await old.deliver([write(scene.out, b"zombie")], 2, yes)
    await new.deliver([write(scene.out, b"new")], 3, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"new", b"old"], [3, 1])


async def test_a_partition_is_read_once_the_transaction_of_its_dead_process_is_settled(scene: Two) -> None:
    """Rule C: that is the next owner of the dead one's first partition's to do; the second's new owner waits for it."""
    died = scene.process()
    await scene.started(died)
    producer = producer_of(died)
    await producer.begin_transaction()
    await (await producer.send(scene.out, b"half", partition=1))
    await producer.send_offsets_to_transaction(dict.fromkeys(scene.sources, 7), scene.runtime.group)
    await scene.started(scene.process(scene.sources[1]))
    asking = asyncio.ensure_future(scene.offsets())
    await asyncio.sleep(1.0)
    assert not asking.done(), "it was given an offset that the open transaction may still move"
    await scene.started(scene.process(scene.sources[0]))
    assert await asyncio.wait_for(asking, 20) == [None, None]
    assert await scene.written() == []


async def test_an_owner_with_a_transaction_for_each_partition_is_fenced(scene: Two) -> None:
    """Rule C, where processes of both kinds meet: that owner's offsets no group judges."""
    outputs = {scene.out: 2, scene.small: 2}
    old = ExactlyOnce(scene.stream.kafka, scene.runtime, scene.sources[1], outputs)
    await old.start()
    await old.deliver([write(scene.out, b"old")], 1, yes)
    _, new = await scene.started(scene.process())
    with pytest.raises(ProducerFenced):
        await old.deliver([write(scene.out, b"zombie")], 2, yes)
    await old.discard()
    await new.deliver([write(scene.out, b"new")], 2, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"new", b"old"], [None, 2])


async def test_a_commit_without_answer_fails_all_that_are_in_it_within_the_request_timeout(scene: Two) -> None:
    """Rule B: whether it happened is for a fresh producer to find out."""
    scene.runtime = scene.runtime.model_copy(update={"request_timeout_s": 4.0})
    process = scene.process()
    first, second = await scene.started(process)

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    producer_of(process).commit_transaction = never
    delivering = asyncio.gather(
        first.deliver([write(scene.out, b"a")], 1, yes),
        second.deliver([write(scene.out, b"b")], 5, yes),
        return_exceptions=True,
    )
    assert [type(error) for error in await asyncio.wait_for(delivering, 60)] == [TimeoutError, TimeoutError]
    first, second = await scene.started(process)
    await first.deliver([write(scene.out, b"again")], 1, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"again"], [1, None])


async def test_a_producer_is_worn_out_by_age_and_replaced_between_two_transactions(scene: Two) -> None:
    """Rule D: the partitions notice nothing."""
    scene.runtime = scene.runtime.model_copy(update={"producer_age_s_max": 1e-9})
    process = scene.process()
    first, _ = await scene.started(process)
    before = producer_of(process)
    await first.deliver([write(scene.out, b"a")], 1, yes)
    assert producer_of(process) is not before
    await first.deliver([write(scene.out, b"b")], 2, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"a", b"b"], [2, None])


async def test_an_output_that_cannot_be_packed_is_its_own_partitions_alone(scene: Two) -> None:
    """It is in no transaction yet."""
    first, second = await scene.started(scene.process())
    unsendable, fine = await asyncio.gather(
        first.deliver([write(scene.out, "no bytes")], 1, yes),  # type: ignore[arg-type]
        second.deliver([write(scene.out, b"b")], 5, yes),
        return_exceptions=True,
    )
    assert isinstance(unsendable, UnsendableError)
    assert fine is None
    assert (await scene.written(), await scene.offsets()) == ([b"b"], [None, 5])


async def test_a_worker_that_ends_while_it_waits_takes_what_it_brought_with_it(scene: Two) -> None:
    """Nothing is committed of one that no longer waits for it; and a process that has ended brings nothing more."""
    process = scene.process()
    first, second = await scene.started(process)
    assert process._assignment is not None
    process.begins(scene.sources[1])  # the transaction waits a moment for it
    ended = asyncio.ensure_future(first.deliver([write(scene.out, b"a")], 1, yes))
    await asyncio.sleep(0)
    ended.cancel()
    await first.discard()
    await second.deliver([write(scene.out, b"b")], 5, yes)
    assert (await scene.written(), await scene.offsets()) == ([b"b"], [None, 5])
    await process.revoked()
    with pytest.raises(RevokedError):
        await second.deliver([write(scene.out, b"c")], 6, yes)
