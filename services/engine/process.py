"""The life of a stream processor's process: settings, checks, workers, signals, a clean end."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.compiled import CompilerMissingError
from models.sources.spec_file import SourceSpecError
from schemas.topics import Topic
from services.engine.batches import Processor
from services.engine.delivery import AtLeastOnce, Delivery, ExactlyOnce
from services.engine.group import WorkerGroup
from services.engine.health import HealthServer
from services.engine.held_desk import HeldDesk
from services.engine.log_identity import identities
from services.engine.pacing import Pacer
from services.engine.shared_delivery import ProcessTransactions
from services.engine.snapshots import SnapshotStore, partition_key
from services.engine.tracing import create
from services.engine.worker import WorkerDependencies
from services.errors import AssayError, start_sentence
from services.kafka import client as connections
from services.kafka.certificates import show_expiry
from services.kafka.preflight import READ, WRITE, check_rights
from services.kafka.topics_admin import describe_topics
from services.observability.metrics import Metrics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings
from services.storage import open_storage
from services.text import printable

log = structlog.get_logger(__name__)

WATCH_INTERVAL_S = 1.0


def main(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service; a mistake of the user's ends in one sentence and status 2."""
    # Every batch makes thousands of small containers and drops them again: with the default thresholds the collector would
    # walk them several times a batch, for up to a third of the processor's time (docs/decisions).
    gc.set_threshold(100_000, 20, 50)
    try:
        uvloop.run(start())
    except (AssayError, SourceSpecError, CompilerMissingError) as error:
        print(f"assay: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


class Lookup(Protocol):
    """A background task that is ready before any partition is processed, and continues beside them."""

    @property
    def ready(self) -> bool:
        """Whether partitions may be processed."""

    @property
    def ended(self) -> str | None:
        """Why it ended unasked, in a sentence; None while it runs."""

    async def start(self) -> None:
        """Get ready, then continue in the background. Raises KafkaError or AssayError where it cannot."""

    async def stop(self) -> None:
        """Stop."""


@dataclass(frozen=True, slots=True)
class Service:
    """The definition of a stream processor: its inputs, its outputs, what it does with a partition, what it looks up."""

    sources: Sequence[Topic]
    outputs: Collection[Topic]
    make_processor: Callable[[TopicPartition], Processor]
    tables: Sequence[Lookup] = ()
    reads: Sequence[Topic] = ()
    """The topics that the tables hold."""
    waits_for: Callable[[], str | None] = lambda: None
    """What outside of Kafka keeps its partitions from moving, in a sentence."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where it runs."""

    kafka: KafkaSettings
    topics: TopicSettings
    runtime: RuntimeSettings
    metrics: Metrics


def stop_on_signals() -> asyncio.Event:
    """Set once the process is asked to end: it drains, whichever of the three asks."""
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    return stop


async def run_processor(service: Service, environment: Environment) -> None:
    """Work the service's topics until SIGTERM or SIGINT. Raises AssayError."""
    stop = stop_on_signals()
    kafka, runtime, metrics = environment.kafka, environment.runtime, environment.metrics
    open_storage(runtime.snapshot_url)  # a mistake in it is reported now
    show_expiry(kafka, runtime, metrics)
    consumer = connections.input_consumer(kafka, runtime)
    sources = [source.full_name(environment.topics.topic_prefix) for source in service.sources]
    try:
        partitions = await _partitions(kafka, environment.topics, [*service.sources, *service.outputs])
        await check_rights(kafka, _wanted(service, environment.topics), runtime.group)
        await consumer.start()
        if runtime.profile == "latency":
            connections.fetch_apart(consumer)
        group = WorkerGroup(sources, _dependencies(service, environment, consumer, partitions))
        health = HealthServer(
            runtime,
            metrics.registry,
            lambda: _why_not_ready(service, group),
            lambda: group.alive,
            HeldDesk(group),
        )
        topics = ", ".join(sources)
        log.info("process.started", topic=topics, group=runtime.group, delivery=runtime.delivery, http=health.address)
        try:
            await _work(service, group, stop)
        finally:
            health.close()
    except KafkaError as error:
        raise AssayError(start_sentence(error, kafka.bootstrap)) from error
    finally:
        await consumer.stop()
    log.info("process.stopped")


def _why_not_ready(service: Service, group: WorkerGroup) -> bool | str:
    """True, or why not."""
    if all(table.ready for table in service.tables):
        return group.why_not_ready() or True
    return group.why_not_ready() or "a table that is looked up is not followed"


def _wanted(service: Service, topics: TopicSettings) -> dict[str, set[int]]:
    """What the service is going to do with each topic, by full name."""
    wanted: dict[str, set[int]] = {}
    for topic in (*service.sources, *service.reads):
        wanted.setdefault(topic.full_name(topics.topic_prefix), set()).add(READ)
    for topic in service.outputs:
        wanted.setdefault(topic.full_name(topics.topic_prefix), set()).add(WRITE)
    return wanted


async def _work(service: Service, group: WorkerGroup, stop: asyncio.Event) -> None:
    """The tables first: no partition is processed before the tables that it reads are there."""
    stopping = asyncio.ensure_future(stop.wait())
    watching = asyncio.ensure_future(_until_one_ends(service.tables))
    try:
        for table in service.tables:
            starting = asyncio.ensure_future(table.start())
            await asyncio.wait([stopping, starting], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
            else:
                starting.result()
        if not stop.is_set():
            working = asyncio.ensure_future(group.run(stop))
            await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            await working
            if watching.done():
                watching.result()
    finally:
        stopping.cancel()
        watching.cancel()
        for table in service.tables:
            await table.stop()


async def _until_one_ends(tables: Sequence[Lookup]) -> None:
    """Raise AssayError once a background task has ended: what it followed would silently go stale."""
    while True:
        await asyncio.sleep(WATCH_INTERVAL_S)
        for table in tables:
            if why := table.ended:
                log.error("process.background_ended", why=why)
                raise AssayError(why)


def _dependencies(
    service: Service, environment: Environment, consumer: AIOKafkaConsumer, partitions: dict[str, int]
) -> WorkerDependencies:
    """What the workers are made of. partitions: of each topic, by full name."""
    kafka, runtime = environment.kafka, environment.runtime
    shared: ProcessTransactions | None = None
    if (runtime.delivery, runtime.transactions) == ("exactly_once", "process"):
        shared = ProcessTransactions(kafka, runtime, partitions, consumer, environment.metrics)

    def make_delivery(source: TopicPartition) -> Delivery:
        if shared is not None:
            return shared.delivery(source)
        if runtime.delivery == "exactly_once":
            return ExactlyOnce(kafka, runtime, source, partitions)
        return AtLeastOnce(kafka, runtime, source, partitions, consumer)

    async def make_snapshots(source: TopicPartition, state_key: str, log_id: str) -> SnapshotStore:
        name, secret = f"{source.topic}-{source.partition}", runtime.snapshot_key
        key = None if secret is None else partition_key(secret.get_secret_value().encode(), f"{runtime.group}/{name}")
        return SnapshotStore(open_storage(runtime.snapshot_url, runtime.group, name), state_key, log_id, key)

    prefix = environment.topics.topic_prefix
    inputs = [topic.full_name(prefix) for topic in service.sources]
    sources = {name: partitions[name] for name in inputs}

    return WorkerDependencies(
        consumer=consumer,
        make_delivery=make_delivery,
        make_processor=service.make_processor,
        make_snapshots=make_snapshots,
        outputs={prefix + topic.name: partitions[prefix + topic.name] for topic in service.outputs},
        logs=identities(consumer, sources, runtime.group, environment.metrics, runtime.request_timeout_s),
        pacer=Pacer(runtime.pace),
        metrics=environment.metrics,
        settings=runtime,
        tracing=create(runtime, environment.metrics),
        waits_for=service.waits_for,
        shared=shared,
    )


async def _partitions(kafka: KafkaSettings, topics: TopicSettings, wanted: Collection[Topic]) -> dict[str, int]:
    """Number of partitions of each topic, by full name. Raises AssayError where one is missing."""
    states = await describe_topics(kafka, topics, wanted)
    missing = sorted(state.name for state in states if not state.partitions)
    if missing:
        raise AssayError(
            f"Topics {', '.join(missing)} do not exist or are hidden from us: create them with `assay topics create`."
        )
    return {state.name: state.partitions for state in states}
