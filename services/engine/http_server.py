"""A small HTTP server that no client can hold up: connections are capped, each has a deadline, accepting backs off.

`http.server` gives a thread to each connection and no end to any of them, and spins when descriptors run out.
"""

import contextlib
import errno
import socket
import sys
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import structlog

from services.clock import monotonic_s
from services.web.clients import CLIENT, Clients, Place

log = structlog.get_logger(__name__)

REQUEST_S_MAX = 10.0
"""From accepting to the end of the answer. It is per connection: each carries one request (HTTP/1.0)."""
BACK_OFF_S = 0.5
NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class _Open(NamedTuple):
    """A connection."""

    deadline_s: float
    place: Place


class BoundedHTTPServer(ThreadingHTTPServer):
    """As many requests at once as `clients` has room for, each ended after `request_s_max`.

    One more, and the oldest is closed, of the same client where that has too many: a probe gets in however many connections are
    held open, and who holds them open loses its own.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        clients: Clients,
        request_s_max: float = REQUEST_S_MAX,
    ) -> None:
        """Raises OSError where it cannot listen."""
        self.clients, self.request_s_max = clients, request_s_max
        self._open: OrderedDict[socket.socket, _Open] = OrderedDict()
        """Oldest first."""
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._starved = False
        super().__init__(address, handler)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def shutdown(self) -> None:
        """Accept no more, and wait for the accepting loop to end."""
        self._closing.set()
        super().shutdown()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; without a descriptor for it, close the oldest connection and wait before the next attempt."""
        try:
            accepted = super().get_request()
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:
                if not self._starved:
                    log.warning("http.no_descriptors", connections=self.connections, error=errno.errorcode[error.errno])
                self._starved = True
                self._close_oldest()
                self._closing.wait(BACK_OFF_S)
            raise  # socketserver drops this attempt
        self._starved = False
        return accepted

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle it in a thread of its own, within the cap."""
        address = str(client_address[0])
        with self._lock:
            cause = self.clients.refusal(address)
            place = self.clients.enter(address)
            self._open[request] = _Open(monotonic_s() + self.request_s_max, place)
        if cause is not None:
            log.warning("http.connections_full", connections_max=self.clients.connections_max, cause=cause)
            self._close_oldest(place.client if cause == CLIENT else None)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection, on either side."""
        with self._lock:
            self._leave(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called by the accepting loop twice a second: end what is beyond its deadline."""
        now_s = monotonic_s()
        with self._lock:
            late = [request for request, found in self._open.items() if found.deadline_s <= now_s]
        for request in late:
            self._interrupt(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line, and no traceback: a client that disconnects, or sends no TLS or no HTTP, is not our error."""
        with self._lock:
            ended_by_us = request not in self._open
        if not ended_by_us:
            log.warning("http.request_failed", error=type(sys.exception()).__name__)

    def _close_oldest(self, client: str | None = None) -> None:
        """client: of this one."""
        with self._lock:
            found = (request for request, one in self._open.items() if client in (None, one.place.client))
            oldest = next(found, None)
        if oldest is not None:
            self._interrupt(oldest)

    def _leave(self, request: Any) -> None:
        if (found := self._open.pop(request, None)) is not None:
            found.place.leave()

    def _interrupt(self, request: socket.socket) -> None:
        """End a connection that a thread waits on: its read or write returns, and the thread closes it."""
        with self._lock:
            self._leave(request)
        with contextlib.suppress(OSError):  # it has disconnected already
            # not SSLSocket's own: that would drop its TLS state under the thread that uses it
            socket.socket.shutdown(request, socket.SHUT_RDWR)
