"""Outputs and offsets of one partition, written together or not at all (exactly once) or in order (at least once).

The letters are the rules of ARCHITECTURE.md, "Exactly once".
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from services.clock import monotonic_s, wall_ms
from services.engine.batches import Write
from services.engine.failpoints import failpoint, is_armed
from services.engine.suspects import UnsendableError
from services.kafka import batch_writer
from services.kafka import client as connections
from services.kafka.batch_writer import Column, NumberedHeaders
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings

PRODUCER_RECORDS_MAX = 1 << 30
"""D: sequence numbers wrap at 2^31 records of one output partition; a producer is replaced well before."""

DISCARD_TIMEOUT_S = 3.0


class RevokedError(Exception):
    """The partition was taken away while a batch was in work: nothing of it may be committed."""


class Delivery(Protocol):
    """How a partition's outputs and position reach Kafka."""

    async def start(self) -> None:
        """Connect. With exactly_once this fences every earlier producer of the partition and settles its transaction."""

    async def deliver(
        self, writes: Sequence[Write], next_offset: int, owned: Callable[[], bool], metadata: str = ""
    ) -> None:
        """Write and commit. After any exception the delivery must be discarded: what happened is not known (A, B).

        metadata: kept with the offset, readable by everyone who may read the group.
        """

    async def discard(self) -> None:
        """Close. What is in flight may get lost; never raises."""

    @property
    def needs_recycling(self) -> bool:
        """Whether the producer should be replaced by a fresh one (D)."""


class _Producing:
    """What both guarantees share: one producer, packing, waiting for every acknowledgement."""

    def __init__(self, source: TopicPartition, runtime: RuntimeSettings, partitions: dict[str, int]) -> None:
        self._source = source
        self._runtime = runtime
        self._partitions = partitions
        self._producer: AIOKafkaProducer | None = None
        self._started_s = 0.0
        self._records = 0

    @property
    def needs_recycling(self) -> bool:
        """Whether the producer should be replaced by a fresh one (D)."""
        return (
            self._records > PRODUCER_RECORDS_MAX or monotonic_s() - self._started_s > self._runtime.producer_age_s_max
        )

    async def discard(self) -> None:
        """Close. What is in flight may get lost; never raises."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await connections.discard(producer, DISCARD_TIMEOUT_S)

    async def _start(self, producer: AIOKafkaProducer) -> None:
        self._producer, self._started_s, self._records = producer, monotonic_s(), 0
        await asyncio.wait_for(producer.start(), self._runtime.transaction_timeout_s + self._runtime.request_timeout_s)

    async def _begin_sends(self, producer: AIOKafkaProducer, writes: Sequence[Write]) -> list[asyncio.Future[Any]]:
        """Hand everything to the client: what its acknowledgements will be."""
        acknowledgements: list[asyncio.Future[Any]] = []
        for write in writes:
            for partition, batch in packed(producer, write, self._source, self._partitions[write.topic]):
                acknowledgements.append(await begin_send(producer, batch, write.topic, partition))
            self._records += len(write.values)
        return acknowledgements

    async def _await_sends(self, acknowledgements: list[asyncio.Future[Any]]) -> None:
        """A: every batch is acknowledged before this returns; the client's own commit would not notice a failed one."""
        async with asyncio.timeout(self._runtime.request_timeout_s):
            await asyncio.gather(*acknowledgements)
        failpoint("after_sends")


def packed(
    producer: AIOKafkaProducer, write: Write, source: TopicPartition, partitions: int
) -> Iterator[tuple[int, Any]]:
    """Record batches, with the partition that each goes to. Raises UnsendableError."""
    # outputs stay on the input's partition: order within a card, and one owner for each output partition
    for partition, part in write.by_partition(source.partition, partitions):
        try:
            batches = _pack(producer, part)
        except Exception as error:
            raise UnsendableError(write.topic) from error
        for batch in batches:
            yield partition, batch


async def begin_send(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
    """Hand one batch to the client: what its acknowledgement will be."""
    acknowledgement: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    acknowledgement.add_done_callback(connections.retrieve)
    failpoint("between_sends")
    return acknowledgement


def _pack(producer: AIOKafkaProducer, write: Write) -> list[Any]:
    """Record batches of at most the producer's batch size, stamped with the time of writing, from which retention counts,
    unless the records have a time of their own.
    """
    if (columns := _columns(write)) is not None:
        return list(batch_writer.batches(producer, wall_ms(), *columns))
    stamps = [wall_ms()] * len(write.values) if write.timestamps_ms is None else write.timestamps_ms
    batches = [producer.create_batch()]
    append = batches[-1].append
    for stamp_ms, key, value, headers in zip(stamps, write.keys, write.values, write.headers, strict=True):
        if append(timestamp=stamp_ms, key=key, value=value, headers=headers) is None:
            batches.append(producer.create_batch())
            append = batches[-1].append
            if append(timestamp=stamp_ms, key=key, value=value, headers=headers) is None:
                raise ValueError(f"a record of {len(value or b'')} bytes for {write.topic} is larger than a batch")
    return batches


def _columns(write: Write) -> tuple[Column, Column, NumberedHeaders] | None:
    """Keys, values and headers, where batches can be written out of them at once, and it is worth it."""
    headers, rows = write.headers, len(write.values)
    if not isinstance(headers, NumberedHeaders) or write.timestamps_ms is not None or rows < batch_writer.ROWS_MIN:
        return None
    keys, values = (_column(texts) for texts in (write.keys, write.values))
    if keys is None or values is None or not len(keys) == rows == len(headers) or not headers.writable:
        return None
    return keys, values, headers


def _column(texts: Sequence[bytes | None]) -> Column | None:
    """None where one of them is."""
    if isinstance(texts, Column):
        return texts
    there = [text for text in texts if text is not None]
    return Column.of(there) if len(there) == len(texts) else None


class Transactional(_Producing):
    """Outputs and offsets, visible to read_committed readers together or never."""

    def __init__(
        self, kafka: KafkaSettings, runtime: RuntimeSettings, source: TopicPartition, partitions: dict[str, int]
    ) -> None:
        super().__init__(source, runtime, partitions)
        self._kafka = kafka
        # C: one id for each input partition, so that a new owner fences the old one whatever the group believes
        self._id = f"assay-{runtime.group}-{source.topic}-{source.partition}"

    async def start(self) -> None:
        """Fence every earlier producer of the partition's id and settle its transaction."""
        producer = connections.transactional_producer(self._kafka, self._runtime, self._id)
        if is_armed("commit_sent"):
            connections.tell_when_transaction_end_is_sent(producer, lambda: failpoint("commit_sent"))
        await self._start(producer)

    async def _transaction(
        self,
        begin_sends: Callable[[AIOKafkaProducer], Awaitable[list[asyncio.Future[Any]]]],
        offsets: dict[TopicPartition, OffsetAndMetadata],
        owned: Callable[[], bool],
    ) -> None:
        """One transaction. After any exception the producer must be discarded: what happened is not known (A, B)."""
        assert self._producer is not None, "deliver before start"
        producer, timeout_s = self._producer, self._runtime.request_timeout_s
        # not `wait_for`: each would be a task, and each task waits for its turn on a busy loop
        async with asyncio.timeout(timeout_s):
            await producer.begin_transaction()
        acknowledgements = await begin_sends(producer)
        send_offsets = partial(producer.send_offsets_to_transaction, offsets, self._runtime.group)
        if self._runtime.profile == "latency":
            await self._await_both(acknowledgements, send_offsets)
        else:
            await self._await_sends(acknowledgements)
            async with asyncio.timeout(timeout_s):
                await send_offsets()
        failpoint("after_offsets")
        if not owned():
            raise RevokedError
        # B: a commit slower than this may or may not have happened; only a fresh producer can tell
        async with asyncio.timeout(timeout_s):
            await producer.commit_transaction()
        failpoint("after_commit")

    async def _await_both(
        self, acknowledgements: list[asyncio.Future[Any]], send_offsets: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Offsets beside the sends: neither is anything before the commit, and that comes after both (A)."""
        sending = asyncio.ensure_future(send_offsets())
        sending.add_done_callback(connections.retrieve)
        try:
            await self._await_sends(acknowledgements)
            async with asyncio.timeout(self._runtime.request_timeout_s):
                await sending
        finally:
            sending.cancel()

    async def discard(self) -> None:
        """Close, aborting what is open so that readers need not wait for the broker to time it out."""
        if self._producer is not None:
            with contextlib.suppress(Exception):  # best effort: the next owner's start settles it in any case
                await asyncio.wait_for(self._producer.abort_transaction(), DISCARD_TIMEOUT_S)
        await super().discard()


class ExactlyOnce(Transactional):
    """One transaction for each batch of a partition."""

    async def deliver(
        self, writes: Sequence[Write], next_offset: int, owned: Callable[[], bool], metadata: str = ""
    ) -> None:
        """One transaction. After any exception the delivery must be discarded: what happened is not known (A, B)."""
        filled = [write for write in writes if write.values]
        offsets = {self._source: OffsetAndMetadata(next_offset, metadata)}
        await self._transaction(lambda producer: self._begin_sends(producer, filled), offsets, owned)


class AtLeastOnce(_Producing):
    """Outputs first, then the offset: a crash between the two repeats the batch."""

    def __init__(
        self,
        kafka: KafkaSettings,
        runtime: RuntimeSettings,
        source: TopicPartition,
        partitions: dict[str, int],
        consumer: AIOKafkaConsumer,
    ) -> None:
        super().__init__(source, runtime, partitions)
        self._kafka = kafka
        self._consumer = consumer

    async def start(self) -> None:
        """Connect."""
        await self._start(connections.plain_producer(self._kafka, self._runtime))

    async def deliver(
        self, writes: Sequence[Write], next_offset: int, owned: Callable[[], bool], metadata: str = ""
    ) -> None:
        """Send, wait for every acknowledgement, commit the offset."""
        assert self._producer is not None, "deliver before start"
        await self._await_sends(await self._begin_sends(self._producer, [write for write in writes if write.values]))
        if not owned():
            raise RevokedError
        async with asyncio.timeout(self._runtime.request_timeout_s):
            await self._consumer.commit({self._source: OffsetAndMetadata(next_offset, metadata)})
        failpoint("after_commit")
