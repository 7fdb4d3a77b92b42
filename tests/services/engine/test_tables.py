"""What follows a topic in the background is seen when it ends, and hangs its age on no task of its own."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.topics import CONTROL
from services.engine import process
from services.engine.process import Service
from services.engine.tables import ConditionalTable, FollowedTable, each
from services.errors import AssayError
from services.kafka.client import plain_producer
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings
from tests.services.harness import Stream


def fragile(records: Sequence[Any]) -> None:
    """A reader of that ends at the first record."""
    raise KeyError(records[0].value)


class Group:
    """Workers that work until they are stopped."""

    async def run(self, stop: asyncio.Event) -> None:
        """In order."""
        await stop.wait()


async def table_of(stream: Stream, apply: Callable[[Sequence[Any]], None], metrics: Metrics) -> FollowedTable:
    """One that follows `control`."""
    return FollowedTable(CONTROL, stream.kafka, stream.prefix, apply, metrics)


async def put(stream: Stream) -> None:
    """A record on the topic."""
    producer = plain_producer(stream.kafka, RuntimeSettings())
    await producer.start()
    try:
        await producer.send_and_wait(stream.prefix + CONTROL.name, b"secret", key=b"k")
    finally:
        await producer.stop()


async def test_a_background_task_that_ends_ends_the_process_with_one_sentence(stream: Stream) -> None:
    """Its kind and place are named, no word of the record; the process is not ready, and its workers end in order."""
    metrics = Metrics()
    table = await table_of(stream, fragile, metrics)
    service = Service([], [], lambda source: pytest.fail("no partition"), [table])
    working = asyncio.ensure_future(process._work(service, Group(), asyncio.Event()))  # type: ignore[arg-type]
    await asyncio.wait_for(table._caught_up.wait(), 30)
    await put(stream)
    with pytest.raises(AssayError, match=r"What follows control ended \(KeyError at test_tables.py:\d+\)") as said:
        await asyncio.wait_for(working, 30)
    assert "secret" not in str(said.value)
    assert not table.ready


async def test_a_record_that_ends_the_reading_at_a_start_is_one_sentence(stream: Stream) -> None:
    """Not a traceback."""
    await put(stream)
    table = await table_of(stream, fragile, Metrics())
    with pytest.raises(AssayError, match="What follows control ended"):
        await table.start()
    await table.stop()


def test_a_record_that_cannot_be_taken_in_stops_none_of_the_others() -> None:
    """Each is tried; the bad one is counted."""
    metrics, taken = Metrics(), []

    def take(record: Any) -> None:
        taken.append(1 // record.value)

    each(CONTROL, [SimpleNamespace(value=value, partition=0, offset=value) for value in (1, 0, 1)], take, metrics)
    assert taken == [1, 1]
    assert metrics.registry.get_sample_value("assay_table_records_refused_total", {"topic": "control"}) == 1


async def test_the_age_of_a_table_grows_while_nobody_sets_it(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is computed when scraped, so a follower that hangs or ended leaves no young age behind."""
    metrics = Metrics()
    table = await table_of(stream, fragile, metrics)
    await table.start()
    await table.stop()
    later_s = table._at_end_s + 500.0
    monkeypatch.setattr("services.engine.tables.monotonic_s", lambda: later_s)
    assert metrics.registry.get_sample_value("assay_table_age_seconds", {"topic": "control"}) == 500.0


class Unreachable:
    """A table whose brokers answer from the second time on."""

    ready, ended = True, None

    def __init__(self) -> None:
        self.starts = 0

    async def start(self) -> None:
        """Raises KafkaConnectionError the first time."""
        self.starts += 1
        if self.starts == 1:
            raise KafkaConnectionError


async def test_a_table_that_could_not_be_followed_once_is_followed_when_it_is_asked_again() -> None:
    """Else a policy that is promoted a second time would ask empty lists."""
    unreachable = Unreachable()
    table = ConditionalTable(unreachable, lambda: True)  # type: ignore[arg-type]
    with pytest.raises(KafkaConnectionError):
        await table.follow()
    assert not table.following
    await table.follow()
    await table.follow()
    assert (table.following, unreachable.starts) == (True, 2)
