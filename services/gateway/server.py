"""The gateway's HTTP server: the bounds of its settings, and what it shows of them."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings
from services.web import server as web
from services.web.connections import Limits
from services.web.lag import LoopLag

PREFIX = "ASSAY_GATEWAY_"


def check(settings: GatewaySettings) -> None:
    """Raises SettingsError where the TLS files, or the networks of proxies, cannot be used."""
    web.check_tls(settings, PREFIX)
    web.clients_of(settings, PREFIX)


def limits_of(settings: GatewaySettings) -> Limits:
    """As the settings have them."""
    return Limits(
        settings.head_bytes_max, settings.request_s_max, settings.deadline_ms_max / 1000 + settings.request_s_max
    )


def counting(metrics: GatewayMetrics) -> Callable[[str], None]:
    """What counts a connection that is closed, by cause."""
    return lambda cause: metrics.connections_closed.labels(cause).inc()


async def serve(
    app: Any,
    listening: socket.socket,
    settings: GatewaySettings,
    metrics: GatewayMetrics,
    lag: LoopLag,
    stop: asyncio.Event,
) -> None:
    """Serve until `stop`; requests in work are finished, within a bound."""
    clients = web.clients_of(settings, PREFIX)
    await web.serve(app, listening, settings, clients, limits_of(settings), counting(metrics), stop, lag)
