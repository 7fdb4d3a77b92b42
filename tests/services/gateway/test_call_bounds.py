"""Clients that hold a gRPC connection without using it, over real sockets."""

import asyncio
import socket

import grpc
import pytest

from services.gateway import calls
from services.gateway.calls import bounds
from services.settings.gateway import GatewaySettings
from tests.services.harness import WAIT_S_MAX

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
