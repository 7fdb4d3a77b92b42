"""The HTTP server: uvicorn with bounds on connections, in number and time, ended by our own signals."""

import asyncio
import contextlib
import socket
from functools import partial
from typing import Any

import structlog
import uvicorn

from services import web
from services.clock import monotonic_s
from services.gateway.connections import IDLE_S_MAX, Bounded, bounded, limits_of
from services.gateway.lag import LoopLag
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings

log = structlog.get_logger(__name__)

HANDSHAKE_S_MAX = 10
DESCRIPTORS_RETRY_S = 1.0
ACCEPTED_AT_ONCE = 256
"""Connections taken between two looks at the others: one by one, each waits for a whole turn of a busy loop."""
TICKS_A_SECOND = 10
"""Of uvicorn's main loop."""
FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Server(web.Server):
    """As uvicorn has it, but for whom it accepts and how long.

    uvicorn counts a connection once its TLS handshake is over; here it counts from its first byte.
    """

    def __init__(self, config: uvicorn.Config, connections_max: int, metrics: GatewayMetrics, lag: LoopLag) -> None:
        super().__init__(config)
        self._connections_max, self._metrics, self._lag = connections_max, metrics, lag
        self._accepting: asyncio.Task[None] | None = None
        self._shaking: set[asyncio.Task[None]] = set()

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
                client, _ = await loop.sock_accept(listening)
                self._admit(client)
                for _ in range(ACCEPTED_AT_ONCE - 1):
                    client, _ = listening.accept()
                    self._admit(client)
            except BlockingIOError:  # no one else waits
                continue
            except OSError as error:  # no descriptor left, or the client is gone
                log.warning("gateway.not_accepted", error=type(error).__name__)
                await asyncio.sleep(DESCRIPTORS_RETRY_S)

    def _admit(self, client: socket.socket) -> None:
        client.setblocking(False)
        if len(self.server_state.connections) + len(self._shaking) >= self._connections_max:
            self._refuse(client)
            return
        task = asyncio.create_task(self._connect(client, monotonic_s() - self._lag.behind_s()))
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    def _refuse(self, client: socket.socket) -> None:
        self._metrics.connections_closed.labels("full").inc()
        with client, contextlib.suppress(OSError):
            if self.config.ssl is None:
                client.send(FULL)

    async def _connect(self, client: socket.socket, came_s: float) -> None:
        context = self.config.ssl
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._protocol, came_s),
                client,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S_MAX if context else None,
            )
        except OSError:  # the handshake failed, took too long, or the client is gone
            self._metrics.connections_closed.labels("handshake").inc()

    def _protocol(self, came_s: float) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: Bounded = make(config=self.config, server_state=self.server_state, app_state={})
        if self.config.ssl is None:  # behind a handshake no request can have come with it
            protocol.came_s = came_s
        return protocol


async def serve(
    app: Any,
    listening: socket.socket,
    settings: GatewaySettings,
    metrics: GatewayMetrics,
    lag: LoopLag,
    stop: asyncio.Event,
) -> None:
    """Serve until `stop`; requests in work are finished, within a bound."""
    connection = bounded(limits_of(settings), metrics, lag)
    config = web.config_of(app, settings, http=connection, timeout_keep_alive=IDLE_S_MAX)
    following = asyncio.create_task(lag.follow())
    try:
        await web.serve_until(Server(config, settings.connections_max, metrics, lag), listening, stop)
    finally:
        following.cancel()
