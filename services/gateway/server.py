"""The HTTP server: uvicorn with bounds on heads and connections, ended by our own signals."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.errors import AssayError, SettingsError
from services.gateway.access import CERTIFICATE

KEEP_ALIVE_S = 75
END_S_MAX = 5


class HttpSettings(Protocol):
    """What a server reads of its process's settings."""

    model_config: Any

    @property
    def host(self) -> str: ...  # noqa: D102
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def head_bytes_max(self) -> int: ...  # noqa: D102
    @property
    def connections_max(self) -> int: ...  # noqa: D102
    @property
    def tls_certificate_file(self) -> Path | None: ...  # noqa: D102
    @property
    def tls_key_file(self) -> Path | None: ...  # noqa: D102
    @property
    def tls_client_ca_file(self) -> Path | None: ...  # noqa: D102


class Server(uvicorn.Server):
    """As uvicorn has it, without its signal handlers: the process drains as every other of ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


def bounded(head_bytes_max: int) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which by itself takes a head without end."""

    class Bounded(HttpToolsProtocol):
        in_head, head_bytes = True, 0

        def data_received(self, data: bytes) -> None:
            """Close a connection whose head does not end."""
            if self.in_head:
                self.head_bytes += len(data)
            super().data_received(data)
            if self.in_head and self.head_bytes > head_bytes_max:
                self.transport.close()

        def on_message_begin(self) -> None:
            """A request begins."""
            self.in_head, self.head_bytes = True, 0
            super().on_message_begin()
            self.scope[CERTIFICATE] = common_name(self.transport.get_extra_info("peercert"))  # type: ignore[literal-required]

        def on_headers_complete(self) -> None:
            """Its head is over."""
            self.in_head = False
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            """It is over; the next may begin."""
            self.in_head, self.head_bytes = True, 0
            super().on_message_complete()

    return Bounded


def common_name(certificate: Any) -> str | None:
    """Of a certificate as `ssl` shows it; None where there is none, or it has none."""
    for part in (certificate or {}).get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return None


def check_tls(settings: HttpSettings) -> None:
    """Raises SettingsError where the TLS files cannot be used."""
    prefix = settings.model_config["env_prefix"]
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


def listen(settings: HttpSettings) -> socket.socket:
    """A listening socket. Raises AssayError."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise AssayError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}): free it, or set "
            f"{settings.model_config['env_prefix']}PORT (0 takes a free one)."
        ) from None


async def serve(app: Any, listening: socket.socket, settings: HttpSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; requests in work are finished, within a bound."""
    config = uvicorn.Config(
        app,
        http=bounded(settings.head_bytes_max),
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
