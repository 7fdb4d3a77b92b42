"""uvicorn without its signal handlers, accepting by itself: a connection counts from its first byte, and by client.

uvicorn counts a connection once its TLS handshake is over, and none by who holds it.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import structlog
import uvicorn

from services.clock import monotonic_s
from services.errors import AssayError, SettingsError
from services.web.clients import Clients, Place, networks
from services.web.connections import IDLE_S_MAX, Bounded, Limits, bounded
from services.web.lag import LoopLag

log = structlog.get_logger(__name__)

END_S_MAX = 5
HANDSHAKE_S_MAX = 10
DESCRIPTORS_RETRY_S = 1.0
ACCEPTED_AT_ONCE = 256
"""Connections taken between two looks at the others: one by one, each waits for a whole turn of a busy loop."""
TICKS_A_SECOND = 10
"""Of uvicorn's main loop."""
FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


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

    @property
    def connections_max(self) -> int:
        """At once."""

    @property
    def client_connections_max(self) -> int:
        """Of one client."""

    @property
    def proxies(self) -> str:
        """Networks whose addresses many clients share, comma-separated."""


class Server(uvicorn.Server):
    """As uvicorn has it, but for whom it accepts and how long; the process drains as every other of ours.

    closed: told why a connection is. lag: of the loop, where connections are to know when they came.
    """

    def __init__(
        self, config: uvicorn.Config, clients: Clients, closed: Callable[[str], None], lag: LoopLag | None = None
    ) -> None:
        super().__init__(config)
        self._clients, self._closed, self._lag = clients, closed, lag
        self._accepting: asyncio.Task[None] | None = None
        self._shaking: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets=[])
        assert sockets, "it is given the socket that it listens on"
        (listening,) = sockets
        listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(listening))

    async def on_tick(self, counter: int) -> bool:
        """Once a second: close what is overdue."""
        if counter % TICKS_A_SECOND == 0:
            now_s = monotonic_s()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Bounded):
                    connection.close_if_overdue(now_s)
        return await super().on_tick(counter) or (self._accepting is not None and self._accepting.done())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No one else is accepted. Raises what ended the accepting, if that did."""
        accepting = self._accepting
        if accepting is not None and not accepting.done():
            accepting.cancel()
        for task in self._shaking:
            task.cancel()
        await super().shutdown(sockets)
        if accepting is not None and accepting.done() and not accepting.cancelled():
            accepting.result()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._admit(*await loop.sock_accept(listening))
                for _ in range(ACCEPTED_AT_ONCE - 1):
                    self._admit(*listening.accept())
            except BlockingIOError:  # no one else waits
                continue
            except OSError as error:  # no descriptor left, or the client is gone
                log.warning("web.not_accepted", error=type(error).__name__)
                await asyncio.sleep(DESCRIPTORS_RETRY_S)

    def _admit(self, client: socket.socket, address: tuple[Any, ...]) -> None:
        client.setblocking(False)
        if cause := self._clients.refusal(address[0]):
            self._refuse(client, cause)
            return
        came_s = monotonic_s() - self._lag.behind_s() if self._lag is not None else None
        task = asyncio.create_task(self._connect(client, self._clients.enter(address[0]), came_s))
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    def _refuse(self, client: socket.socket, cause: str) -> None:
        self._closed(cause)
        with client, contextlib.suppress(OSError):
            if self.config.ssl is None:
                client.send(FULL)

    async def _connect(self, client: socket.socket, place: Place, came_s: float | None) -> None:
        context = self.config.ssl

        def protocol() -> Bounded:
            make: Any = self.config.http_protocol_class
            made: Bounded = make(config=self.config, server_state=self.server_state, app_state={})
            made.place = place
            if context is None:  # behind a handshake no request can have come with it
                made.came_s = came_s
            return made

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol, client, ssl=context, ssl_handshake_timeout=HANDSHAKE_S_MAX if context else None
            )
        except OSError:  # the handshake failed, took too long, or the client is gone
            self._closed("handshake")
            place.leave()


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


def _config_of(app: Any, settings: WebSettings, http: type[Bounded]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        timeout_keep_alive=IDLE_S_MAX,
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
    )


def clients_of(settings: WebSettings, prefix: str) -> Clients:
    """prefix: of the variables. Raises SettingsError."""
    try:
        proxies = networks(settings.proxies)
    except ValueError:
        raise SettingsError(
            f"{prefix}PROXIES={settings.proxies} is no list of networks: write them as 10.0.0.0/8, separated by commas."
        ) from None
    return Clients(settings.connections_max, settings.client_connections_max, proxies)


async def serve(
    app: Any,
    listening: socket.socket,
    settings: WebSettings,
    clients: Clients,
    limits: Limits,
    closed: Callable[[str], None],
    stop: asyncio.Event,
    lag: LoopLag | None = None,
) -> None:
    """Serve until `stop`; requests in work are finished, within a bound.

    closed: told why a connection is. lag: followed meanwhile; with it each request says when it came.
    """
    server = Server(_config_of(app, settings, bounded(limits, closed, lag)), clients, closed, lag)
    following = asyncio.create_task(lag.follow()) if lag is not None else None
    serving = asyncio.create_task(server.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    try:
        await serving
    finally:
        if following is not None:
            following.cancel()
