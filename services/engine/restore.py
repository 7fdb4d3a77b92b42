"""From the log to the state that belongs to the committed offset: snapshot, then a silent fold of the rest."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.clock import monotonic_s
from services.engine.batches import Foldable
from services.engine.failpoints import failpoint
from services.engine.log_identity import AnotherLogError, sentence, way_on
from services.engine.offset_notes import OffsetNote
from services.engine.snapshots import DAMAGED, NO_LOG_ID, Snapshot, SnapshotStore, fingerprint
from services.errors import AssayError
from services.kafka.open_transactions import log_ends
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings
from services.settings.secrets import shown_url

log = structlog.get_logger(__name__)

RESTORE_RECORDS_MAX = 10_000
RESTORE_POLL_MS = 1000
END_POLL_S = 0.2


NO_NOTE = OffsetNote()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition continues.

    must_be_written: the group must commit this one, since it has none, or one before the first record that is left. known: it
    has one. note: what was committed with it. first: of the records that are left. accepted: begins a log that an operator
    accepted instead of a former one.
    """

    offset: int
    must_be_written: bool
    known: bool = True
    note: OffsetNote = NO_NOTE
    first: int = 0
    accepted: bool = False


async def committed_position(
    consumer: AIOKafkaConsumer, source: TopicPartition, settings: RuntimeSettings, metrics: Metrics, log_id: str
) -> Position:
    """The committed offset, or where `start_from` says to begin; never before the first record that is left.

    log_id: of the log as it is now. Raises AnotherLogError where the offset is of another, and no one accepted this one.
    """
    timeout_s = settings.request_timeout_s
    found = await asyncio.wait_for(consumer._coordinator.fetch_committed_offsets([source]), timeout_s)
    at: Any = found.get(source)
    committed = None if at is None or at.offset < 0 else int(at.offset)
    if committed is None and settings.start_from == "latest":
        end = await asyncio.wait_for(consumer.end_offsets([source]), timeout_s)
        return Position(end[source], must_be_written=True, known=False)
    first = (await asyncio.wait_for(consumer.beginning_offsets([source]), timeout_s))[source]
    if committed is None:
        return Position(first, must_be_written=True, known=False, first=first)
    note = OffsetNote.read(at.metadata)
    foreign = note.log_id is not None and NO_LOG_ID not in (note.log_id, log_id) and note.log_id != log_id
    accepted = log_id in settings.accepted_log_ids and note.log_id != log_id
    if foreign and not accepted:
        was = f"its topic id was {note.log_id}, and is {log_id}"
        raise AnotherLogError(sentence(source.topic, settings.group, was, log_id))
    if accepted and (foreign or await _is_beyond_the_end(consumer, source, committed, settings)):
        return _of_accepted(source, first)
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
        return Position(first, must_be_written=True, note=note, first=first)
    if await _is_beyond_the_end(consumer, source, committed, settings):
        raise AnotherLogError(
            f"Group {settings.group} is at {committed} in {source.topic}-{source.partition}, which ends before: this is "
            + ("another log of this name. " + way_on(source.topic, log_id) if note.log_id != log_id else _LOST)
        )
    return Position(committed, must_be_written=False, note=note, first=first)


_LOST = (
    "another log of this name, or one that lost records which were scored. To score it from its beginning, delete the group's "
    "offsets for the topic with kafka-consumer-groups --delete-offsets and its folders of snapshots, then start again."
)


def _of_accepted(source: TopicPartition, first: int) -> Position:
    log.warning("log.accepted", topic=source.topic, partition=source.partition, offset=first)
    return Position(first, must_be_written=True, first=first, accepted=True)


async def _is_beyond_the_end(
    consumer: AIOKafkaConsumer, source: TopicPartition, committed: int, settings: RuntimeSettings
) -> bool:
    """Whether the group is ahead of the log: it is another of this name, or lost records that were scored."""
    deadline_s = monotonic_s() + settings.request_timeout_s
    while True:
        end = (await asyncio.wait_for(consumer.end_offsets([source]), settings.request_timeout_s))[source]
        if committed <= end:
            return False
        if monotonic_s() > deadline_s:  # a leader that has just taken over may not know its own end yet
            return True
        await asyncio.sleep(END_POLL_S)


async def check_snapshots(
    consumer: AIOKafkaConsumer,
    source: TopicPartition,
    committed: Position,
    snapshots_of: Callable[[TopicPartition], Awaitable[SnapshotStore]],
    settings: RuntimeSettings,
) -> Position:
    """What the snapshots say of the position: where all are another log's, so is the offset. Raises AnotherLogError.

    An offset that was committed with this log's id needs no such witness. A partition with neither offset nor snapshot
    asks the topic's other ones.
    """
    snapshots = await snapshots_of(source)
    log_id = snapshots.log_id
    if committed.note.log_id == log_id:
        return committed
    former = await asyncio.to_thread(snapshots.former_log_id)
    was = f"its newest snapshot is of topic id {former}, and it is {log_id}"
    if former is None and not committed.known:
        await _check_never_committed(consumer, source, snapshots, settings)
        former = await _former_of_others(consumer, source, log_id, snapshots_of, settings.request_timeout_s)
        was = f"other partitions of it were worked under topic id {former}, and it is {log_id}"
    if former is None:
        return committed
    if log_id not in settings.accepted_log_ids:
        raise AnotherLogError(sentence(source.topic, settings.group, was, log_id))
    first = (await asyncio.wait_for(consumer.beginning_offsets([source]), settings.request_timeout_s))[source]
    return _of_accepted(source, first)


async def _former_of_others(
    consumer: AIOKafkaConsumer,
    source: TopicPartition,
    log_id: str,
    snapshots_of: Callable[[TopicPartition], Awaitable[SnapshotStore]],
    timeout_s: float,
) -> str | None:
    """The id of a former log that offsets or snapshots of the topic's other partitions name; None where all know of none."""
    numbers = sorted(consumer.partitions_for_topic(source.topic) or ())
    others = [TopicPartition(source.topic, number) for number in numbers if number != source.partition]
    if not others:
        return None
    found: Any = await asyncio.wait_for(consumer._coordinator.fetch_committed_offsets(others), timeout_s)
    ids = {OffsetNote.read(at.metadata).log_id for at in found.values() if at.offset >= 0} - {None}
    if log_id in ids:
        return None  # the group is in this log already
    if former := ids - {NO_LOG_ID}:
        return min(filter(None, former))
    for other in others:
        store = await snapshots_of(other)
        if (known := await asyncio.to_thread(store.former_log_id)) is not None:
            return known
    return None


async def begins_of(
    consumer: AIOKafkaConsumer, source: TopicPartition, outputs: Mapping[str, int], timeout_s: float
) -> dict[str, int]:
    """Where what is written next of an input partition will lie, by output topic. outputs: their numbers of partitions.

    Asked once the former owner is fenced: whatever it wrote is before.
    """
    places = [TopicPartition(topic, source.partition % count) for topic, count in outputs.items()]
    ends = await asyncio.wait_for(log_ends(consumer, places, timeout_s), timeout_s)
    return {place.topic: ends[place] for place in places}


async def _check_never_committed(
    consumer: AIOKafkaConsumer, source: TopicPartition, snapshots: SnapshotStore, settings: RuntimeSettings
) -> None:
    """Raises AssayError where a snapshot shows that the group had an offset in this log: it expired, or was deleted.

    To start over would score everything again. A snapshot beyond the end says nothing.
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
    start = await _load(consumer, source, committed, processor, snapshots, metrics)
    if getattr(processor, "stateless", False):
        return  # a snapshot only says whose log it is
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
            failpoint("during_restore")
            moving()
        position = await consumer.position(source)
    log.info(
        "partition.restored", topic=source.topic, partition=source.partition, snapshot_offset=start, offset=committed
    )


async def _load(
    consumer: AIOKafkaConsumer,
    source: TopicPartition,
    committed: int,
    processor: Foldable,
    snapshots: SnapshotStore,
    metrics: Metrics,
) -> int | None:
    """Offset of the newest usable snapshot, now in `processor`; None without one. Raises AnotherLogError."""
    candidates = snapshots.newest(committed)
    # in a thread: a large one takes seconds, and the consumer's heartbeats run on the event loop
    while (candidate := await asyncio.to_thread(next, candidates, None)) is not None:
        if isinstance(candidate, Snapshot):
            await _check_fingerprint(consumer, source, candidate)
        why = candidate if isinstance(candidate, str) else await asyncio.to_thread(_take, processor, candidate)
        if isinstance(candidate, Snapshot) and why is None:
            metrics.snapshots.labels("restored").inc()
            return candidate.offset
        metrics.snapshots.labels("rejected").inc()
        log.warning("snapshot.rejected", topic=source.topic, partition=source.partition, why=why)
    return None


async def _check_fingerprint(consumer: AIOKafkaConsumer, source: TopicPartition, snapshot: Snapshot) -> None:
    """Where brokers have no topic ids: the record before the snapshot's offset is the one that it was made after.

    One that retention removed is not looked for. Raises AnotherLogError.
    """
    if snapshot.before is None:
        return
    first = (await consumer.beginning_offsets([source]))[source]
    offset, digest = snapshot.before
    if offset < first:
        return
    consumer.seek(source, offset)
    fetched = await consumer.getmany(source, timeout_ms=RESTORE_POLL_MS, max_records=1)
    records = fetched.get(source, [])
    if records and (records[0].offset != offset or fingerprint(records[0]) != digest):
        raise AnotherLogError(
            f"{source.topic} is another log of this name: its record at {offset} of partition {source.partition} is not the "
            f"one that the newest snapshot was made after. {way_on(source.topic, NO_LOG_ID)}"
        )


def _take(processor: Foldable, snapshot: Snapshot) -> str | None:
    try:
        processor.restore(snapshot.arrays)
    except DAMAGED as error:
        return f"the snapshot at {snapshot.offset} does not fit: {error}"
    return None
