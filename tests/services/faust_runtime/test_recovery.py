"""Faust's recovery on the real broker, in the moments in which it loses records or stands still as shipped."""

import asyncio
from typing import Any

import pytest
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from schemas.topics import CASE_MUTES
from services.faust_runtime.app import SideApp
from tests.services.faust_runtime.test_run import Running, committed, send
from tests.services.harness import Stream

BACKLOG = [b"%d" % n for n in range(50)]

PASSES_S = 3.0
"""Longer than Faust's fetches take to come round."""


async def test_nothing_that_waits_is_lost_however_long_the_seek_to_what_is_committed_takes(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shipped, records flow meanwhile, and those that no agent has taken yet are cleared away and never come again."""
    sought, seen = asyncio.Event(), []
    seek = AIOKafkaConsumerThread.seek_to_committed

    async def slow(thread: Any) -> Any:
        found = await seek(thread)
        await asyncio.sleep(PASSES_S)
        sought.set()
        return found

    async def handle(app: SideApp, table: Any, event: Any) -> None:
        await sought.wait()
        seen.append(event.value)

    monkeypatch.setattr(AIOKafkaConsumerThread, "seek_to_committed", slow)
    await stream.send([b"entry"], [b"a"], CASE_MUTES.name)
    await send(stream, BACKLOG)
    running = Running(stream, handle)
    await running.until(lambda: len(seen) >= len(BACKLOG))
    await running.end()
    assert seen == BACKLOG
    assert await committed(stream, running) == len(BACKLOG)


async def test_a_table_that_is_read_before_its_recovery_waits_for_it_is_recovered(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shipped, the signal is set and cleared before it is waited for, and no record is ever worked."""
    seen: list[bytes] = []
    read = asyncio.Event()
    wait, end = Recovery._wait, Recovery._set_recovery_ended

    def ended(recovery: Any) -> None:
        end(recovery)
        asyncio.get_running_loop().call_later(PASSES_S, read.set)

    async def late(recovery: Any, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109
        if getattr(coro, "__qualname__", "") == "Event.wait":
            await read.wait()
        await wait(recovery, coro, timeout)

    async def handle(app: SideApp, table: Any, event: Any) -> None:
        seen.append(dict(table.items())[b"a"])

    monkeypatch.setattr(Recovery, "_wait", late)
    monkeypatch.setattr(Recovery, "_set_recovery_ended", ended)
    await stream.send([b"entry"], [b"a"], CASE_MUTES.name)
    await send(stream, [b"now"])
    running = Running(stream, handle)
    await running.until(lambda: bool(seen))
    await running.end()
    assert seen == [b"entry"]


@pytest.mark.slow
async def test_a_request_of_the_recovery_that_gets_no_answer_ends_the_process(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shipped, it is taken for a stop: the process stays, and works nothing any more."""

    async def never(thread: Any, *partitions: Any) -> Any:
        await asyncio.Event().wait()

    async def handle(app: SideApp, table: Any, event: Any) -> None:
        raise AssertionError("no table, no work")

    monkeypatch.setattr(AIOKafkaConsumerThread, "highwaters", never)
    await send(stream, [b"now"])
    running = Running(stream, handle, request_timeout_s=1.0)
    assert "TimeoutError" in await running.failure()
    assert await committed(stream, running) == 0
