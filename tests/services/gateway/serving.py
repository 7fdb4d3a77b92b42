"""A gateway in this process, with everything real but Kafka: what it writes is kept, and answered by no one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from models.sources.spec_file import default_source
from schemas.answer import Position
from services.clock import monotonic_s, wall_ms
from services.gateway.access import Access
from services.gateway.api import Gateway, guarded
from services.gateway.calls import GrpcServer
from services.gateway.events import Event, EventReader
from services.gateway.server import serve
from services.gateway.waiting import WaitingRoom
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings
from services.settings.processing import RuntimeSettings
from services.web.lag import LoopLag
from services.web.server import check_tls, listen

PARTITIONS = 4


class Written(list[Event]):
    """Takes the place of the input topic."""

    async def __call__(self, event: Event, request: str) -> Position:
        """Where it lies."""
        self.append(event)
        return Position(topic="transactions", partition=event.place.partition, offset=len(self) - 1)


def gateway_of(settings: GatewaySettings, written: Written, product: str | None = None) -> tuple[Gateway, LoopLag]:
    """What the API stands on, and what its server is to follow."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    lag = LoopLag(metrics.loop_lag.observe, monotonic_s)
    gateway = Gateway(
        settings,
        default_source(),
        EventReader(None, RuntimeSettings(), PARTITIONS, wall_ms),
        WaitingRoom(settings, written, metrics, monotonic_s, lag.margin_s),
        metrics,
        registry,
        PARTITIONS,
        Access(settings, product),
        lambda: True,
        lambda: True,
    )
    return gateway, lag


@asynccontextmanager
async def served(settings: GatewaySettings, written: Written) -> AsyncIterator[int]:
    """Its port, while it serves over HTTP."""
    check_tls(settings, "ASSAY_GATEWAY_")
    listening, stop = listen(settings, "ASSAY_GATEWAY_", backlog=1024), asyncio.Event()
    gateway, lag = gateway_of(settings, written)
    serving = asyncio.create_task(serve(guarded(gateway), listening, settings, gateway.metrics, lag, stop))
    try:
        yield listening.getsockname()[1]
    finally:
        stop.set()
        await serving
        listening.close()


@asynccontextmanager
async def called(settings: GatewaySettings, written: Written) -> AsyncIterator[str]:
    """Its address, while it serves over gRPC."""
    gateway, _ = gateway_of(settings, written)
    server = GrpcServer(gateway)
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop()
