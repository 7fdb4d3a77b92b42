"""A snapshot is saved beside the work: whatever becomes of it, the partition goes on, and ends in time."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import TopicPartition
from numpy.typing import NDArray

from models.features.capture import Capture, Part
from services.engine.group import WorkerGroup
from services.engine.saving import Moment, SnapshotSaver
from services.engine.snapshots import Snapshot, SnapshotStore
from services.engine.worker import PartitionWorker
from services.storage import Directory
from tests.services.engine.fakes import SOURCE, FakeConsumer, FakeKafka, parts_of, worker
from tests.services.engine.test_log_identity import Kept, kafka_of, saved
from tests.services.engine.test_suspects import outputs, until


class Slow(Kept):
    """Its captures are read only as far as `gate` lets them."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__(lambda _: None)
        self.gate, self.captures, self.closed = gate, 0, 0

    def snapshot(self) -> Capture:
        """The sum, in a piece that waits."""
        total = np.array([self.sum])
        self.captures += 1

        def pieces() -> Iterator[NDArray[Any]]:
            assert self.gate.wait(30)
            yield total

        return Capture(lambda: {"total": Part(total.dtype, total.shape, pieces)}, self._close)

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Open at the end, so that no thread waits for ever."""
    made = threading.Event()
    yield made
    made.set()


def totals(folder: Path, kafka: FakeKafka) -> dict[int, int]:
    """What each snapshot holds, by offset."""
    found = SnapshotStore(Directory(folder), "silent", kafka.log_id).newest(100)
    return {one.offset: int(one.arrays["total"][0]) for one in found if isinstance(one, Snapshot)}


def outcome(partition: PartitionWorker, name: str) -> float:
    """Snapshots that ended so."""
    return partition._dependencies.metrics.registry.get_sample_value("assay_snapshots_total", {"outcome": name}) or 0.0


async def test_a_partition_commits_while_its_state_is_saved_and_the_state_is_that_of_its_offset(
    gate: threading.Event, tmp_path: Path
) -> None:
    """The save waits for a gate; what comes meanwhile is committed, and is not in the snapshot."""
    kafka, processor = kafka_of(1, 2, 3), Slow(gate)
    partition = worker(kafka, lambda: processor, tmp_path, FakeConsumer(kafka))
    running = asyncio.create_task(partition.run())
    await until(lambda: processor.captures == 1)
    captured = kafka.committed or 0
    for value in (b"10", b"20"):
        kafka.append(value)
        await until(lambda: kafka.committed == len(kafka.log))
    assert processor.captures == 1
    gate.set()
    await until(lambda: outcome(partition, "saved") >= 1)
    partition.drain()
    await running
    assert kafka.committed == 5
    held = totals(tmp_path, kafka)
    assert held[5] == 36
    assert held.get(captured, 6) == sum((1, 2, 3)[:captured])
    assert processor.captures == processor.closed


async def test_a_drain_gives_up_a_save_that_takes_longer(gate: threading.Event, tmp_path: Path) -> None:
    """Neither the save under way nor a last one holds up the end; the folder is as it was, and the next owner begins."""
    kafka, processor = kafka_of(1, 2, 3), Slow(gate)
    partition = worker(kafka, lambda: processor, tmp_path, FakeConsumer(kafka))
    running = asyncio.create_task(partition.run())
    await until(lambda: processor.captures == 1)
    partition.drain(0.1)
    await asyncio.wait_for(running, 20)  # the gate is shut: a drain that waits for the save never ends
    assert partition.phase == "stopped"
    gate.set()
    await until(lambda: processor.captures == processor.closed)
    assert outcome(partition, "abandoned") >= 1
    assert not saved(tmp_path)
    kafka.append(b"4")
    await worker(kafka, lambda: Slow(gate), tmp_path).run()
    assert outputs(kafka)[-1] == ("out", 3, b"10")


async def test_a_drain_with_time_left_ends_with_a_snapshot(gate: threading.Event, tmp_path: Path) -> None:
    """So that a restart folds nothing."""
    gate.set()
    kafka = kafka_of(1, 2, 3)
    await worker(kafka, lambda: Slow(gate), tmp_path, snapshot_interval_s=1e6).run()
    assert totals(tmp_path, kafka) == {3: 6}


async def test_a_partition_that_fails_while_it_is_saved_starts_again_and_saves_again(
    gate: threading.Event, tmp_path: Path
) -> None:
    """The save of the state that was thrown away is given up; the one after it is of the new state."""
    kafka, made = kafka_of(1, 2, 3), []

    def make() -> Slow:
        made.append(Slow(gate))
        return made[-1]

    partition = worker(kafka, make, tmp_path, FakeConsumer(kafka))
    running = asyncio.create_task(partition.run())
    await until(lambda: bool(made) and made[0].captures == 1)
    kafka.fates.append("fail")
    kafka.append(b"4")
    await until(lambda: len(made) == 2 and kafka.committed == 4)
    gate.set()
    await until(lambda: outcome(partition, "saved") >= 1 and outcome(partition, "abandoned") == 1)
    partition.drain()
    await running
    assert totals(tmp_path, kafka)[4] == 10
    assert outputs(kafka)[-1] == ("out", 3, b"10")


async def test_one_partition_of_a_process_saves_at_a_time(gate: threading.Event, tmp_path: Path) -> None:
    """What captures keep aside is bounded by one state. The second partition goes on and begins when the first is done."""
    kafka, processors = kafka_of(1), [Slow(gate), Slow(gate)]
    dependencies = parts_of(kafka, lambda: processors[0], tmp_path, FakeConsumer(kafka))
    savers = [
        SnapshotSaver(
            SOURCE, dependencies.settings, dependencies.logs, dependencies.metrics, dependencies.snapshot_turn
        )
        for _ in processors
    ]
    moments = [
        Moment(processor, SnapshotStore(Directory(tmp_path / str(number)), "silent", "a" * 32), 1, kafka.log[0])
        for number, processor in enumerate(processors)
    ]
    for saver, moment in zip(savers, moments, strict=True):
        await saver.begin_if_due(moment)
    assert [processor.captures for processor in processors] == [1, 0]
    gate.set()
    await until(lambda: processors[0].closed == 1)
    await savers[1].begin_if_due(moments[1])
    await until(lambda: processors[1].closed == 1)
    assert [len(saved(tmp_path / name)) for name in ("0", "1")] == [1, 1]


@pytest.mark.parametrize(("session_s", "bound_s"), [(8.0, 4.0), (100.0, 10.0)])
async def test_a_partition_that_is_taken_away_drains_well_within_what_the_group_waits(
    session_s: float, bound_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group waits for a session; half of it, or the drain's own bound. After SIGTERM the drain's bound counts."""
    kafka, bounds = FakeKafka(), []
    dependencies = parts_of(
        kafka, lambda: Kept(lambda _: None), tmp_path, FakeConsumer(kafka), session_timeout_s=session_s
    )
    group, stop = WorkerGroup(["transactions"], dependencies), asyncio.Event()
    drain: Callable[..., None] = PartitionWorker.drain

    def noted(self: PartitionWorker, within_s: float) -> None:
        bounds.append(within_s)
        drain(self, within_s)

    monkeypatch.setattr(PartitionWorker, "drain", noted)
    running = asyncio.create_task(group.run(stop))
    for end in ("taken", "stopped"):
        await group.on_partitions_assigned([TopicPartition("transactions", 0)])
        await until(lambda: any(one.phase == "running" for one in group._workers.values()))
        if end == "taken":
            await group.on_partitions_revoked([TopicPartition("transactions", 0)])
    stop.set()
    await running
    assert bounds == [bound_s, 10.0]
