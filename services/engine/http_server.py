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
from typing import Any

import structlog

from services.clock import monotonic_s

log = structlog.get_logger(__name__)

CONNECTIONS_MAX = 32
"""One more, and the oldest is closed: a probe gets in however many connections are held open."""
REQUEST_S_MAX = 10.0
"""From accepting to the end of the answer. It is per connection: each carries one request (HTTP/1.0)."""
BACK_OFF_S = 0.5
NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class BoundedHTTPServer(ThreadingHTTPServer):
    """At most `connections_max` requests at once, each ended after `request_s_max`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        connections_max: int = CONNECTIONS_MAX,
        request_s_max: float = REQUEST_S_MAX,
    ) -> None:
        """Raises OSError where it cannot listen."""
        self.connections_max, self.request_s_max = connections_max, request_s_max
        self._deadlines: OrderedDict[socket.socket, float] = OrderedDict()
        """Of each open connection, oldest first."""
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._starved = False
        super().__init__(address, handler)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._deadlines)

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
        with self._lock:
            full = len(self._deadlines) >= self.connections_max
            self._deadlines[request] = monotonic_s() + self.request_s_max
        if full:
            log.warning("http.connections_full", connections_max=self.connections_max)
            self._close_oldest()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection, on either side."""
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called by the accepting loop twice a second: end what is beyond its deadline."""
        now_s = monotonic_s()
        with self._lock:
            late = [request for request, deadline_s in self._deadlines.items() if deadline_s <= now_s]
        for request in late:
            self._interrupt(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line, and no traceback: a client that disconnects, or sends no TLS or no HTTP, is not our error."""
        with self._lock:
            ended_by_us = request not in self._deadlines
        if not ended_by_us:
            log.warning("http.request_failed", error=type(sys.exception()).__name__)

    def _close_oldest(self) -> None:
        with self._lock:
            oldest = next(iter(self._deadlines), None)
        if oldest is not None:
            self._interrupt(oldest)

    def _interrupt(self, request: socket.socket) -> None:
        """End a connection that a thread waits on: its read or write returns, and the thread closes it."""
        with self._lock:
            self._deadlines.pop(request, None)
        with contextlib.suppress(OSError):  # it has disconnected already
            # not SSLSocket's own: that would drop its TLS state under the thread that uses it
            socket.socket.shutdown(request, socket.SHUT_RDWR)
