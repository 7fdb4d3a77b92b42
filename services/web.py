"""What our web servers share: uvicorn without its signal handlers, TLS tried before the start, an end within a bound."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import uvicorn

from services.errors import AssayError, SettingsError

END_S_MAX = 5


class WebSettings(Protocol):
    """Where a server listens, and its TLS files."""

    @property
    def host(self) -> str:
        """The address."""

    @property
    def port(self) -> int:
        """0 takes a free one."""

    @property
    def tls_certificate_file(self) -> Path | None:
        """PEM; None: no TLS."""

    @property
    def tls_key_file(self) -> Path | None:
        """PEM, where it is not with the certificate."""

    @property
    def tls_client_ca_file(self) -> Path | None:
        """Who signs clients' certificates; None: none is asked for."""


class Server(uvicorn.Server):
    """As uvicorn has it, without its signal handlers: the process drains as every other of ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


def check_tls(settings: WebSettings, prefix: str) -> None:
    """prefix: of the variables. Raises SettingsError where the TLS files cannot be used."""
    if settings.tls_certificate_file is None:
        if settings.tls_client_ca_file is not None or settings.tls_key_file is not None:
            raise SettingsError(f"{prefix}TLS_* need a certificate: set {prefix}TLS_CERTIFICATE_FILE.")
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
        if settings.tls_client_ca_file is not None:
            context.load_verify_locations(settings.tls_client_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"{prefix}TLS_* cannot be used ({error.strerror}): check that key and certificate belong together."
        ) from None


def listen(settings: WebSettings, prefix: str, backlog: int) -> socket.socket:
    """A listening socket. Raises AssayError."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=backlog)
    except OSError as error:
        raise AssayError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}): free it, or set {prefix}PORT "
            "(0 takes a free one)."
        ) from None


def config_of(app: Any, settings: WebSettings, **own: Any) -> uvicorn.Config:
    """uvicorn's settings: those that all servers of ours have, and what is one's own."""
    return uvicorn.Config(
        app,
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=END_S_MAX,
        ssl_certfile=settings.tls_certificate_file,
        ssl_keyfile=settings.tls_key_file,
        ssl_ca_certs=str(settings.tls_client_ca_file) if settings.tls_client_ca_file else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if settings.tls_client_ca_file else ssl.CERT_NONE,
        **own,
    )


async def serve_until(server: Server, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop`; requests in work are finished, within a bound."""
    serving = asyncio.create_task(server.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving
