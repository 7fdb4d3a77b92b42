"""One partition's worker against a fake Kafka: what it does in which order, and what it throws away."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.engine import worker as runtime_worker
from services.errors import AssayError
from services.settings.processing import RuntimeSettings
from tests.services.engine.fakes import FakeConsumer, FakeKafka, Silent, worker


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between two tries."""
    monkeypatch.setattr(runtime_worker, "BACKOFF_S_MAX", 0.0)


def kafka_with(records: int, *fates: Any) -> FakeKafka:
    """Records on the input, and what becomes of the next deliveries."""
    kafka = FakeKafka(fates=list(fates))
    for number in range(records):
        kafka.append(b"%d" % number)
    kafka.committed = 0
    return kafka


async def test_a_partition_starts_in_the_order_that_fences_first(tmp_path: Path) -> None:
    """Rule C: producer, committed offset, state, position. Any other order reads what the last owner still changes."""
    kafka = kafka_with(5)
    await worker(kafka, lambda: Silent(kafka), tmp_path).run()
    assert kafka.calls[:4] == ["start", "committed", "processor", "seek 0"]


@pytest.mark.parametrize("fate", ["fail", "commit_without_answer", "revoke"])
async def test_after_any_fault_producer_and_state_are_new_and_the_position_is_the_committed_one(
    tmp_path: Path, fate: Any
) -> None:
    """Rules A and B: what happened is not known, so nothing of it is believed."""
    kafka = kafka_with(6, "commit", fate)
    await worker(kafka, lambda: Silent(kafka), tmp_path, batch_records_max=2).run()
    again = kafka.calls[kafka.calls.index("discard") :]
    expected = 4 if fate == "commit_without_answer" else 2
    assert again[:4] == ["discard", "start", "committed", "processor"]
    assert f"seek {expected}" in again
    assert kafka.committed == 6
    assert [value for _, _, value in kafka.outputs] == [b"%d" % number for number in range(6)]


async def test_a_group_that_lost_its_offset_does_not_start_over(tmp_path: Path) -> None:
    """It would score everything again; a snapshot is the proof."""
    kafka = kafka_with(6)
    await worker(kafka, lambda: Silent(kafka), tmp_path).run()
    kafka.committed = None
    with pytest.raises(AssayError, match=r"has no offset for .* it was at 6: set it there"):
        await worker(kafka, Silent, tmp_path).run()
    assert len(kafka.outputs) == 6


async def test_a_drain_interrupts_a_poll(tmp_path: Path) -> None:
    """Rule E: during a rebalance the client's poll waits for the end of the rebalance, which waits for us."""
    kafka = kafka_with(0)
    polling = asyncio.Event()

    class Waiting(FakeConsumer):
        async def getmany(self, *_: Any, **__: Any) -> Any:
            polling.set()
            await asyncio.get_running_loop().create_future()

    partition = worker(kafka, Silent, tmp_path, Waiting(kafka))
    running = asyncio.create_task(partition.run())
    await polling.wait()
    partition.drain()
    done, _ = await asyncio.wait([running], timeout=30)
    assert done, "it waits for the poll"


async def test_what_was_polled_and_not_begun_is_left_to_the_next_owner(tmp_path: Path) -> None:
    """A drain between poll and work commits nothing more."""
    kafka = kafka_with(3)
    partition = worker(kafka, Silent, tmp_path, FakeConsumer(kafka))
    fetch = FakeConsumer.getmany

    async def and_drain(self: FakeConsumer, *arguments: Any, **options: Any) -> Any:
        records = await fetch(self, *arguments, **options)
        partition.drain()
        return records

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeConsumer, "getmany", and_drain)
        await partition.run()
    assert (kafka.committed, kafka.outputs) == (0, [])


async def test_a_partition_that_never_works_ends_the_process_with_a_sentence(tmp_path: Path) -> None:
    """Not a crash loop for ever."""
    kafka = kafka_with(1, *["fail"] * 50)
    with pytest.raises(AssayError, match="failed 4 times in a row, last with KafkaError"):
        await worker(kafka, Silent, tmp_path, restarts_max=3).run()
    assert len(kafka.fates) == 50 - 4
    assert RuntimeSettings().restarts_max > 3


async def test_a_disk_that_takes_no_snapshot_stops_nothing(tmp_path: Path) -> None:
    """State is a cache of the log: the folder cannot even be made."""
    (tmp_path / "file").write_bytes(b"in the way")
    kafka = kafka_with(4)
    await worker(kafka, lambda: Silent(kafka), tmp_path / "file" / "snapshots", batch_records_max=1).run()
    assert kafka.committed == 4


async def test_a_group_ahead_of_its_log_ends_the_process_with_a_sentence(tmp_path: Path) -> None:
    """The topic was made again, and its offsets were kept: to wait for the end would skip its first records in silence."""
    kafka = kafka_with(2)
    kafka.committed = 6
    with pytest.raises(
        AssayError, match=r"is at 6 in transactions-0, which ends before: this is another log of this name"
    ):
        await worker(kafka, Silent, tmp_path, request_timeout_s=0.01).run()
    assert (kafka.committed, kafka.outputs) == (6, [])
