"""python -m services.gateway: wiring only. Settings come from the environment (docs/settings.md)."""

import asyncio
import functools
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError

from models.bundle.files import BundleError
from models.installation import install_command
from models.sources.spec_file import default_source, topic_of
from schemas.manifest import Manifest
from schemas.source_spec import SourceSpec
from schemas.topics import ANSWERS, ENTITY_FEATURES
from services.clock import monotonic_s, wall_ms
from services.engine.process import main, stop_on_signals
from services.engine.tables import each
from services.errors import AssayError, start_sentence
from services.gateway.access import Access
from services.gateway.api import Gateway, guarded
from services.gateway.events import EventReader
from services.gateway.log import AnswerFollower, EventWriter
from services.gateway.server import check, serve
from services.gateway.waiting import WaitingRoom
from services.kafka.topics_admin import describe_topics
from services.observability import logs
from services.observability.gateway_metrics import GatewayMetrics
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.gateway import GatewaySettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.product import ProductSettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import advice, scoring_bundle
from services.web.lag import LoopLag
from services.web.server import listen

if TYPE_CHECKING:
    from services.gateway.calls import GrpcServer

log = structlog.get_logger(__name__)

SWEEP_S = 1.0
GRPC_MODULES = ("grpc", "grpc_health", "grpc_reflection", "grpc_status", "google", "proto_schema_parser", "antlr4")


async def start() -> None:
    """Read settings, serve until asked to stop. Raises AssayError."""
    kafka, topics, runtime = load(KafkaSettings), load(TopicSettings), load(RuntimeSettings)
    settings = load(GatewaySettings)
    metrics = Metrics()
    logs.configure(runtime, metrics)
    shown = GatewayMetrics(metrics.registry)
    access = Access(settings, load(ProductSettings).product)
    check(settings)
    stop = stop_on_signals()
    manifest = manifest_in_force()
    source, staged = manifest.source, bool(manifest.feature_spec.stages)
    partitions = await _partitions(kafka, topics, source, staged=staged)
    name = topic_of(source).full_name(topics.topic_prefix)
    writer = EventWriter(kafka, runtime, name)
    lag = LoopLag(shown.loop_lag.observe, monotonic_s)
    room = WaitingRoom(settings, writer, shown, monotonic_s, lag.margin_s, staged=staged)
    take = functools.partial(each, ANSWERS, take=room.take, metrics=metrics)
    follower = AnswerFollower(kafka, topics.topic_prefix, partitions, settings, take, shown)
    listening = listen(settings, "ASSAY_GATEWAY_", backlog=4096)
    gateway = Gateway(
        settings,
        source or default_source(),
        EventReader(source, runtime, partitions, wall_ms),
        room,
        shown,
        metrics.registry,
        partitions,
        access,
        functools.partial(_why_not_ready, follower, room),
        lambda: follower.ended is None,
    )
    try:
        await writer.start()
        await follower.start()
        tokens = asyncio.create_task(access.tokens.follow()) if access.tokens else None
        watching = asyncio.create_task(_watch(room, follower, access, shown, stop))
        calls = await _grpc(gateway) if settings.grpc_port is not None else None
        host, port = listening.getsockname()[:2]
        log.info(
            "gateway.started",
            http=f"{host}:{port}",
            grpc=f"{host}:{calls.port}" if calls else None,
            topic=name,
            remembered=len(room.memory),
        )
        await serve(guarded(gateway), listening, settings, shown, lag, stop)
        if calls:
            await calls.stop()
        for task in filter(None, (watching, tokens)):
            task.cancel()
    except KafkaError as error:
        raise AssayError(start_sentence(error, kafka.bootstrap)) from error
    finally:
        listening.close()
        await follower.stop()
        await writer.stop()
    if why := follower.ended:
        raise AssayError(why)
    log.info("process.stopped")


async def _grpc(gateway: Gateway) -> "GrpcServer":
    """The gRPC server, started. Raises AssayError."""
    try:
        from services.gateway.calls import GrpcServer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in GRPC_MODULES:
            raise
        raise AssayError(f"ASSAY_GATEWAY_GRPC_PORT needs the extra `grpc`: {install_command('grpc')}.") from None
    server = GrpcServer(gateway)
    await server.start()
    return server


def manifest_in_force() -> Manifest:
    """Of the bundle that scores. Raises AssayError where its events cannot be asked for."""
    try:
        found = scoring_bundle(load(ScorerSettings), load(BundleSettings))
    except BundleError as error:
        raise AssayError(f"{error}{advice(error)}") from error
    source = found.bundle.manifest.source
    if source is not None and source.is_routed:
        raise AssayError(
            f"The source {source.topic} is read through intake, and the gateway writes events that the scorer reads as they "
            "are: use a bundle whose source is plain JSON, read directly."
        )
    return found.bundle.manifest


async def _partitions(kafka: KafkaSettings, topics: TopicSettings, source: SourceSpec | None, *, staged: bool) -> int:
    """Of the input and of `answers`, which must be the same. staged: and of what the scorer reads. Raises AssayError."""
    between = [ENTITY_FEATURES] if staged else []
    found = await describe_topics(kafka, topics, [topic_of(source), *between, ANSWERS])
    given, others = found[0], found[1:]
    missing = [state.name for state in found if not state.partitions]
    if missing:
        raise AssayError(
            f"Topics {', '.join(missing)} do not exist or are hidden from us: create them with `assay topics create`."
        )
    for other in others:
        if given.partitions != other.partitions:
            raise AssayError(
                f"{given.name} has {given.partitions} partitions and {other.name} {other.partitions}: give both the same, "
                "since an event is answered on its own partition."
            )
    return given.partitions


def _why_not_ready(follower: AnswerFollower, room: WaitingRoom) -> bool | str:
    if not follower.ready:
        return "`answers` is not followed"
    return "events wait for scores that do not come" if room.stalled else True


async def _watch(
    room: WaitingRoom, follower: AnswerFollower, access: Access, metrics: GatewayMetrics, stop: asyncio.Event
) -> None:
    """Once a second: give up what waits too long, show what is, end with what we follow."""
    while not stop.is_set():
        await asyncio.sleep(SWEEP_S)
        metrics.stalled.set(len(room.stalled_partitions()))
        metrics.remembered.set(len(room.memory))
        room.sweep()
        metrics.keys_age.set(access.tokens.age_s if access.tokens else 0.0)
        access.refresh()
        if (why := follower.ended) is not None:
            log.error("process.background_ended", why=why)
            stop.set()


if __name__ == "__main__":
    main(start)
