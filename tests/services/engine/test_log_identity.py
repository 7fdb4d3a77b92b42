"""State and offsets of one log are never used with another of its name, and a person says when to go on."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from models.features.capture import Capture
from services.engine.log_identity import AnotherLogError
from services.engine.offset_notes import CARRIED_MAX, HELD_MAX, SINCE_MAX, OffsetNote, since
from services.engine.snapshots import NO_LOG_ID, SnapshotStore
from services.engine.worker import PartitionWorker
from services.storage import Directory
from tests.services.engine.fakes import SOURCE, FakeConsumer, FakeKafka, Fate, parts_of, worker
from tests.services.engine.test_suspects import Summing, outputs, until


def kafka_of(*values: int, log_id: str | None = None) -> FakeKafka:
    """A log of these values."""
    kafka = FakeKafka(committed=0, log_id=log_id or uuid.uuid4().hex)
    for value in values:
        kafka.append(b"%d" % value)
    return kafka


def made_again(kafka: FakeKafka, *values: int) -> None:
    """Delete the topic and make it again; the group's offset is as it was."""
    kafka.log.clear()
    for value in values:
        kafka.append(b"%d" % value)
    if kafka.log_id != NO_LOG_ID:
        kafka.log_id = uuid.uuid4().hex


class Kept(Summing):
    """Adds up the values, and keeps the sum in its snapshots."""

    def snapshot(self) -> Capture:
        """The sum."""
        total = np.array([self.sum])
        return Capture.of(lambda: {"total": total})

    def restore(self, arrays: dict[str, Any]) -> None:
        """The sum."""
        self.sum = int(arrays["total"][0])


def quiet() -> Kept:
    """Raises on nothing."""
    return Kept(lambda _: None)


def saved(folder: Path) -> list[Path]:
    """Snapshots there."""
    return list(folder.glob("*.snapshot"))


@pytest.mark.parametrize("snapshots_kept", [True, False])
@pytest.mark.parametrize("committed", [3, 2, None])
async def test_a_log_that_was_made_again_is_scored_from_its_beginning_only_once_accepted(
    snapshots_kept: bool, committed: int | None, tmp_path: Path
) -> None:
    """Its new records reach beyond the committed offset, which is what nothing showed; the state starts empty."""
    kafka = kafka_of(1, 2, 3)
    await worker(kafka, quiet, tmp_path / "old").run()
    made_again(kafka, 10, 20, 30, 40)
    if committed is None and not snapshots_kept:
        return  # nothing of ours is left: it is a new topic
    kafka.committed, before = committed, len(kafka.outputs)
    folder = tmp_path / ("old" if snapshots_kept else "new")
    if committed is None:
        kafka.metadata = ""
    for _ in range(2):
        with pytest.raises(AnotherLogError, match=f"another log of this name.*ASSAY_ACCEPTED_LOGS={kafka.log_id}"):
            await worker(kafka, quiet, folder).run()
    with pytest.raises(AnotherLogError):
        await worker(kafka, quiet, folder, accepted_logs=uuid.uuid4().hex).run()
    assert len(kafka.outputs) == before
    await worker(kafka, quiet, folder, accepted_logs=kafka.log_id).run()
    assert outputs(kafka)[before:] == [("out", n, total) for n, total in enumerate([b"10", b"30", b"60", b"100"])]
    kafka.append(b"5")
    # the setting may stay: it does not begin again
    await worker(kafka, quiet, folder, accepted_logs=kafka.log_id).run()
    assert outputs(kafka)[before + 4 :] == [("out", 4, b"105")]


async def test_a_group_of_an_earlier_version_whose_snapshots_are_of_another_log_is_stopped_too(tmp_path: Path) -> None:
    """What it committed names no log."""
    kafka = kafka_of(1, 2, 3)
    await worker(kafka, quiet, tmp_path).run()
    made_again(kafka, 10, 20, 30, 40)
    kafka.metadata = ""
    with pytest.raises(AnotherLogError, match="its newest snapshot is of topic id"):
        await worker(kafka, quiet, tmp_path).run()


@pytest.mark.parametrize("doubted", [True, False])
async def test_a_log_made_again_while_it_is_worked_gets_no_commit_under_the_old_state(
    doubted: bool, tmp_path: Path
) -> None:
    """Either the client lost the topic's leader before, or the group's watch sees it; no snapshot is saved either."""
    kafka = kafka_of(1, 2, 3)
    consumer = FakeConsumer(kafka)
    partition = worker(kafka, quiet, tmp_path, consumer, snapshot_interval_s=1e6)
    logs = partition._dependencies.logs
    running = asyncio.create_task(partition.run())
    await until(lambda: kafka.committed == 3)
    made_again(kafka, 10, 20, 30)
    if doubted:
        logs.doubt()
    else:
        await logs.check()
    kafka.append(b"40")
    await until(lambda: partition.phase == "replaced")
    assert logs.why_not_ready()[0].count(kafka.log_id) == 2
    partition.drain()
    await running
    assert (kafka.committed, len(kafka.outputs)) == (3, 3)
    assert not saved(tmp_path)


async def test_a_snapshot_is_not_saved_when_the_log_was_made_again_since(tmp_path: Path) -> None:
    """The id that was read when the partition started would have named the new log's records after the old log."""
    kafka = kafka_of(1, 2, 3)
    consumer = FakeConsumer(kafka)
    partition = worker(kafka, quiet, tmp_path, consumer, snapshot_interval_s=1e6)
    running = asyncio.create_task(partition.run())
    await until(lambda: kafka.committed == 3)
    made_again(kafka, 10)
    partition.drain()
    await running
    assert not saved(tmp_path)


async def test_a_topic_that_is_gone_for_now_is_waited_for(tmp_path: Path) -> None:
    """A broker that does not know it yet proves nothing; nothing is committed until it is back."""
    kafka = kafka_of(1, 2, 3)
    partition = worker(kafka, quiet, tmp_path, FakeConsumer(kafka), restarts_max=1000)
    running = asyncio.create_task(partition.run())
    await until(lambda: kafka.committed == 3)
    known, kafka.log_id = kafka.log_id, NO_LOG_ID
    partition._dependencies.logs.doubt()
    kafka.append(b"4")
    await until(lambda: partition._failures > 0)
    assert kafka.committed == 3
    kafka.log_id = known
    await until(lambda: kafka.committed == 4)
    partition.drain()
    await running


@pytest.mark.parametrize("changed", [True, False])
async def test_where_brokers_tell_no_ids_the_record_before_the_snapshot_tells_the_log(
    changed: bool, tmp_path: Path
) -> None:
    """Kafka before 2.8: the same records are the same log."""
    kafka = kafka_of(1, 2, 3, log_id=NO_LOG_ID)
    await worker(kafka, quiet, tmp_path).run()
    made_again(kafka, 1, 2, 4 if changed else 3, 5)
    if changed:
        with pytest.raises(AnotherLogError, match="its record at 2 of partition 0 is not the one"):
            await worker(kafka, quiet, tmp_path).run()
        assert kafka.committed == 3
    else:
        await worker(kafka, quiet, tmp_path).run()
        assert outputs(kafka)[3:] == [("out", 3, b"11")]


@pytest.mark.parametrize("fate", ["fail", "commit_without_answer"])
async def test_what_is_committed_names_its_log(fate: Fate, tmp_path: Path) -> None:
    """Whatever happened on the way."""
    kafka = kafka_of(1, 2, 3)
    kafka.fates.append(fate)
    await worker(kafka, quiet, tmp_path, batch_records_max=1).run()
    assert OffsetNote.read(kafka.metadata) == OffsetNote(kafka.log_id)


@pytest.mark.parametrize(
    "note",
    [
        OffsetNote(),
        OffsetNote("a" * 32),
        OffsetNote("a" * 32, "held"),
        OffsetNote("a" * 32, "held; log=1\n2"),
        OffsetNote("a" * 32, carried="YWI="),
        OffsetNote("a" * 32, "held", "YWI=", since({"x.scores": 3, "x.alerts": 0})),
    ],
)
def test_a_note_reads_as_it_was_written(note: OffsetNote) -> None:
    """Also what a person wrote is no error."""
    assert OffsetNote.read(str(note)) == note
    assert OffsetNote.read("by hand").log_id is None
    assert OffsetNote.read(None) == OffsetNote()


def test_the_longest_note_is_one_that_brokers_keep() -> None:
    """4,096 bytes of each offset, by default; topics that do not fit are left out whole."""
    begins = {f"{'p' * 200}.topic-{n}": 10**12 for n in range(7)}
    note = OffsetNote("a" * 32, "h" * 2 * HELD_MAX, "c" * CARRIED_MAX, since(begins))
    assert len(str(note)) <= 4096
    assert OffsetNote.read(str(note)).begins.items() < begins.items()
    assert len(since(begins)) <= SINCE_MAX


@pytest.mark.parametrize("shows", ["offset", "snapshot", "offset in this log", "nothing"])
async def test_a_partition_without_offset_and_snapshot_asks_the_topics_other_partitions(
    shows: str, tmp_path: Path
) -> None:
    """It would begin at a log that no one accepted while the others wait for a person."""
    kafka, former = kafka_of(1, 2), "f" * 32
    kafka.committed = None
    note = {"offset": former, "offset in this log": kafka.log_id}.get(shows)
    if shows == "snapshot":
        SnapshotStore(Directory(tmp_path / "1"), "quiet", former).save(5, Capture.of(dict))

    class Two(FakeConsumer):
        def partitions_for_topic(self, topic: str) -> set[int]:
            return {0, 1}

        @property
        def _coordinator(self) -> Any:
            async def fetch(sources: Sequence[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
                if TopicPartition(SOURCE.topic, 1) in sources:
                    return {sources[0]: OffsetAndMetadata(5, str(OffsetNote(note)))} if note else {}
                return {} if kafka.committed is None else {SOURCE: OffsetAndMetadata(kafka.committed, kafka.metadata)}

            return SimpleNamespace(fetch_committed_offsets=fetch)

    async def make_snapshots(source: TopicPartition, state_key: str, log_id: str) -> SnapshotStore:
        return SnapshotStore(Directory(tmp_path / str(source.partition)), "quiet", log_id)

    def made(**settings: Any) -> PartitionWorker:
        consumer = Two(kafka, lambda: partition.drain())
        parts = replace(parts_of(kafka, quiet, tmp_path, consumer, **settings), make_snapshots=make_snapshots)
        partition = PartitionWorker(SOURCE, parts)
        return partition

    if shows in ("offset", "snapshot"):
        with pytest.raises(AnotherLogError, match=f"other partitions of it were worked under topic id {former}"):
            await made().run()
        assert kafka.outputs == []
        kafka.outputs += [("out", {}, b"of the former log")] * 7
        await made(accepted_logs=kafka.log_id).run()
        assert OffsetNote.read(kafka.metadata).begins == {"out": 7}
    else:
        await made().run()
        assert OffsetNote.read(kafka.metadata).begins == {}
    assert kafka.committed == 2
