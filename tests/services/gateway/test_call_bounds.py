"""Clients that hold a gRPC connection without using it, over real sockets."""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from schemas.calls import CALLS
from services.gateway import calls
from services.gateway.call_sockets import CallSockets
from services.gateway.calls import NAME, bounds
from services.gateway.keys import make_key, write_keys
from services.settings.gateway import GatewaySettings
from tests.services.gateway.serving import Written, called
from tests.services.harness import WAIT_S_MAX

METHODS = [name for name, *_ in CALLS]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""With the settings that begin a connection of HTTP/2."""


@pytest.mark.parametrize(
    ("name", "sent"), [("HANDSHAKE_MS_MAX", b""), ("IDLE_MS_MAX", PREFACE), ("AGE_MS_MAX", PREFACE)]
)
async def test_a_connection_that_is_not_used_is_closed(name: str, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it says nothing, or asks nothing, or stays."""
    monkeypatch.setattr(calls, name, 300)
    server = grpc.aio.server(options=bounds(GatewaySettings(request_s_max=0.3, deadline_ms_max=1)))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    loop = asyncio.get_running_loop()
    try:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            await loop.sock_sendall(client, sent)
            async with asyncio.timeout(WAIT_S_MAX):
                while await loop.sock_recv(client, 4096):
                    pass
    except ConnectionResetError:
        pass
    finally:
        await server.stop(None)


async def opened(port: int, address: str = "127.0.0.1", sent: bytes = PREFACE) -> socket.socket:
    """A connection from an address of this machine."""
    client = socket.socket()
    client.bind((address, 0))
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    await asyncio.get_running_loop().sock_sendall(client, sent)
    return client


def open_ones(clients: list[socket.socket]) -> int:
    """How many the server has not closed."""
    number = 0
    for client in clients:
        with contextlib.suppress(ConnectionError):
            try:
                while client.recv(1 << 16):
                    pass
            except BlockingIOError:
                number += 1
    return number


async def until(clients: list[socket.socket], number: int) -> None:
    """Wait until so many of them are open."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while open_ones(clients) != number:
        assert time.monotonic() < deadline_s, open_ones(clients)
        await asyncio.sleep(0.02)


async def test_one_client_cannot_take_all_connections_of_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond its share are closed, and not those it had; others keep theirs, and all together have a bound, too."""
    monkeypatch.setattr(calls, "LOOK_INTERVAL_S", 0.05)
    look, six = CallSockets.look, threading.Event()

    def noted(sockets: CallSockets) -> int:
        if (number := look(sockets)) == 6:
            six.set()
        return number

    monkeypatch.setattr(CallSockets, "look", noted)
    settings = GatewaySettings(grpc_port=0, connections_max=8, client_connections_max=3)
    async with called(settings, Written()) as address:
        port = int(address.rpartition(":")[2])
        others = [await opened(port, f"127.0.0.{number}") for number in (2, 2, 3)]
        had = [await opened(port) for _ in range(3)]
        assert await asyncio.to_thread(six.wait, WAIT_S_MAX)  # those that one look finds first have no order among them
        flood = [*had, *[await opened(port) for _ in range(17)]]
        await until(flood, 3)
        assert open_ones(had) == 3
        assert open_ones(others) == 3
        more = [await opened(port, f"127.0.1.{number}") for number in range(1, 9)]
        await until([*flood, *others, *more], 8)
        for client in (*flood, *others, *more):
            client.close()
        async with asyncio.timeout(WAIT_S_MAX):
            async with grpc.aio.insecure_channel(address) as channel:
                await channel.channel_ready()


async def test_the_looks_at_sockets_leave_others_of_the_process_alone() -> None:
    """Those of another server, of a client, of no network, and files."""
    from services.web.clients import Clients

    closed: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as foreign:
        near, far = socket.socketpair()
        pairs = [(socket.create_connection(s.getsockname()), s.accept()[0]) for s in (ours, ours, foreign, foreign)]
        looked = CallSockets(ours.getsockname()[1], Clients(10, 1), closed.append)
        assert looked.look() == 1
        assert looked.look() == 1
        assert closed[0] == "client"
        for number, (client, _) in enumerate(pairs):
            client.settimeout(0.2)
            if number == 1:
                assert client.recv(1) == b""
            else:
                with pytest.raises(TimeoutError):
                    client.recv(1)
        for one in (near, far, *(one for pair in pairs for one in pair)):
            one.close()


def headers_frame(stream: int, method: str = f"{NAME}/Decide") -> bytes:
    """The begin of a call, its headers written out in full (HPACK without a table)."""

    def field(name: bytes, value: bytes) -> bytes:
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    path = f"/{method}".encode()
    block = b"".join(
        field(*pair)
        for pair in ((b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"),
                     (b"content-type", b"application/grpc"), (b"te", b"trailers"))
    )  # fmt: skip
    return struct.pack(">I", len(block))[1:] + b"\x01\x04" + struct.pack(">I", stream) + block


async def test_a_call_whose_message_does_not_come_ends_and_leaves_room() -> None:
    """After ASSAY_GATEWAY_REQUEST_S_MAX; until then a client has its share of such calls, on however many connections."""
    settings = GatewaySettings(grpc_port=0, connections_max=50, client_connections_max=5, request_s_max=0.4)
    async with called(settings, Written()) as address:
        port = int(address.rpartition(":")[2])
        calls_begun = b"".join(headers_frame(2 * number + 1) for number in range(20))
        client = await opened(port, sent=PREFACE + calls_begun)
        heard, loop = b"", asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_S_MAX):
            while len(ended(heard)) < 20:
                heard += await loop.sock_recv(client, 1 << 16)
        assert len(ended(heard)) == 20
        client.close()
        async with grpc.aio.insecure_channel(address) as channel:
            decide = channel.unary_unary(f"/{NAME}/Decide")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await decide(b"\xff\xff", timeout=WAIT_S_MAX)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_who_has_no_key_is_refused_before_the_message_is_taken_in(tmp_path: Path) -> None:
    """So no one without one has a message kept or parsed, as over HTTP."""
    write_keys(tmp_path / "keys.json", [make_key("till", ("decide",), None, 1)[0]])
    settings = GatewaySettings(grpc_port=0, keys_file=tmp_path / "keys.json", request_s_max=3600)
    async with called(settings, Written()) as address:
        begun = b"".join(headers_frame(2 * n + 1, f"{NAME}/{name}") for n, name in enumerate(METHODS))
        client = await opened(int(address.rpartition(":")[2]), sent=PREFACE + begun)
        heard, loop = b"", asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_S_MAX):
            while len(ended(heard)) < len(METHODS):
                heard += await loop.sock_recv(client, 1 << 16)
        client.close()


def ended(heard: bytes) -> set[int]:
    """The calls that are over, by the frames that a client has heard."""
    found, at = set[int](), 0
    while at + 9 <= len(heard):
        length = int.from_bytes(heard[at : at + 3])
        kind, flags, stream = heard[at + 3], heard[at + 4], int.from_bytes(heard[at + 5 : at + 9])
        if (kind == 1 and flags & 1) or kind == 3:
            found.add(stream)
        at += 9 + length
    return found


def message_frame(stream: int, payload: bytes = b"") -> bytes:
    """A call's message, and its end."""
    data = struct.pack(">BI", 0, len(payload)) + payload
    return struct.pack(">I", len(data))[1:] + b"\x00\x01" + struct.pack(">I", stream) + data


async def test_who_watches_health_and_reads_nothing_stops_no_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its window is shut, so nothing can be written to it; the others see health, and it has its share of streams alone."""
    monkeypatch.setattr("services.gateway.call_beside.LOOK_INTERVAL_S", 0.02)
    shut = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]) + struct.pack(">HI", 4, 0)  # SETTINGS_INITIAL_WINDOW_SIZE = 0
    method = "grpc.health.v1.Health/Watch"
    watches = b"".join(headers_frame(2 * n + 1, method) + message_frame(2 * n + 1) for n in range(20))
    settings = GatewaySettings(grpc_port=0, connections_max=50, client_connections_max=5, request_s_max=0.5)
    async with called(settings, Written()) as address:
        client = await opened(int(address.rpartition(":")[2]), "127.0.0.2", PREFACE + shut + watches)
        heard, loop = b"", asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_S_MAX):
            while len(ended(heard)) < 15:
                heard += await loop.sock_recv(client, 1 << 16)
        async with grpc.aio.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watching = stub.Watch(health_pb2.HealthCheckRequest(service=NAME))
            async with asyncio.timeout(WAIT_S_MAX):
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
                checked = await stub.Check(health_pb2.HealthCheckRequest())
            assert checked.status == health_pb2.HealthCheckResponse.SERVING
            watching.cancel()
        client.close()
