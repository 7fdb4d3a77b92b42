"""The HTTP server: uvicorn with bounds on heads and connections, ended by our own signals."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from services.engine.health import is_loopback
from services.errors import AssayError, SettingsError
from services.settings.console import ConsoleSettings

KEEP_ALIVE_S = 30
END_S_MAX = 5


class Server(uvicorn.Server):
    """As uvicorn has it, without its signal handlers: the process drains as every other of ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


def check(settings: ConsoleSettings) -> None:
    """Raises SettingsError where passwords would cross a network in clear, or the TLS files cannot be used."""
    if settings.tls_certificate_file is None:
        if settings.tls_client_ca_file is not None or settings.tls_key_file is not None:
            raise SettingsError("ASSAY_CONSOLE_TLS_* need a certificate: set ASSAY_CONSOLE_TLS_CERTIFICATE_FILE.")
        if not is_loopback(settings.host) and not settings.behind_tls:
            raise SettingsError(
                f"ASSAY_CONSOLE_HOST={settings.host} can be reached from other machines, and passwords would cross the network "
                "in clear: set ASSAY_CONSOLE_TLS_CERTIFICATE_FILE, or ASSAY_CONSOLE_BEHIND_TLS where a proxy ends TLS."
            )
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
        if settings.tls_client_ca_file is not None:
            context.load_verify_locations(settings.tls_client_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"ASSAY_CONSOLE_TLS_* cannot be used ({error.strerror}): check that key and certificate belong together."
        ) from None


def listen(settings: ConsoleSettings) -> socket.socket:
    """A listening socket. Raises AssayError."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        raise AssayError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}): free it, or set ASSAY_CONSOLE_PORT "
            "(0 takes a free one)."
        ) from None


async def serve(app: ASGIApp, listening: socket.socket, settings: ConsoleSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; requests in work are finished, within a bound."""
    config = uvicorn.Config(
        app,
        http="h11",
        h11_max_incomplete_event_size=settings.head_bytes_max,
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections_max,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=END_S_MAX,
        ssl_certfile=settings.tls_certificate_file,
        ssl_keyfile=settings.tls_key_file,
        ssl_ca_certs=str(settings.tls_client_ca_file) if settings.tls_client_ca_file else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if settings.tls_client_ca_file else ssl.CERT_NONE,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving
