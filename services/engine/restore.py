"""From the log to the state that belongs to the committed offset: snapshot, then a silent fold of the rest."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.clock import monotonic_s
from services.engine.batches import Foldable
from services.engine.failpoints import reach
from services.engine.snapshots import Snapshot, SnapshotStore
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.settings.secrets import shown_url
from services.settings.stream import RuntimeSettings

log = structlog.get_logger(__name__)

RESTORE_RECORDS_MAX = 10_000
RESTORE_POLL_MS = 1000
END_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition goes on.

    must_be_written: the group must commit this one, since it has none, or one before the first record that is left. known: it
    has one.
    """

    offset: int
    must_be_written: bool
    known: bool = True


async def committed_position(
    consumer: AIOKafkaConsumer, source: TopicPartition, settings: RuntimeSettings, metrics: Metrics
) -> Position:
    """The committed offset, or where `start_from` says to begin; never before the first record that is left."""
    timeout_s = settings.request_timeout_s
    committed = await asyncio.wait_for(consumer.committed(source), timeout_s)
    if committed is None and settings.start_from == "latest":
        end = await asyncio.wait_for(consumer.end_offsets([source]), timeout_s)
        return Position(end[source], must_be_written=True, known=False)
    first = (await asyncio.wait_for(consumer.beginning_offsets([source]), timeout_s))[source]
    if committed is None:
        return Position(first, must_be_written=True, known=False)
    if committed < first:
        lost = first - committed
        metrics.offset_gaps.labels(metrics.label(source)).inc(lost)
        log.error(
            "partition.offset_gap",
            topic=source.topic,
            partition=source.partition,
            lost_records=lost,
            next_step="records were deleted before they were scored: lengthen the topic's retention",
        )
        return Position(first, must_be_written=True)
    await _check_end(consumer, source, committed, settings)
    return Position(committed, must_be_written=False)


async def _check_end(
    consumer: AIOKafkaConsumer, source: TopicPartition, committed: int, settings: RuntimeSettings
) -> None:
    """Raises AssayError where the group is ahead of the log: it is another of this name, or lost records that were scored."""
    deadline_s = monotonic_s() + settings.request_timeout_s
    while True:
        end = (await asyncio.wait_for(consumer.end_offsets([source]), settings.request_timeout_s))[source]
        if committed <= end:
            return
        if monotonic_s() > deadline_s:  # a leader that has just taken over may not know its own end yet
            break
        await asyncio.sleep(END_POLL_S)
    raise AssayError(
        f"Group {settings.group} is at {committed} in {source.topic}-{source.partition}, which ends at {end}: this is another "
        "log of this name, or one that lost records. To score it from its beginning, delete the group's offsets for the topic "
        "with kafka-consumer-groups --delete-offsets, then start again."
    )


async def check_never_committed(
    consumer: AIOKafkaConsumer, source: TopicPartition, snapshots: SnapshotStore, settings: RuntimeSettings
) -> None:
    """Raises AssayError where a snapshot shows that the group had an offset in this log: it expired, or somebody deleted it.

    To begin anew would score everything again. A snapshot of another log says nothing, nor does one beyond the end.
    """
    newest = await asyncio.to_thread(snapshots.newest_offset)
    if newest is None:
        return
    end = (await asyncio.wait_for(consumer.end_offsets([source]), settings.request_timeout_s))[source]
    if newest <= end:
        raise AssayError(
            f"Group {settings.group} has no offset for {source.topic}-{source.partition}, but a snapshot shows that it was at "
            f"{newest}: set it there with kafka-consumer-groups --reset-offsets; or, to score everything again, remove the "
            f"group's snapshots from {shown_url(settings.snapshot_url)}."
        )


async def restore(
    consumer: AIOKafkaConsumer,
    source: TopicPartition,
    committed: int,
    processor: Foldable,
    snapshots: SnapshotStore,
    metrics: Metrics,
    moving: Callable[[], None],
) -> None:
    """Bring `processor` to the state just before `committed`. Calls `moving` while it makes progress."""
    start = await _load(source, committed, processor, snapshots, metrics)
    first = (await consumer.beginning_offsets([source]))[source]
    position = first if start is None else max(start, first)
    if start is not None and start < first:
        log.warning(
            "partition.history_gap",
            topic=source.topic,
            partition=source.partition,
            lost_records=first - start,
            next_step="the topic's retention is shorter than the age of the snapshot: lengthen it",
        )
    if position >= committed:
        return
    consumer.seek(source, position)
    while position < committed:
        fetched = await consumer.getmany(source, timeout_ms=RESTORE_POLL_MS, max_records=RESTORE_RECORDS_MAX)
        records = [record for record in fetched.get(source, []) if record.offset < committed]
        if records:
            processor.absorb(records)
            reach("during_restore")
            moving()
        position = await consumer.position(source)
    log.info(
        "partition.restored", topic=source.topic, partition=source.partition, snapshot_offset=start, offset=committed
    )


async def _load(
    source: TopicPartition, committed: int, processor: Foldable, snapshots: SnapshotStore, metrics: Metrics
) -> int | None:
    """Offset of the newest usable snapshot, now in `processor`; None without one."""
    candidates = snapshots.newest(committed)
    # in a thread: a large one takes seconds, and the consumer's heartbeats run on the event loop
    while (candidate := await asyncio.to_thread(next, candidates, None)) is not None:
        why = candidate if isinstance(candidate, str) else await asyncio.to_thread(_take, processor, candidate)
        if isinstance(candidate, Snapshot) and why is None:
            metrics.snapshots.labels("restored").inc()
            return candidate.offset
        metrics.snapshots.labels("rejected").inc()
        log.warning("snapshot.rejected", topic=source.topic, partition=source.partition, why=why)
    return None


def _take(processor: Foldable, snapshot: Snapshot) -> str | None:
    try:
        processor.restore(snapshot.arrays)
    except (ValueError, KeyError) as error:
        return f"the snapshot at {snapshot.offset} does not fit: {error}"
    return None
