"""One transaction for all partitions of a process, in place of one for each (ASSAY_TRANSACTIONS=process): a group commit.

While one transaction commits, the partitions' workers bring what the next one will hold. Who may commit is judged twice: by the
group, which refuses the offsets of a member that it has gone on without (KIP-447), and by the transactional id. That is the one
of the process's first partition: the process that is given it next fences this one, and settles its transaction. A partition's
committed offset is read after both, and only once no transaction that moves it is open.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from services.clock import monotonic_s
from services.engine.batches import Write
from services.engine.delivery import Delivery, RevokedError, Transactional, begin_send, packed
from services.kafka.group_offsets import LeftBehindError, Member, commit_as
from services.observability.metrics import Metrics
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings

GATHER_S_MAX = 0.005
"""How long a transaction waits, at most, for partitions whose batch is in work."""
GATHER_TURNS = 3
"""So many turns of the event loop without another partition: those that woke together are behind one another in its queue."""


@dataclass(slots=True, eq=False)
class _Share:
    """What one partition brings to a transaction. offset: None asks for no more than a usable producer."""

    source: TopicPartition
    writes: Sequence[Write] = ()
    offset: OffsetAndMetadata | None = None
    owned: Callable[[], bool] = lambda: True
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    batches: list[tuple[str, int, Any]] = field(default_factory=list)
    acknowledgements: list[asyncio.Future[Any]] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether the brokers have refused one of its outputs."""
        return any(sent.done() and not sent.cancelled() and sent.exception() for sent in self.acknowledgements)


class ProcessTransactions:
    """Of one process: what the group gives it, and the transactions of that."""

    def __init__(
        self,
        kafka: KafkaSettings,
        runtime: RuntimeSettings,
        partitions: dict[str, int],
        consumer: AIOKafkaConsumer,
        metrics: Metrics,
    ) -> None:
        """partitions: of each output topic, by full name."""
        self._kafka, self._runtime, self._partitions = kafka, runtime, partitions
        self._consumer, self._metrics = consumer, metrics
        self._assignment: _Assignment | None = None

    def assigned(self, sources: Collection[TopicPartition]) -> None:
        """The group has given us these. Their workers come for a delivery each."""
        assert self._assignment is None, "assigned before the last assignment was revoked"
        if sources:
            self._assignment = _Assignment(
                self._kafka, self._runtime, self._partitions, sources, self._consumer, self._metrics
            )

    async def revoked(self) -> None:
        """Their workers have ended: abort what is open, and close. Never raises."""
        assignment, self._assignment = self._assignment, None
        if assignment is not None:
            await assignment.close()

    def delivery(self, source: TopicPartition) -> Delivery:
        """A partition's part in it."""
        assert self._assignment is not None, "a worker of a partition that is not assigned"
        return SharedDelivery(self._kafka, self._runtime, source, self._partitions, self._assignment)

    def begins(self, source: TopicPartition) -> None:
        """A batch of this partition is in work: a transaction that is about to begin may wait a little for it."""
        if self._assignment is not None:
            self._assignment.working.add(source)


class _Assignment(Transactional):
    """The transactions of the partitions that a process has in one generation of the group, under the first one's id."""

    def __init__(
        self,
        kafka: KafkaSettings,
        runtime: RuntimeSettings,
        partitions: dict[str, int],
        sources: Collection[TopicPartition],
        consumer: AIOKafkaConsumer,
        metrics: Metrics,
    ) -> None:
        """Raises LeftBehindError where the consumer is no member."""
        super().__init__(kafka, runtime, min(sources), partitions)
        self.fenced = {min(sources)}
        """Partitions whose own id no earlier owner can use any more: that of the first one is ours."""
        self.working: set[TopicPartition] = set()
        self._sources, self._consumer, self._metrics = frozenset(sources), consumer, metrics
        self._member = Member.of(consumer)
        self._queue: list[_Share] = []
        self._alone: set[TopicPartition] = set()
        """Whose outputs the brokers refused: until a batch of theirs is committed they take part in no other's transaction."""
        self._packer: AIOKafkaProducer | None = None
        self._closing: asyncio.Future[None] | None = None
        self._came = asyncio.Event()
        self._running = asyncio.ensure_future(self._run())

    async def bring(self, share: _Share) -> None:
        """Wait until it is committed. Raises what its transaction failed with, or UnsendableError."""
        if self._running.done():
            raise RevokedError
        self._pack(share)
        self._queue.append(share)
        self._came_from(share.source)
        await share.done

    def forget(self, source: TopicPartition) -> None:
        """Its worker has ended, or begins again."""
        self._queue = [share for share in self._queue if share.source != source]
        self._came_from(source)

    async def close(self) -> None:
        """End, whatever is in flight. Never raises."""
        self._running.cancel()
        await asyncio.wait([self._running, *filter(None, [self._closing])])
        _fail(self._queue, RevokedError())
        await self.discard()

    async def start(self) -> None:
        """A producer. Raises LeftBehindError where this member knows that it is late: to fence its heir would help no one."""
        if Member.of(self._consumer) != self._member:
            raise LeftBehindError
        await super().start()

    async def _start(self, producer: AIOKafkaProducer) -> None:
        commit_as(producer, self._member)
        await super()._start(producer)
        self._packer = producer

    async def _run(self) -> None:
        """One transaction after another, of those that have come."""
        while True:
            await self._came.wait()
            self._came.clear()
            await self._gather()
            shares = self._take()
            if not shares:
                continue
            try:
                await self._commit(shares)
            except asyncio.CancelledError:
                _fail(shares, RevokedError())
                raise
            except Exception as error:  # whatever it is, no one knows what became of it (A, B)
                refused = {share.source for share in shares if share.refused}
                if len(refused) < len(shares):
                    self._alone |= refused
                _fail(shares, error)
                await self._throw_away()
            else:
                self._alone -= {share.source for share in shares if share.offset is not None}
                for share in shares:
                    if not share.done.done():
                        share.done.set_result(None)
            if self._queue:
                self._came.set()

    async def _gather(self) -> None:
        """Wait for partitions that are about to come: they would else wait for all of the first one's transaction."""
        until_s, turns = monotonic_s() + GATHER_S_MAX, 0
        while turns < GATHER_TURNS and len(self._queue) < len(self._sources):
            left_s, before = until_s - monotonic_s(), len(self._queue)
            if left_s <= 0:
                return
            if self.working:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._came.wait()
                self._came.clear()
            else:
                await asyncio.sleep(0)
            turns = 0 if self.working or len(self._queue) != before else turns + 1

    def _take(self) -> list[_Share]:
        """What the next transaction holds: all that have come, or one that is to harm no other."""
        waiting = [share for share in self._queue if not share.done.done()]
        first = [share for share in waiting[:1] if share.source in self._alone]
        shares = first or [share for share in waiting if share.source not in self._alone]
        self._queue = [share for share in waiting if share not in shares]
        return shares

    async def _commit(self, shares: list[_Share]) -> None:
        if self._producer is not None and self.needs_recycling:  # D
            self._metrics.producers.labels("age").inc()
            await self._throw_away()
        if self._producer is None:
            await self.start()
        offsets = {share.source: share.offset for share in shares if share.offset is not None}
        if offsets:
            await self._transaction(
                lambda producer: self._begin_all(producer, shares),
                offsets,
                lambda: all(share.owned() and not share.done.done() for share in shares),
            )
            self._metrics.process_transactions.inc()

    def _pack(self, share: _Share) -> None:
        """Raises UnsendableError, before anything of it is in a transaction. A batch is any producer's that sends it."""
        for write in share.writes:
            if write.values:
                batches = packed(self._packer, write, share.source, self._partitions[write.topic])
                share.batches += [(write.topic, partition, batch) for partition, batch in batches]

    async def _begin_all(self, producer: AIOKafkaProducer, shares: list[_Share]) -> list[asyncio.Future[Any]]:
        """Hand everything to the client: what its acknowledgements will be."""
        for share in shares:
            for topic, partition, batch in share.batches:
                share.acknowledgements.append(await begin_send(producer, batch, topic, partition))
            self._records += sum(len(write.values) for write in share.writes)
        return [sent for share in shares for sent in share.acknowledgements]

    async def _throw_away(self) -> None:
        """The producer; `close`, should it come in between, waits for the rest."""
        self._closing = asyncio.ensure_future(self.discard())
        await asyncio.shield(self._closing)

    def _came_from(self, source: TopicPartition) -> None:
        self.working.discard(source)
        self._came.set()


class SharedDelivery(Transactional):
    """One partition's part in the transactions of its process."""

    def __init__(
        self,
        kafka: KafkaSettings,
        runtime: RuntimeSettings,
        source: TopicPartition,
        partitions: dict[str, int],
        assignment: _Assignment,
    ) -> None:
        super().__init__(kafka, runtime, source, partitions)
        self._assignment = assignment

    @property
    def needs_recycling(self) -> bool:
        """Never: the producer is the process's, which replaces it."""
        return False

    async def start(self) -> None:
        """C: fence the last owner, and settle its transaction.

        The partition's own id is the last owner's where that was a process with the partition as its first, or one with a
        transaction for each. Where it was another of a process's, the new owner of that one's first settles the transaction, or
        its time does: the committed offset is not told before.
        """
        if self._source not in self._assignment.fenced:
            await super().start()
            await super().discard()
            self._assignment.fenced.add(self._source)
        await self._assignment.bring(_Share(self._source))

    async def deliver(
        self, writes: Sequence[Write], next_offset: int, owned: Callable[[], bool], metadata: str = ""
    ) -> None:
        """Take part in a transaction. After any exception the delivery must be discarded: what happened is not known."""
        offset = OffsetAndMetadata(next_offset, metadata)
        await self._assignment.bring(_Share(self._source, writes, offset, owned))

    async def discard(self) -> None:
        """Take part in no more; never raises."""
        self._assignment.forget(self._source)
        await super().discard()


def _fail(shares: Collection[_Share], error: Exception) -> None:
    for share in shares:
        if not share.done.done():
            share.done.set_exception(error)
