"""The group and the watchdog: what the client library keeps to itself ends the process (E, F)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from services.engine import group as runtime_group
from services.engine.group import WorkerGroup
from services.errors import AssayError
from tests.services.engine.fakes import SOURCE, FakeConsumer, FakeKafka, Silent, parts_of

Started = tuple[WorkerGroup, asyncio.Event, "asyncio.Task[None]"]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Started]]:
    """Starts a group over a fake Kafka, its watchdog in a hurry."""
    monkeypatch.setattr(runtime_group, "WATCH_INTERVAL_S", 0.005)

    async def started(kafka: FakeKafka, **settings: Any) -> Started:
        parts = parts_of(kafka, Silent, tmp_path, FakeConsumer(kafka), **settings)
        group, stop = WorkerGroup(["transactions"], parts), asyncio.Event()
        return group, stop, asyncio.create_task(group.run(stop))

    return started


async def test_an_error_in_a_callback_of_the_group_ends_the_process(
    start: Callable[..., Awaitable[Started]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule E: the client swallows it, and would go on without a worker."""
    group, _, running = await start(FakeKafka())

    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(runtime_group, "PartitionWorker", broken)
    await group.on_partitions_assigned([SOURCE])
    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(running, 30)


async def test_an_error_while_partitions_are_given_back_ends_the_process(
    start: Callable[..., Awaitable[Started]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule E, the other callback."""
    group, _, running = await start(FakeKafka())
    stop = group._stop

    async def broken_once(*_: Any) -> None:
        monkeypatch.setattr(group, "_stop", stop)
        raise RuntimeError("cannot drain")

    monkeypatch.setattr(group, "_stop", broken_once)
    await group.on_partitions_assigned([SOURCE])
    await group.on_partitions_revoked([SOURCE])
    with pytest.raises(RuntimeError, match="cannot drain"):
        await asyncio.wait_for(running, 30)


async def test_partitions_that_come_while_the_process_ends_are_left_to_others(
    start: Callable[..., Awaitable[Started]],
) -> None:
    """The answer to a rebalance may come after the last worker was stopped."""
    kafka = FakeKafka()
    group, stop, running = await start(kafka)
    stop.set()
    await asyncio.wait_for(running, 30)
    await group.on_partitions_assigned([SOURCE])
    assert not group._workers
    assert kafka.calls == []


async def test_a_worker_that_ends_on_its_own_ends_the_process(
    start: Callable[..., Awaitable[Started]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client can hand a cancellation of its own on: to its task that is no failure, and the partition stood still."""

    async def cancelled(*_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Silent, "process", cancelled)
    kafka = FakeKafka()
    kafka.append(b"one")
    group, _, running = await start(kafka)
    await group.on_partitions_assigned([SOURCE])
    with pytest.raises(AssayError, match="ended on its own"):
        await asyncio.wait_for(running, 30)


async def test_records_that_wait_without_progress_end_the_process(start: Callable[..., Awaitable[Started]]) -> None:
    """Rule F: first not ready, then the end, so that another can take over."""
    kafka = FakeKafka()
    kafka.append(b"never worked")
    kafka.hang = True
    group, _, running = await start(kafka, progress_timeout_s=0.02)
    await group.on_partitions_assigned([SOURCE])
    with pytest.raises(AssayError, match="records waiting but committed none"):
        await asyncio.wait_for(running, 30)
    assert not group.ready


async def test_what_waits_for_something_outside_is_not_ready_says_why_and_does_not_end(
    start: Callable[..., Awaitable[Started]],
) -> None:
    """A schema registry that is down is down for another process, too; once it is back, the watchdog counts again."""
    kafka, outage = FakeKafka(), ["the registry does not answer"]
    kafka.append(b"waits")
    kafka.hang = True
    group, _, running = await start(kafka, progress_timeout_s=0.02)
    group._dependencies = replace(group._dependencies, waits_for=lambda: outage[0] if outage else None)
    await group.on_partitions_assigned([SOURCE])
    async with asyncio.timeout(30):
        while group._stuck_s < 0.2:  # noqa: ASYNC110  (nothing sets an event)
            await asyncio.sleep(0.005)
    assert not running.done()
    assert "the registry does not answer" in (group.why_not_ready() or "")
    outage.clear()
    with pytest.raises(AssayError, match="records waiting but committed none"):
        await asyncio.wait_for(running, 30)


async def test_a_broker_that_does_not_answer_is_no_progress(
    start: Callable[..., Awaitable[Started]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule F: silence is not health."""

    async def silent(*_: Any) -> Any:
        raise KafkaError("no answer")

    monkeypatch.setattr(FakeConsumer, "end_offsets", silent)
    kafka = FakeKafka()
    kafka.hang = True
    group, _, running = await start(kafka, progress_timeout_s=0.02)
    await group.on_partitions_assigned([SOURCE])
    with pytest.raises(AssayError, match="committed none"):
        await asyncio.wait_for(running, 30)


async def test_a_group_that_never_answers_ends_the_process(start: Callable[..., Awaitable[Started]]) -> None:
    """Rule F: a consumer may be stuck between giving its partitions back and getting new ones, with nothing to show."""
    group, _, running = await start(FakeKafka(), progress_timeout_s=0.5)
    await group.on_partitions_assigned([])
    assert group.ready
    await group.on_partitions_revoked([])
    assert not group.ready
    with pytest.raises(AssayError, match="has assigned us nothing"):
        await asyncio.wait_for(running, 30)


async def test_a_member_with_nothing_to_do_is_ready_and_stays(start: Callable[..., Awaitable[Started]]) -> None:
    """More members than partitions is no fault."""
    group, stop, running = await start(FakeKafka(), progress_timeout_s=0.001)
    await group.on_partitions_assigned([])
    assert await group._waiting() == []
    assert group.ready
    stop.set()
    await asyncio.wait_for(running, 30)


async def test_a_fetcher_that_returns_nothing_while_records_wait_ends_the_process(
    start: Callable[..., Awaitable[Started]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule F: a poll that comes back empty is no progress where there is something to read."""

    async def empty(*_: Any, **__: Any) -> dict[Any, Any]:
        await asyncio.sleep(0.001)
        return {}

    monkeypatch.setattr(FakeConsumer, "getmany", empty)
    kafka = FakeKafka(committed=0)
    kafka.append(b"never fetched")
    group, _, running = await start(kafka, progress_timeout_s=0.02)
    await group.on_partitions_assigned([SOURCE])
    with pytest.raises(AssayError, match="records waiting but committed none"):
        await asyncio.wait_for(running, 30)
    assert not group.ready


async def test_a_broker_that_went_away_while_a_partition_was_idle_is_noticed(
    start: Callable[..., Awaitable[Started]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule F: an idle partition polls, and was taken to move."""

    async def silent(*_: Any) -> Any:
        raise KafkaError("no answer")

    monkeypatch.setattr(FakeConsumer, "end_offsets", silent)
    group, _, running = await start(FakeKafka(committed=0), progress_timeout_s=0.02)
    await group.on_partitions_assigned([SOURCE])
    with pytest.raises(AssayError, match="committed none"):
        await asyncio.wait_for(running, 30)


async def test_what_an_open_transaction_hides_is_lag_and_no_reason_to_end(
    start: Callable[..., Awaitable[Started]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not ready, with the offsets and the producer in one sentence; ready again once the transaction is over."""

    async def found(*_: Any) -> str:
        return "producer id 7"

    monkeypatch.setattr(runtime_group, "opener", found)
    kafka = FakeKafka(committed=0, stable=1)
    for value in (b"readable", b"open", b"behind"):
        kafka.append(value)
    group, stop, running = await start(kafka, progress_timeout_s=0.02)
    await group.on_partitions_assigned([SOURCE])
    async with asyncio.timeout(30):
        while "producer id 7" not in (group.why_not_ready() or ""):  # noqa: ASYNC110  (nothing sets an event)
            await asyncio.sleep(0.001)
        assert "transactions-0: the offsets 1 to 3 wait behind an open transaction" in (group.why_not_ready() or "")
        lag = group._dependencies.metrics.registry.get_sample_value("assay_lag_records", {"partition": "0"})
        assert (kafka.committed, lag) == (1, 2.0)
        assert not running.done()
        kafka.stable = None
        while not (group.ready and kafka.committed == 3):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    stop.set()
    await asyncio.wait_for(running, 30)
