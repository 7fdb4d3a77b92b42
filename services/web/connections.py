"""One client's connection: uvicorn's protocol, which by itself bounds neither bytes nor time, held to both.

What a client sends outside bodies (heads, chunk sizes, trailers) is counted; each step of a request has a time at which it is
due.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.clock import monotonic_s
from services.web.clients import Place
from services.web.lag import TICK_S, LoopLag

CERTIFICATE = "client_certificate"
"""In a request's scope: the name in the client's certificate, which the TLS layer has verified."""

IDLE_S_MAX = 75
CLOSING_S_MAX = 5
"""What a client may take to read the last bytes of a connection that is being closed."""
CHUNK_BYTES = 16
"""Of a chunk's own framing, which is not counted."""
HEADERS_MAX = 100
ARRIVED = "arrived_s"
"""In a request's scope: when its first bytes were here at the latest, by the monotonic clock."""
PIPELINED_MAX = 16

STATUSES = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class Limits(NamedTuple):
    """Of one connection. request_s_max: for a whole head and body. answer_s_max: for its answer, until all of it is taken."""

    head_bytes_max: int
    request_s_max: float
    answer_s_max: float


def bounded(limits: Limits, closed: Callable[[str], None], lag: LoopLag | None = None) -> type["Bounded"]:
    """The class that uvicorn makes connections of.

    closed: told why one is. lag: of the loop, where requests are to say when they came.
    """
    return type("Connection", (Bounded,), {"limits": limits, "closed": staticmethod(closed), "lag": lag})


class Bounded(HttpToolsProtocol):
    """A connection. due_s: when its present step has to be over, by the monotonic clock."""

    limits: Limits
    closed: Callable[[str], None]
    lag: LoopLag | None = None
    place: Place | None = None
    receiving = False
    """Between a request's first byte and its last."""
    head = True
    framing_bytes = 0
    refused: int | None = None
    due_s = made_s = 0.0
    came_s: float | None = None
    """When the connection came, until its first request is here: what came with it waited for its being accepted, too."""

    def connection_made(self, transport: Any) -> None:
        """A client that sends nothing has as long as one that sends slowly."""
        super().connection_made(transport)
        self.made_s = monotonic_s()
        self.due_s = self.made_s + self.limits.request_s_max

    def connection_lost(self, exc: Exception | None) -> None:
        """Its place is another's."""
        if self.place is not None:
            self.place.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is no body; close a connection on which that does not end."""
        self.framing_bytes += len(data)
        super().data_received(data)
        # below zero where a request ended within these bytes: what follows it has no more room than others
        self.framing_bytes = max(0, self.framing_bytes)
        if self.refused is None and self.framing_bytes > self.limits.head_bytes_max:
            self._close_with(431)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.receiving, self.head = True, True
        now_s = monotonic_s()
        self.due_s = now_s + self.limits.request_s_max
        super().on_message_begin()
        if self.lag is not None:
            self.scope[ARRIVED] = self._arrived_s(now_s, self.lag.behind_s())  # type: ignore[literal-required]
        self.scope[CERTIFICATE] = common_name(self.transport.get_extra_info("peercert"))  # type: ignore[literal-required]

    def _arrived_s(self, now_s: float, behind_s: float) -> float:
        """When the request that begins was here at the latest."""
        came_s, self.came_s = self.came_s, None
        if came_s is not None and now_s - self.made_s <= behind_s + TICK_S:
            return min(came_s, now_s - behind_s)
        return now_s - behind_s

    def on_header(self, name: bytes, value: bytes) -> None:
        """A trailer is read and dropped."""
        if not self.head:
            return
        if len(self.headers) >= HEADERS_MAX:
            self.refused = 431
            raise httptools.HttpParserError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is over."""
        self.head = False
        if len(self.pipeline) >= PIPELINED_MAX:
            self.refused = 431
            raise httptools.HttpParserError("too many requests before the first is answered")
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """So many bytes more may be framing."""
        self.framing_bytes -= CHUNK_BYTES

    def on_body(self, body: bytes) -> None:
        """Bounded by the API, which knows who sends it."""
        self.framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is over; the next may begin."""
        self.receiving, self.head, self.framing_bytes = False, True, 0
        self.due_s = monotonic_s() + (IDLE_S_MAX if self.cycle.response_complete else self.limits.answer_s_max)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered; one whose body is still sent keeps the time it had."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.due_s = monotonic_s() + CLOSING_S_MAX
        elif not self.receiving:
            taken = not self.pipeline and not self.transport.get_write_buffer_size()
            self.due_s = monotonic_s() + (IDLE_S_MAX if taken else self.limits.answer_s_max)

    def send_400_response(self, msg: str) -> None:
        """What is no request, or one that goes beyond the bounds."""
        if self.refused is None:
            self.due_s = monotonic_s() + CLOSING_S_MAX
            super().send_400_response(msg)
        else:
            self._close_with(self.refused)

    def close_if_overdue(self, now_s: float) -> None:
        """Called once a second."""
        if now_s < self.due_s:
            return
        if self.transport.is_closing():
            self.transport.abort()
        elif self.receiving:
            self._close_with(408)
        elif self.transport.get_write_buffer_size() or (self.cycle is not None and not self.cycle.response_complete):
            self.closed("unread")
            self.transport.abort()
        else:
            self.closed("idle")
            self.due_s = now_s + CLOSING_S_MAX
            self.transport.close()

    def _close_with(self, status: int) -> None:
        """With a status where the client would take it for this request's answer."""
        self.refused = status
        self.closed("slow" if status == 408 else "head")
        self.due_s = monotonic_s() + CLOSING_S_MAX
        last = self.cycle
        answering = last is not None and not last.response_complete and (self.head or last.response_started)
        if answering or self.pipeline:
            self.transport.abort()
            return
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % (status, STATUSES[status])
        )
        self.transport.close()


def common_name(certificate: Any) -> str | None:
    """Of a certificate as `ssl` shows it; None where there is none, or it has none."""
    for part in (certificate or {}).get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return None
