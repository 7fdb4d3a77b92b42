"""One partition: its state, its producer, its loop.

Start (C): producer (fences the last owner and settles its transaction) -> committed offset -> state -> seek. Then
poll -> process -> deliver, one micro-batch after another. Whatever goes wrong in between, producer and state are thrown
away and the partition starts again from what is committed (A, B).
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from services.clock import monotonic_s
from services.engine.batches import Carrying, Processor, Record, Result
from services.engine.delivery import Delivery, RevokedError
from services.engine.failpoints import failpoint
from services.engine.faults import unscorable
from services.engine.held import Decision, Held
from services.engine.hold_rule import HoldRule
from services.engine.key_watch import KeyWatch
from services.engine.log_identity import LogIdentities, ReplacedError
from services.engine.offset_notes import OffsetNote, since
from services.engine.pacing import Pacer
from services.engine.polling import Polling
from services.engine.restore import Position, begins_of, check_snapshots, committed_position, restore
from services.engine.saving import Moment, SnapshotSaver
from services.engine.shared_delivery import ProcessTransactions
from services.engine.snapshots import SnapshotStore
from services.engine.suspects import (
    Folding,
    SuspectError,
    Suspects,
    UnsendableError,
    origin_of,
    suspicious,
)
from services.engine.tracing import Tracing
from services.errors import AssayError, StateOutdatedError, fatal_sentence
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings

log = structlog.get_logger(__name__)

BACKOFF_S_MAX = 10.0
SNAPSHOT_SHARE = 0.75
"""Of the time to drain: after it a last snapshot is given up, so that ending takes no longer than that time."""

RETRIABLE_ERRORS = (
    KafkaError,
    TimeoutError,
    OSError,
    RevokedError,
    MemoryError,
    UnsendableError,
    IllegalOperation,
    AssertionError,
)
"""What a fresh start may recover from. The last two: the client's own state checks, after it lost track of a transaction."""

Phase = Literal["starting", "restoring", "running", "held", "replaced", "stopped"]


class MakeSnapshots(Protocol):
    """The store of a partition's snapshots."""

    async def __call__(self, source: TopicPartition, state_key: str, log_id: str) -> SnapshotStore:
        """log_id: whose fold the states are."""


async def _counted() -> None:
    """For outputs whose number stays."""


@dataclass(frozen=True, slots=True)
class WorkerDependencies:
    """What a worker is made of; the composition root chooses."""

    consumer: AIOKafkaConsumer
    make_delivery: Callable[[TopicPartition], Delivery]
    make_processor: Callable[[TopicPartition], Processor]
    make_snapshots: MakeSnapshots
    outputs: Mapping[str, int]
    """Topics that are written, and their numbers of partitions."""
    logs: LogIdentities
    pacer: Pacer
    metrics: Metrics
    settings: RuntimeSettings
    tracing: Tracing
    snapshot_turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Held by the partition that saves its state."""
    waits_for: Callable[[], str | None] = lambda: None
    """What outside of Kafka keeps the partitions from moving, in a sentence; the process then waits, and does not end."""
    shared: ProcessTransactions | None = None
    """Where the partitions share their transactions."""
    count_outputs: Callable[[], Awaitable[None]] = _counted
    """Ask again how many partitions the outputs have: they grow with the input, and an output lies on its input's number."""


class PartitionWorker:
    """Runs one partition until it is drained or cancelled."""

    def __init__(self, source: TopicPartition, dependencies: WorkerDependencies) -> None:
        self.source = source
        self.phase: Phase = "starting"
        self.next_offset: int | None = None
        self.passed_offset = 0
        """All before it is committed, or is read by no consumer: markers, and aborted records."""
        self.progress_s = monotonic_s()
        self.held: Held | None = None
        self._dependencies = dependencies
        self._settings = dependencies.settings
        self._stop = asyncio.Event()
        self._lost = False
        self._polling = Polling(source, dependencies.consumer, dependencies.pacer, dependencies.settings)
        self._hold_rule = HoldRule(dependencies.settings)
        self._suspects = Suspects()
        self._decided = asyncio.Event()
        self._failures = 0
        self._saver = SnapshotSaver(
            source, dependencies.settings, dependencies.logs, dependencies.metrics, dependencies.snapshot_turn
        )
        self._snapshot_until_s = math.inf
        self._label = dependencies.metrics.label(source)
        self._log_id: str | None = None
        self._keys = KeyWatch(source, dependencies.metrics)
        self._carried = self._since = ""
        self._last: Record | None = None
        self._log = log.bind(topic=source.topic, partition=source.partition)
        dependencies.metrics.show_partition(self._label)

    def owned(self) -> bool:
        """E: whether the group still gives us this partition, as far as we know. Checked before each commit."""
        return not self._lost and self.source in self._dependencies.consumer.assignment()

    def drain(self, within_s: float = math.inf) -> None:
        """Finish the transaction in flight and stop, with a last snapshot if most of the time is left by then."""
        self._snapshot_until_s = monotonic_s() + SNAPSHOT_SHARE * within_s
        self._stop.set()
        self._decided.set()
        self._polling.interrupt()

    def revoke(self) -> None:
        """Stop without committing anything more."""
        self._lost = True
        self._stop.set()
        self._decided.set()
        self._polling.interrupt()

    def decide(self, decision: Decision) -> bool:
        """An operator's decision about the held partition. False where it is not held there, or not any more."""
        if self.held is None or self.held.first_offset != decision.first_offset:
            return False
        self._hold_rule.let_through(decision.let_through_below or 0)
        self._decided.set()
        return True

    def caught_up(self) -> None:
        """The watchdog sees nothing to do."""
        self._moving()

    async def run(self) -> None:
        """Work until drained. Raises AssayError when the partition cannot be worked by starting it again."""
        try:
            while not self._stop.is_set():
                try:
                    await self._session()
                except StateOutdatedError:
                    self._log.info("partition.state_outdated", next_step="its history is folded again from the log")
                except SuspectError as error:
                    self._log.warning("partition.suspect", **origin_of(error))
                except ReplacedError:
                    self.phase = "replaced"  # the group's error says why; an operator decides, and restarts the process
                    await self._stop.wait()
                except RETRIABLE_ERRORS as error:
                    await self._failed(error)
        finally:
            self.phase = "stopped"
            self._dependencies.metrics.forget_partition(self._label)

    async def _failed(self, error: Exception) -> None:
        name = type(error).__name__
        self._failures += 1
        self._dependencies.metrics.failures.labels(name).inc()
        self._log.warning("partition.failed", error=name, failures_in_a_row=self._failures)
        if self._stop.is_set():
            return  # the next owner starts it again
        sentence = fatal_sentence(error)
        if sentence is not None:
            raise AssayError(sentence) from error
        if self._failures > self._settings.restarts_max:
            raise AssayError(
                f"Partition {self.source.topic}-{self.source.partition} failed {self._failures} times in a row, "
                f"last with {name}: look at the brokers' logs, then start this process again."
            ) from error
        # a fenced producer may not know yet that it lost the partition: give the group time to revoke it
        fenced = isinstance(error, (ProducerFenced, IllegalOperation))
        if fenced:
            self._dependencies.metrics.fenced.inc()
        fenced_s = self._settings.session_timeout_s / 2 if fenced else 0.0
        backoff_s = min(BACKOFF_S_MAX, 0.1 * 2.0**self._failures) * random.uniform(0.5, 1.0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(fenced_s, backoff_s))

    async def _session(self) -> None:
        """From a fresh producer to the next fault, or to the end."""
        self.phase = "starting"
        if self._dependencies.logs.added(self.source):
            await self._dependencies.count_outputs()
        delivery = self._dependencies.make_delivery(self.source)
        try:
            self._dependencies.metrics.producers.labels("restart" if self._failures else "assignment").inc()
            await delivery.start()
            log_id = await self._identify()
            committed = await self._committed(log_id)
            consumer = self._dependencies.consumer
            processor = self._dependencies.make_processor(self.source)
            snapshots_of = partial(self._dependencies.make_snapshots, state_key=processor.state_key, log_id=log_id)
            committed = await check_snapshots(consumer, self.source, committed, snapshots_of, self._settings)
            snapshots = await snapshots_of(self.source)
            self._carried, self._since = committed.note.carried, await self._outputs_since(committed)
            if self._carried and isinstance(processor, Carrying):
                processor.carry_on(self._carried)
            if committed.must_be_written:
                await delivery.deliver([], committed.offset, self.owned, self._note(self._carried))
            self.phase = "restoring"
            folding = Folding(processor, self._suspects)
            await restore(
                consumer, self.source, committed.offset, folding, snapshots, self._dependencies.metrics, self._moving
            )
            consumer.seek(self.source, committed.offset)
            self.next_offset = self.passed_offset = committed.offset
            self._saver.first_due()
            self._moving()
            self.phase = "running"
            self._log.info("partition.running", offset=committed.offset)
            delivery = await self._loop(delivery, processor, snapshots)
        finally:
            await self._saver.give_up()
            await asyncio.shield(delivery.discard())

    async def _outputs_since(self, committed: Position) -> str:
        """Where the outputs of this log begin, for the offset's note; empty where there was no other log."""
        if not committed.accepted:
            return committed.note.since
        outputs, timeout_s = self._dependencies.outputs, self._settings.request_timeout_s
        return since(await begins_of(self._dependencies.consumer, self.source, outputs, timeout_s))

    async def _identify(self) -> str:
        self._log_id = await self._dependencies.logs.current(self.source.topic)
        return self._log_id

    async def _committed(self, log_id: str) -> Position:
        dependencies = self._dependencies
        settings = self._settings
        if dependencies.logs.added(self.source):  # `latest` would skip what came before we saw the partition
            settings = settings.model_copy(update={"start_from": "earliest"})
        return await committed_position(dependencies.consumer, self.source, settings, dependencies.metrics, log_id)

    async def _loop(self, delivery: Delivery, processor: Processor, snapshots: SnapshotStore) -> Delivery:
        while not self._stop.is_set():
            batches = await self._polling.poll()
            self._dependencies.logs.look(self.source.topic)
            if self._stop.is_set():
                break  # what was polled and not begun belongs to the next owner
            for batch in batches:
                for part in self._suspects.cut(batch):
                    held = await self._batch(part, processor, delivery)
                    if held is not None:
                        await self._hold(held, delivery)
                        return delivery
            if not batches:
                await self._pass_markers()
                due = processor.flush()
                if due is not None and self.next_offset is not None:
                    await self._deliver(delivery, processor, due, self.next_offset)
            if delivery.needs_recycling:
                delivery = await self._replace(delivery)
            if (moment := self._moment(processor, snapshots)) is not None:
                await self._saver.begin_if_due(moment)
        last = processor.flush(force=True)
        if last is not None and self.next_offset is not None and not self._lost:
            await self._deliver(delivery, processor, last, self.next_offset)
        if (moment := self._moment(processor, snapshots)) is not None:
            await self._saver.finish(moment, self._snapshot_until_s)
        return delivery

    async def _batch(self, batch: Sequence[Record], processor: Processor, delivery: Delivery) -> Held | None:
        """From poll to commit; why nothing is committed, where it would be too many dead letters."""
        with self._dependencies.tracing.batch(batch) as trace:
            failpoint("after_poll")
            if self._dependencies.shared is not None:
                self._dependencies.shared.begins(self.source)
            blamed = self._suspects.why(batch[0])
            started_s = monotonic_s()
            try:
                if blamed is not None:
                    result = self._refuse(batch[0], blamed, processor)
                else:
                    result = await processor.process(batch)
            except Exception as error:
                if blamed is None:
                    self._suspect(batch, error)
                raise
            self._dependencies.metrics.observe_stage("process", started_s)
            failpoint("after_process")
            if cause := self._hold_rule.why(result, blamed, batch):
                return Held.of(f"{self.source.topic}-{self.source.partition}", batch, result.faults, cause)
            trace.carry(result.writes)
            self._last = batch[-1]
            try:
                await self._deliver(delivery, processor, result, batch[-1].offset + 1)
            except UnsendableError as error:
                if blamed is None:
                    self._suspect(batch, error)
                raise
            self._hold_rule.count(result, blamed)
            return None

    def _suspect(self, batch: Sequence[Record], error: Exception) -> None:
        """Raise SuspectError instead of a stage's error, where the records may be to blame for it."""
        if suspicious(error):
            self._suspects.blame(batch, error)
            raise SuspectError(f"{batch[0].offset} to {batch[-1].offset}") from error

    def _refuse(self, record: Record, error: str, processor: Processor) -> Result:
        """The dead letter of a record on which a stage raises, the record folded as a restore folds it."""
        folded = record.offset not in self._suspects.not_folded
        try:
            return processor.refuse(unscorable(record, error), folded=folded)
        except Exception as raised:
            if not suspicious(raised):
                raise
            if not folded:
                where = f"{self.source.topic}-{self.source.partition}@{record.offset}"
                raise AssayError(
                    f"No dead letter can be made of {where} ({type(raised).__name__}): report it, with the lines of "
                    "`partition.suspect` in the log."
                ) from raised
            self._suspects.not_folded.add(record.offset)
            raise SuspectError(str(record.offset)) from raised

    async def _deliver(self, delivery: Delivery, processor: Processor, result: Result, next_offset: int) -> None:
        started_s = monotonic_s()
        if self._dependencies.logs.doubtful:
            await self._dependencies.logs.check(self.source.topic)
        await delivery.deliver(result.writes, next_offset, self.owned, self._note(result.carried))
        self._carried = result.carried
        self._dependencies.metrics.observe_stage("deliver", started_s)
        processor.committed(result)
        if result.subjects is not None:
            self._keys.look(result.subjects, self._dependencies.logs.partitions(self.source.topic))
        self.next_offset = self.passed_offset = next_offset
        self._suspects.committed(next_offset)
        self._failures = 0
        self._moving()
        self._dependencies.metrics.transactions.labels(self._label).inc()

    def _note(self, carried: str, held: str = "") -> str:
        return str(OffsetNote(self._log_id, held, carried, self._since))

    async def _replace(self, delivery: Delivery) -> Delivery:
        """D: a fresh producer of the same id between two transactions; state and position stay."""
        await delivery.discard()
        fresh = self._dependencies.make_delivery(self.source)
        self._dependencies.metrics.producers.labels("age").inc()
        await fresh.start()
        return fresh

    async def _hold(self, held: Held, delivery: Delivery) -> None:
        """Stop consuming, with an error, until an operator decides: of the batch only the reason is committed."""
        self.phase, self.held = "held", held
        self._decided.clear()
        self._dependencies.metrics.held.labels(self._label).set(1)
        self._log.error(
            "partition.held",
            cause=held.cause,
            reasons=held.reasons,
            first_offset=held.first_offset,
            last_offset=held.last_offset,
            next_step="`assay held show` lists the records, `assay held let-through` or `assay held retry` goes on",
        )
        try:
            await self._dependencies.logs.check(self.source.topic)
            await delivery.deliver([], held.first_offset, self.owned, self._note(self._carried, str(held)))
            if not self._stop.is_set():
                await self._decided.wait()
        finally:
            self.held = None
            self._dependencies.metrics.held.labels(self._label).set(0)
        self._log.info("partition.decided", let_through_below=self._hold_rule.let_through_below)
        self._suspects.forgive()

    async def _pass_markers(self) -> None:
        """Nothing was polled, and all that was is committed: there is no record for us before the consumer's position."""
        if not self.owned():
            return
        position = await self._dependencies.consumer.position(self.source)
        if position > self.passed_offset:
            self.passed_offset = position
            self._moving()

    def _moment(self, processor: Processor, snapshots: SnapshotStore) -> Moment | None:
        """The state as it is committed, between two batches."""
        if self.next_offset is None or self._lost:
            return None
        return Moment(processor, snapshots, self.next_offset, self._last)

    def _moving(self) -> None:
        self.progress_s = monotonic_s()
