"""The frame around Faust on the real broker: what fails is not committed past, and what stands still is noticed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from schemas.topics import CASE_ACTIONS, CASE_MUTES
from services.engine.process import Environment
from services.errors import AssayError
from services.faust_runtime.app import SideApp
from services.faust_runtime.run import SideService, run_side
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings
from services.verification.positions import committed_offsets
from tests.services.harness import WAIT_S_MAX, Stream

Handle = Callable[[SideApp, Any, Any], Awaitable[None]]


def problem(message: Any) -> str | None:
    """What the table of these tests cannot use."""
    return "unusable" if message.value == b"unusable" else None


class Running:
    """A service of one agent in this process. handle: given app, table and event."""

    def __init__(self, stream: Stream, handle: Handle, **runtime: float) -> None:
        self.group = f"{stream.prefix}side"
        self.apps: list[SideApp] = []
        self.metrics = Metrics(by_topic=True)
        settings = RuntimeSettings(http_port=0, session_timeout_s=6.0, **runtime)  # type: ignore[arg-type]
        self._environment = Environment(stream.kafka, stream.topics, settings, self.metrics)
        self._stop = asyncio.Event()

        def build(partitions: dict[str, int], directory: str) -> Sequence[SideApp]:
            app = SideApp(self.group, self._environment, directory)
            table = app.table(CASE_MUTES, partitions[app.prefix + CASE_MUTES.name], problem)
            app.agent(CASE_ACTIONS, lambda event: handle(app, table, event))
            self.apps.append(app)
            return [app]

        self.task = asyncio.ensure_future(
            run_side(
                SideService([self.group], [CASE_ACTIONS, CASE_MUTES], [CASE_MUTES], build),
                self._environment,
                self._stop,
            )
        )

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait, or fail with what ended the service."""
        deadline = asyncio.get_running_loop().time() + WAIT_S_MAX
        while not done():
            if self.task.done():
                self.task.result()
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)

    async def ready(self) -> None:
        """Wait until it is."""
        await self.until(lambda: self.metrics.registry.get_sample_value("assay_ready") == 1.0)

    async def failure(self) -> str:
        """The sentence that it ends with. Its threads are stopped, which commits nothing."""
        with pytest.raises(AssayError) as ended:
            await asyncio.wait_for(self.task, WAIT_S_MAX)
        for app in self.apps:
            app.faust.conf.stream_wait_empty = False  # what failed never ends
            await app.faust.stop()
        return str(ended.value)

    async def end(self) -> None:
        """A clean end."""
        self._stop.set()
        await asyncio.wait_for(self.task, WAIT_S_MAX)


async def committed(stream: Stream, running: Running) -> int:
    """Offsets committed over all partitions."""
    found = await committed_offsets(stream.kafka, running.group, stream.prefix + CASE_ACTIONS.name)
    return sum(at.offset for at in found.values())


async def send(stream: Stream, values: list[bytes]) -> None:
    """To one partition, in order."""
    partitions, stream.partitions = stream.partitions, 1
    await stream.send(values, name=CASE_ACTIONS.name)
    stream.partitions = partitions


async def test_an_event_that_fails_for_want_of_a_broker_ends_the_process_and_comes_again(
    stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    """As shipped, Faust logs the error, acknowledges the event and goes on."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, logger="aiokafka")  # as every process of ours has it
    seen: list[bytes] = []

    async def failing(app: SideApp, table: Any, event: Any) -> None:
        if event.value == b"poison":
            raise KafkaConnectionError("no broker")
        seen.append(event.value)

    async def fixed(app: SideApp, table: Any, event: Any) -> None:
        seen.append(event.value)

    await send(stream, [b"one", b"two", b"poison", b"three"])
    running = Running(stream, failing)
    assert "failed with KafkaConnectionError" in await running.failure()
    assert seen == [b"one", b"two"]
    assert await committed(stream, running) <= 2
    heir = Running(stream, fixed)
    await heir.until(lambda: b"three" in seen)
    await heir.end()
    assert seen[-2:] == [b"poison", b"three"]
    assert await committed(stream, heir) == 4
    assert "poison" not in caplog.text


async def test_an_event_that_cannot_be_handled_is_named_counted_and_left_out(
    stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    """Its neighbours are worked and it is committed past, so that it ends neither this process nor the next."""
    caplog.set_level(logging.INFO)
    seen: list[bytes] = []

    async def failing(app: SideApp, table: Any, event: Any) -> None:
        if event.value == b"poison":
            raise ValueError("poison")
        seen.append(event.value)

    await send(stream, [b"one", b"poison", b"two"])
    with capture_logs() as said:
        running = Running(stream, failing)
        await running.until(lambda: b"two" in seen)
        await running.end()
    assert seen == [b"one", b"two"]
    assert await committed(stream, running) == 3
    topic = stream.prefix + CASE_ACTIONS.name
    assert running.metrics.registry.get_sample_value("assay_skipped_records_total", {"topic": topic}) == 1
    skipped = [line for line in said if line["event"] == "record.skipped"]
    assert [(line["offset"], line["why"]) for line in skipped] == [(1, "ValueError")]
    assert "poison" not in f"{said}{caplog.text}"


async def test_an_entry_of_a_table_that_cannot_be_used_is_left_out(stream: Stream) -> None:
    """Wherever it came from: a service's own topic with one bad record would stop it for ever."""
    found: list[dict[bytes, bytes]] = []

    async def look(app: SideApp, table: Any, event: Any) -> None:
        found.append(dict(table.items()))

    await stream.send([b"good", b"unusable", b"unusable", b""], [b"a", b"a", b"b", b"c"], CASE_MUTES.name)
    running = Running(stream, look)
    await send(stream, [b"now"])
    await running.until(lambda: bool(found))
    await running.end()
    assert found[0][b"a"] == b"good"
    assert b"b" not in found[0]
    topic = stream.prefix + CASE_MUTES.name
    assert running.metrics.registry.get_sample_value("assay_skipped_records_total", {"topic": topic}) == 2


async def test_a_write_that_fails_is_not_committed_past(stream: Stream, caplog: pytest.LogCaptureFixture) -> None:
    """A table's entry that the broker will not take; as shipped, it is logged, with its value, and lost."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, logger="aiokafka")  # as every process of ours has it

    async def too_large(app: SideApp, table: Any, event: Any) -> None:
        table[event.value] = b"secret" * (1 << 20)

    await send(stream, [b"key"])
    running = Running(stream, too_large)
    await running.failure()
    assert await committed(stream, running) == 0
    assert "secret" not in caplog.text


@pytest.mark.slow
async def test_a_consumer_that_stands_still_is_noticed_and_ends_the_process(stream: Stream) -> None:
    """First it is not ready, then it gives its partitions to another; an idle one is left alone."""

    async def nothing(app: SideApp, table: Any, event: Any) -> None:
        pass

    running = Running(stream, nothing, progress_timeout_s=3.0)
    await running.ready()
    running.apps[0].faust.consumer.stop_flow()  # as a client that lost its coordinator: no fetch, no error
    await send(stream, [b"waiting"])
    await running.until(lambda: running.metrics.registry.get_sample_value("assay_ready") == 0.0)
    assert "none was worked" in await running.failure()
    assert await committed(stream, running) == 0


async def test_a_table_comes_back_and_lag_is_shown(stream: Stream) -> None:
    """Written by one process, read by the next."""

    async def count(app: SideApp, table: Any, event: Any) -> None:
        table[event.value] = b"%d" % (int(table.get(event.value) or b"0") + 1)

    found: list[bytes] = []

    async def look(app: SideApp, table: Any, event: Any) -> None:
        found.append(table.get(b"a"))

    first = Running(stream, count)
    await send(stream, [b"a", b"a", b"b"])
    await first.until(lambda: bool(first.apps) and first.apps[0].handled == 3)
    await first.end()
    second = Running(stream, look)
    await send(stream, [b"again"])
    await second.until(lambda: bool(found))
    assert found == [b"2"]
    await second.until(lambda: bool(lags(second.metrics)) and set(lags(second.metrics).values()) == {0.0})
    await second.end()


def lags(metrics: Metrics) -> dict[str, float]:
    """By partition."""
    from prometheus_client import generate_latest

    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    samples = [sample for family in families for sample in family.samples if sample.name == "assay_lag_records"]
    return {sample.labels["partition"]: sample.value for sample in samples}
