"""The console's HTTP server: the bounds of its settings, and what it shows of them."""

import asyncio
import socket

from starlette.types import ASGIApp

from services.engine.health import is_loopback
from services.errors import SettingsError
from services.observability.console_metrics import ConsoleMetrics
from services.settings.console import ConsoleSettings
from services.web import server as web
from services.web.connections import Limits

PREFIX = "ASSAY_CONSOLE_"


def check(settings: ConsoleSettings) -> None:
    """Raises SettingsError where passwords would cross a network in clear, or the TLS files cannot be used."""
    web.check_tls(settings, PREFIX)
    web.clients_of(settings, PREFIX)
    if settings.tls_certificate_file is None and not is_loopback(settings.host) and not settings.behind_tls:
        raise SettingsError(
            f"ASSAY_CONSOLE_HOST={settings.host} can be reached from other machines, and passwords would cross the network "
            "in clear: set ASSAY_CONSOLE_TLS_CERTIFICATE_FILE, or ASSAY_CONSOLE_BEHIND_TLS where a proxy ends TLS."
        )


async def serve(
    app: ASGIApp, listening: socket.socket, settings: ConsoleSettings, metrics: ConsoleMetrics, stop: asyncio.Event
) -> None:
    """Serve until `stop`; requests in work are finished, within a bound."""
    limits = Limits(settings.head_bytes_max, settings.request_s_max, settings.wait_s + settings.request_s_max)
    clients = web.clients_of(settings, PREFIX)

    def closed(cause: str) -> None:
        metrics.connections_closed.labels(cause).inc()

    await web.serve(app, listening, settings, clients, limits, closed, stop)
