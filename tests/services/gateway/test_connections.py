"""Clients that hold a connection without using it, over real sockets: each is closed, and no one else notices."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.clock import monotonic_s
from services.gateway.server import serve
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings
from services.web import server
from services.web.connections import HEADERS_MAX
from services.web.lag import LoopLag
from services.web.server import listen
from tests.services.harness import WAIT_S_MAX
from tests.services.secured import Authority

HEAD = b"POST /read HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
QUICK = {"request_s_max": 0.3, "deadline_ms_max": 1}


class App:
    """`/read` reads the body and says its length; `/deny` does not read it; `/long` answers at length; `/wait` at the end."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        size, more = 0, scope["path"] == "/read"
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
            if message["type"] == "http.disconnect":
                return
        if scope["path"] == "/wait":
            await self.ended.wait()
        body = b"x" * (64 << 20) if scope["path"] == "/long" else str(size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


class Served:
    """A server, and raw clients of it."""

    def __init__(self, address: tuple[str, int], metrics: GatewayMetrics) -> None:
        self.address, self.metrics = address, metrics
        self._clients: list[socket.socket] = []

    async def client(self, *sent: bytes, address: str = "127.0.0.1") -> socket.socket:
        """A connection that has sent so much, from an address of this machine."""
        loop, client = asyncio.get_running_loop(), socket.socket()
        client.bind((address, 0))
        self._clients.append(client)
        client.setblocking(False)
        await loop.sock_connect(client, self.address)
        for data in sent:
            await loop.sock_sendall(client, data)
        return client

    def closed(self, cause: str) -> float:
        """How many were, for that cause."""
        return self.metrics.connections_closed.labels(cause)._value.get()

    async def until_closed(self, cause: str) -> None:
        """Wait for one that is."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while not self.closed(cause):
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """All clients."""
        for client in self._clients:
            client.close()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Served]:
    """The server alone, without a gateway behind it."""
    made = GatewaySettings(port=0, **settings)
    listening, stop, metrics = (
        listen(made, "ASSAY_GATEWAY_", backlog=1024),
        asyncio.Event(),
        GatewayMetrics(CollectorRegistry()),
    )
    app = App()
    task = asyncio.create_task(
        serve(app, listening, made, metrics, LoopLag(metrics.loop_lag.observe, monotonic_s), stop)
    )
    served = Served(listening.getsockname(), metrics)
    try:
        yield served
    finally:
        served.close()
        app.ended.set()
        stop.set()
        await task


async def heard(client: socket.socket) -> bytes:
    """All that a client hears until its connection is closed."""
    loop, content = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            while data := await loop.sock_recv(client, 1 << 16):
                content += data
    except ConnectionError:
        pass
    return content


async def trickle(client: socket.socket, data: bytes) -> bytes:
    """What is heard by one that sends a byte at a time for as long as it may."""
    listening = asyncio.create_task(heard(client))
    while not listening.done():
        try:
            await asyncio.get_running_loop().sock_sendall(client, data)
        except OSError:
            break
        await asyncio.wait([listening], timeout=0.02)
    return await listening


@pytest.mark.parametrize(
    ("sent", "more", "answer"),
    [
        (b"", b"", b""),
        (b"", b"\r\n", b""),
        (HEAD, b"", b"408"),
        (HEAD, b"a", b"408"),
        (HEAD + b"Content-Length: 99999\r\n\r\n", b"a", b"408"),
        (CHUNKED, b"a", b"408"),
    ],
    ids=["nothing", "empty lines", "half a head", "a head without end", "a body without end", "a trailer without end"],
)
async def test_a_request_that_takes_too_long_is_closed_however_it_is_spread(
    sent: bytes, more: bytes, answer: bytes
) -> None:
    """A byte now and then does not make the time longer."""
    async with serving(**QUICK) as served:
        client = await served.client(sent)
        said = await (trickle(client, more) if more else heard(client))
        assert said.startswith(b"HTTP/1.1 " + answer if answer else b"")
        assert served.closed("slow" if answer else "idle") == 1


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (HEAD, b"X: " + b"a" * 1000 + b"\r\n"),
        (HEAD + b"X: ", b"a" * 1000),
        (CHUNKED, b"X: " + b"a" * 1000 + b"\r\n"),
        (CHUNKED + b"X: ", b"a" * 1000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;", b"a" * 1000),
        (b"GET /", b"a" * 1000),
    ],
    ids=["headers", "one header", "trailers", "one trailer", "a chunk's extension", "a path"],
)
async def test_what_is_no_body_has_a_bound(start: bytes, part: bytes) -> None:
    """Nothing of a request can be sent for ever."""
    async with serving() as served:
        client = await served.client(start)
        await trickle(client, part)
        assert served.closed("head") == 1


async def test_headers_are_bounded_in_number() -> None:
    """Those of one byte each, too."""
    async with serving() as served:
        said = await heard(await served.client(HEAD + b"a:\r\n" * HEADERS_MAX + b"\r\n"))
        assert said.startswith(b"HTTP/1.1 431")


async def test_one_connection_too_many_is_refused_and_room_is_given_again() -> None:
    """Counted from the first byte; who was there before is served."""
    async with serving(connections_max=2) as served:
        first, second = await served.client(), await served.client()
        assert (await heard(await served.client())).startswith(b"HTTP/1.1 503")
        await asyncio.get_running_loop().sock_sendall(first, b"GET /read HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await heard(first)).startswith(b"HTTP/1.1 200")
        third = await served.client(b"GET /read HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await heard(third)).startswith(b"HTTP/1.1 200")
        second.close()


async def test_one_client_cannot_take_all_connections() -> None:
    """Its share is refused beyond, others come in, and who leaves makes room; a proxy's address has no share."""
    closing = b"GET /read HTTP/1.1\r\nConnection: close\r\n\r\n"
    async with serving(connections_max=6, client_connections_max=2) as served:
        first, _ = await served.client(), await served.client()
        for _ in range(3):
            assert (await heard(await served.client(closing))).startswith(b"HTTP/1.1 503")
        assert (served.closed("client"), served.closed("full")) == (3, 0)
        other = await served.client(closing, address="127.0.0.2")
        assert (await heard(other)).startswith(b"HTTP/1.1 200")
        await asyncio.get_running_loop().sock_sendall(first, closing)
        assert (await heard(first)).startswith(b"HTTP/1.1 200")
        assert (await heard(await served.client(closing))).startswith(b"HTTP/1.1 200")
    async with serving(connections_max=6, client_connections_max=2, proxies="10.0.0.0/8, 127.0.0.1/32") as served:
        for _ in range(5):
            await served.client()
        assert (await heard(await served.client(closing))).startswith(b"HTTP/1.1 200")


async def test_an_answer_that_is_not_read_is_given_up() -> None:
    """Its connection is cut, with what was not sent."""
    async with serving(**QUICK) as served:
        await served.client(b"GET /long HTTP/1.1\r\n\r\n")
        await served.until_closed("unread")


async def test_a_body_that_no_one_reads_ends() -> None:
    """The answer came at once; what is sent after it is not listened to for ever."""
    async with serving(**QUICK) as served:
        client = await served.client(b"POST /deny HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n")
        assert (await trickle(client, b"a" * 1000)).startswith(b"HTTP/1.1 200")
        assert served.closed("slow") == 1


async def test_requests_before_an_answer_are_bounded() -> None:
    """Thousands fit into one packet."""
    async with serving() as served:
        await heard(await served.client(b"GET /wait HTTP/1.1\r\n\r\n" * 1000))
        assert served.closed("head") == 1


async def test_a_tls_handshake_that_does_not_end_is_cut_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has room as any connection has, and gives it back."""
    monkeypatch.setattr(server, "HANDSHAKE_S_MAX", 0.3)
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    async with serving(connections_max=1, tls_certificate_file=certificate, tls_key_file=key) as served:
        silent = await served.client()
        await heard(await served.client())
        assert served.closed("full") == 1
        await heard(silent)
        await served.until_closed("handshake")
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=authority.ca_file)) as client:
            answer = await client.get(f"https://127.0.0.1:{served.address[1]}/read")
        assert answer.status_code == 200


async def test_who_keeps_to_the_bounds_notices_nothing() -> None:
    """Large bodies in any chunks, trailers, one connection for many requests."""
    async with serving(request_s_max=WAIT_S_MAX) as served:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.address[1]}") as client:

            async def parts(size: int) -> AsyncIterator[bytes]:
                for _ in range((1 << 20) // size):
                    yield b"a" * size

            for size in (1 << 10, 1 << 16):
                assert (await client.post("/read", content=parts(size))).text == str(1 << 20)
            assert (await client.post("/read", content=b"a" * (1 << 20))).text == str(1 << 20)
        closing = CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + b"X-Sum: 1\r\n\r\n"
        assert (await heard(await served.client(closing))).endswith(b"5")
        assert sum(served.closed(cause) for cause in ("slow", "head", "unread", "full")) == 0
