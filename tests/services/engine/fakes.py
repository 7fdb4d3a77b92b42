"""A Kafka of one partition in memory, for a real PartitionWorker: a log, a committed offset, outputs, and faults on demand."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from models.features.capture import Capture
from services.engine.batches import Processor, Result, Write
from services.engine.delivery import RevokedError
from services.engine.faults import Fault
from services.engine.log_identity import LogIdentities
from services.engine.pacing import Pacer
from services.engine.snapshots import NO_LOG_ID, SnapshotStore
from services.engine.tracing import OFF
from services.engine.worker import PartitionWorker, WorkerDependencies
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings
from services.storage import Directory

SOURCE = TopicPartition("transactions", 0)

Fate = Literal["commit", "fail", "commit_without_answer", "crash", "crash_after_commit", "revoke"]
"""What becomes of one delivery."""


class CrashError(BaseException):
    """The process is gone: nothing of ours may catch it."""


@dataclass
class FakeKafka:
    """What would outlive a process. fates: of the next deliveries, in order; then all commit."""

    log: list[Any] = field(default_factory=list)
    committed: int | None = None
    metadata: str = ""
    stable: int | None = None
    """Where committed records end; None at the log's end."""
    outputs: list[tuple[str, Any, bytes]] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    log_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    hang: bool = False
    """No producer ever gets an answer."""

    def append(self, value: bytes | None, offset: int | None = None, stamp: int | None = None) -> None:
        """One record more on the input."""
        offset = len(self.log) if offset is None else offset
        stamp = 3_700_000_000_000 if stamp is None else stamp  # 2087: nothing is ahead of it
        self.log.append(
            SimpleNamespace(
                topic=SOURCE.topic, partition=0, offset=offset, key=None, value=value, timestamp=stamp, headers=()
            )
        )


class FakeConsumer:
    """The consumer's side of it. `idle`: called when a poll finds nothing."""

    def __init__(self, kafka: FakeKafka, idle: Callable[[], None] = lambda: None) -> None:
        self._kafka, self._idle, self._at = kafka, idle, 0
        self.assigned = {SOURCE}

    def assignment(self) -> set[TopicPartition]:
        """What the group gives us."""
        return self.assigned

    @property
    def _coordinator(self) -> Any:
        """Asked for the group's offset, with what was committed beside it."""

        async def fetch_committed_offsets(sources: Sequence[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
            self._kafka.calls.append("committed")
            if self._kafka.committed is None:
                return {}
            return {SOURCE: OffsetAndMetadata(self._kafka.committed, self._kafka.metadata)}

        return SimpleNamespace(fetch_committed_offsets=fetch_committed_offsets)

    async def beginning_offsets(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Nothing is ever deleted."""
        return dict.fromkeys(sources, 0)

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Behind the last record that can be read."""
        stable = self._kafka.stable
        return dict.fromkeys(sources, len(self._kafka.log) if stable is None else stable)

    @property
    def _fetcher(self) -> Any:
        """Asked for the log's own end."""

        async def end_offsets(sources: Sequence[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
            await self.end_offsets(sources)  # no answer is no answer
            outputs = Counter(topic for topic, _, _ in self._kafka.outputs)
            ends = {SOURCE.topic: len(self._kafka.log)}
            return {source: ends.get(source.topic, outputs[source.topic]) for source in sources}

        return SimpleNamespace(end_offsets=end_offsets)

    async def position(self, source: TopicPartition) -> int:
        """Of the next record that a poll returns."""
        return self._at

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Go there."""
        self._kafka.calls.append(f"seek {offset}")
        self._at = offset

    def partitions_for_topic(self, topic: str) -> set[int]:
        """One."""
        return {0}

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        """The group answers when a test says so."""

    async def getmany(self, source: TopicPartition, *, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        """The next records, if any."""
        await asyncio.sleep(0)
        readable = self._kafka.log[: self._kafka.stable]
        records = readable[self._at : self._at + max_records]
        self._at += len(records)
        if not records:
            self._idle()
        return {source: records} if records else {}


class FakeDelivery:
    """Outputs and offset together or not at all, as the next fate has it."""

    needs_recycling = False

    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka, self._usable = kafka, True

    async def start(self) -> None:
        """Connect."""
        self._kafka.calls.append("start")
        if self._kafka.hang:
            await asyncio.get_running_loop().create_future()

    async def deliver(
        self, writes: Sequence[Write], next_offset: int, owned: Callable[[], bool], metadata: str = ""
    ) -> None:
        """Meet the next fate."""
        if not self._usable:
            raise RuntimeError("a delivery that failed was used again (A, B)")
        self._usable = False
        fate = self._kafka.fates.pop(0) if self._kafka.fates else "commit"
        await asyncio.sleep(0)
        if fate == "crash":
            raise CrashError
        if fate == "fail":
            raise KafkaError("refused")
        if fate == "revoke" or not owned():
            raise RevokedError
        for write in writes:
            for value, headers in zip(write.values, write.headers, strict=True):
                self._kafka.outputs.append((write.topic, dict(headers), value))
        self._kafka.committed, self._kafka.metadata = next_offset, metadata
        if fate == "crash_after_commit":
            raise CrashError
        if fate == "commit_without_answer":
            raise TimeoutError
        self._usable = True

    async def discard(self) -> None:
        """Close."""
        self._kafka.calls.append("discard")


class Silent:
    """A processor without a model: it answers each record with the record's own value."""

    state_key = "silent"

    def __init__(self, kafka: FakeKafka | None = None) -> None:
        if kafka is not None:
            kafka.calls.append("processor")

    def restore(self, arrays: dict[str, Any]) -> None:
        """Nothing is kept."""

    def snapshot(self) -> Capture:
        """Nothing is kept."""
        return Capture.of(lambda: {"nothing": np.zeros(1)})

    def absorb(self, records: Sequence[Any]) -> None:
        """Nothing is kept."""

    async def process(self, records: Sequence[Any]) -> Result:
        """One output for each record."""
        write = Write("out")
        for record in records:
            write.append(None, record.value or b"", [])
        return Result([write], len(records), 0)

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """One output that names the fault."""
        write = Write("dead")
        write.append(None, fault.detail.encode(), [("offset", b"%d" % fault.record.offset)])
        return Result([write], 1, 1, (fault,))

    def committed(self, result: Result) -> None:
        """No one counts."""

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""
        return None


def parts_of(
    kafka: FakeKafka, make_processor: Callable[[], Processor], snapshots: Path, consumer: FakeConsumer, **settings: Any
) -> WorkerDependencies:
    """What a worker is made of; settings in a hurry unless given."""

    async def make_snapshots(source: TopicPartition, state_key: str, log_id: str) -> SnapshotStore:
        return SnapshotStore(Directory(snapshots), state_key, log_id)

    async def topic_ids() -> dict[str, str]:
        return {} if kafka.log_id == NO_LOG_ID else {SOURCE.topic: kafka.log_id}

    metrics = Metrics()
    return WorkerDependencies(
        consumer=consumer,
        make_delivery=lambda source: FakeDelivery(kafka),
        make_processor=lambda source: make_processor(),
        make_snapshots=make_snapshots,
        outputs={"out": 1},
        pacer=Pacer(1e9),
        logs=LogIdentities(topic_ids, {SOURCE.topic: 1}, "assay-scorer", metrics, timeout_s=5.0),
        metrics=metrics,
        settings=RuntimeSettings(**{"session_timeout_s": 0.002, "snapshot_interval_s": 1e-6, **settings}),
        tracing=OFF,
    )


def worker(
    kafka: FakeKafka,
    make_processor: Callable[[], Processor],
    snapshots: Path,
    consumer: FakeConsumer | None = None,
    **settings: Any,
) -> PartitionWorker:
    """A worker that drains itself once there is nothing left to do, unless `consumer` says otherwise."""
    made = consumer or FakeConsumer(kafka, lambda: partition.drain())
    partition = PartitionWorker(SOURCE, parts_of(kafka, make_processor, snapshots, made, **settings))
    return partition
