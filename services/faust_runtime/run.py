"""The life of a Faust service's process: checks, start, watch, signals, a clean end."""

import asyncio
import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas.topics import Topic
from services.clock import monotonic_s
from services.engine.health import HealthServer
from services.engine.process import Environment, stop_on_signals
from services.engine.tables import FollowedTable
from services.errors import AssayError, fatal_sentence
from services.faust_runtime.app import SideApp
from services.faust_runtime.skipped import places
from services.faust_runtime.watch import GapWatch, Look, Watch
from services.kafka import client as connections
from services.kafka.certificates import show_expiry
from services.kafka.preflight import READ, WRITE, check_rights
from services.kafka.topics_admin import describe_topics
from services.text import printable

log = structlog.get_logger(__name__)

WATCH_INTERVAL_S = 1.0

PAYLOAD_LOGGERS = ("faust.topics", "faust.transport.drivers.aiokafka", "faust.agents.agent", "faust.channels")
"""They print keys and values, at WARNING too. What they would report, we find out ourselves."""


@dataclass(frozen=True, slots=True)
class SideService:
    """The definition of a Faust service.

    groups, reads, writes: its consumer groups, and what it does with topics. build: makes its apps from the topics' numbers of
    partitions, by full name, and a directory. tables: what they look up.
    """

    groups: Collection[str]
    reads: Collection[Topic]
    writes: Collection[Topic]
    build: Callable[[dict[str, int], str], Sequence[SideApp]]
    tables: Sequence[FollowedTable] = ()


def main(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service; a mistake of the user's ends in one sentence and status 2."""

    async def ending() -> None:
        try:
            await start()
        except AssayError as error:
            _end(printable(str(error)), 2)
        except Exception as error:  # a defect: one line, and what was not done is done by the next process
            _end(f"ended by {type(error).__name__} in {places(error)[-1]}: start it again, and report it.", 1)

    try:
        asyncio.run(ending())
    except KeyboardInterrupt:
        sys.exit(130)


def _end(sentence: str, status: int) -> None:
    """As a crash would: a cancelled agent acknowledges what it has not done."""
    print(f"assay: {sentence}", file=sys.stderr, flush=True)
    os._exit(status)


def quiet() -> None:
    """Keep the libraries' chatter, and every payload, out of the log."""
    for name in ("faust", "mode", "services.faust_runtime.transport", "services.faust_runtime.recovery"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in PAYLOAD_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


async def run_side(service: SideService, environment: Environment, stop: asyncio.Event | None = None) -> None:
    """Work until SIGTERM or SIGINT, or until `stop` is set. Raises AssayError."""
    if stop is None:
        stop = stop_on_signals()
    quiet()
    show_expiry(environment.kafka, environment.runtime, environment.metrics)
    try:
        partitions = await _partitions(service, environment)
        for group in service.groups:
            await check_rights(environment.kafka, _wanted(service, environment.topics.topic_prefix), group)
        with tempfile.TemporaryDirectory(prefix="assay-side-") as directory:
            for table in service.tables:
                await table.start()
            try:
                await _Running(service.build(partitions, directory), service.tables, environment).run(stop)
            finally:
                for table in service.tables:
                    await table.stop()
    except KafkaError as error:
        raise AssayError(
            fatal_sentence(error)
            or f"Kafka at {environment.kafka.bootstrap} does not work for us ({type(error).__name__}): "
            "check ASSAY_KAFKA_BOOTSTRAP and that it runs."
        ) from error
    log.info("process.stopped")


async def _partitions(service: SideService, environment: Environment) -> dict[str, int]:
    states = await describe_topics(environment.kafka, environment.topics, {*service.reads, *service.writes})
    missing = sorted(state.name for state in states if not state.partitions)
    if missing:
        raise AssayError(
            f"Topics {', '.join(missing)} do not exist or are hidden from us: create them with `assay topics create`."
        )
    return {state.name: state.partitions for state in states}


def _wanted(service: SideService, prefix: str) -> dict[str, set[int]]:
    """What the service is going to do with each topic, by full name."""
    wanted: dict[str, set[int]] = {}
    for operation, topics in ((READ, service.reads), (WRITE, service.writes)):
        for topic in topics:
            wanted.setdefault(prefix + topic.name, set()).add(operation)
    return wanted


class _Running:
    """The apps of one process, between start and end."""

    def __init__(self, apps: Sequence[SideApp], tables: Sequence[FollowedTable], environment: Environment) -> None:
        self._apps, self._tables, self._environment = apps, tables, environment
        self._metrics, self._runtime = environment.metrics, environment.runtime
        self._started: set[str] = set()
        self._watches = {app.group: Watch(monotonic_s()) for app in apps}
        self._gap_watches = {app.group: GapWatch() for app in apps}
        self._stuck_s = 0.0
        self._tick_s = monotonic_s()

    async def run(self, stop: asyncio.Event) -> None:
        runtime = self._runtime
        health = HealthServer(runtime, self._metrics.registry, lambda: self.ready, lambda: self.alive)
        groups = ", ".join(app.group for app in self._apps)
        log.info("process.started", groups=groups, http=health.address)
        tasks = [asyncio.ensure_future(work) for work in (stop.wait(), self._watch(), *map(self._start, self._apps))]
        failures = [asyncio.ensure_future(app.failure.happened.wait()) for app in self._apps]
        crashes = [asyncio.ensure_future(app.faust._crashed.wait()) for app in self._apps]
        try:
            waiting = set(tasks) | set(failures) | set(crashes)
            while not stop.is_set():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                self._raise_failure()
            await asyncio.wait_for(self._end(), runtime.drain_timeout_s + runtime.request_timeout_s)
        except Exception as error:
            for app in self._apps:
                app.failure.report(error)  # nothing is committed from here on
            raise
        finally:
            for task in (*tasks, *failures, *crashes):
                task.cancel()
            health.close()

    @property
    def ready(self) -> bool:
        """Whether every app has its tables and moves."""
        started = len(self._started) == len(self._apps) and all(table.ready for table in self._tables)
        return started and self._stuck_s < self._runtime.progress_timeout_s

    @property
    def alive(self) -> bool:
        """Whether the event loop still turns."""
        return monotonic_s() - self._tick_s < 2 * self._runtime.request_timeout_s + 10 * WATCH_INTERVAL_S

    def _raise_failure(self) -> None:
        for app in self._apps:
            error = app.failure.error or (app.faust.crash_reason if app.faust._crashed.is_set() else None)
            if isinstance(error, AssayError):
                raise error
            if error is not None:
                sentence = fatal_sentence(error) or (
                    f"{app.group} failed with {type(error).__name__} and ends without committing more: look at its log, "
                    "then start it again; what was not done is done then."
                )
                raise AssayError(sentence) from error

    def _raise_ended(self) -> None:
        for table in self._tables:
            if why := table.ended:
                log.error("process.background_ended", why=why)
                raise AssayError(why)

    async def _start(self, app: SideApp) -> None:
        await app.faust.start()
        self._started.add(app.group)
        log.info("app.running", group=app.group)

    async def _end(self) -> None:
        for app in self._apps:
            await app.faust.stop()
            self._raise_failure()

    async def _watch(self) -> None:
        """Compare what the brokers have with what each app has done, once a second."""
        asked = connections.reader(self._environment.kafka)
        await asked.start()
        try:
            while True:
                await asyncio.sleep(WATCH_INTERVAL_S)
                self._stuck_s = max([await self._look(app, asked) for app in self._apps])
                self._tick_s = monotonic_s()
                self._metrics.ready.set(self.ready)
                self._raise_ended()
                if self._stuck_s > 2 * self._runtime.progress_timeout_s:
                    raise AssayError(
                        f"Records are waiting but none was worked for {self._stuck_s:.0f} s: this process ends so that another "
                        "can take over; look at the brokers' logs if it happens again."
                    )
        finally:
            await asked.stop()

    async def _look(self, app: SideApp, asked: AIOKafkaConsumer) -> float:
        sources = app.sources
        ends = {}
        with contextlib.suppress(KafkaError, TimeoutError):  # a broker that does not answer counts as no progress
            ends = await asyncio.wait_for(asked.end_offsets(list(sources)), self._runtime.request_timeout_s)
        found = Look(
            started=app.group in self._started,
            positions={source: app.position(source) for source in sources},
            ends=ends,
            handled=app.handled,
            unfinished=any(app.unfinished(source) for source in sources),
            recovered=app.recovered_records,
        )
        self._metrics.assigned.set(len(sources))
        for source, lag in found.lags.items():
            self._metrics.lag.labels(self._metrics.label(source)).set(lag)
        now_s = monotonic_s()
        stuck_s = max(self._watches[app.group].look(found, now_s), self._gap_watches[app.group].look(app.gaps, now_s))
        if stuck_s > self._runtime.progress_timeout_s / 2:
            self._tell_stuck(app, found, stuck_s)
        return stuck_s

    def _tell_stuck(self, app: SideApp, found: Look, stuck_s: float) -> None:
        """Its present state, to search for the cause."""
        at = {f"{tp.topic}-{tp.partition}": f"{found.positions[tp]}/{found.ends.get(tp)}" for tp in found.positions}
        log.warning("app.stuck", group=app.group, stuck_s=round(stuck_s), started=found.started, at=at, **app.doing())
