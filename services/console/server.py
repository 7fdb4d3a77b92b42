"""The HTTP server: uvicorn with bounds on heads and connections, ended by our own signals."""

import asyncio
import socket

from starlette.types import ASGIApp

from services import web
from services.engine.health import is_loopback
from services.errors import SettingsError
from services.settings.console import ConsoleSettings

KEEP_ALIVE_S = 30


def check(settings: ConsoleSettings) -> None:
    """Raises SettingsError where passwords would cross a network in clear, or the TLS files cannot be used."""
    web.check_tls(settings, "ASSAY_CONSOLE_")
    if settings.tls_certificate_file is None and not is_loopback(settings.host) and not settings.behind_tls:
        raise SettingsError(
            f"ASSAY_CONSOLE_HOST={settings.host} can be reached from other machines, and passwords would cross the network "
            "in clear: set ASSAY_CONSOLE_TLS_CERTIFICATE_FILE, or ASSAY_CONSOLE_BEHIND_TLS where a proxy ends TLS."
        )


async def serve(app: ASGIApp, listening: socket.socket, settings: ConsoleSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; requests in work are finished, within a bound."""
    config = web.config_of(
        app,
        settings,
        http="h11",
        h11_max_incomplete_event_size=settings.head_bytes_max,
        limit_concurrency=settings.connections_max,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    await web.serve_until(web.Server(config), listening, stop)
