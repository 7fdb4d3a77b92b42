"""An HTTP/1.1 connection whose answers are timed by the kernel: a caller that has no processor does not make a gateway late.

The kernel stamps each segment when it arrives (SO_TIMESTAMPNS, Linux). What a caller sees besides is what it took to look.
"""

import asyncio
import socket
import struct
import sys
import time
from typing import NamedTuple

SO_TIMESTAMPNS = 35
"""Of Linux; Python has no name for it."""
BYTES_MAX = 1 << 16


class Exchange(NamedTuple):
    """One answer. Times in ns since 1970: when it was asked for, when its last byte arrived, when the caller had it."""

    status: int
    body: bytes
    sent_ns: int
    arrived_ns: int
    read_ns: int

    @property
    def waited_ms(self) -> float:
        """For the other side."""
        return (self.arrived_ns - self.sent_ns) / 1e6

    @property
    def unread_ms(self) -> float:
        """For the caller itself."""
        return (self.read_ns - self.arrived_ns) / 1e6


class Stamped:
    """One connection, for one request at a time."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._received, self._arrived_ns = bytearray(), 0
        self._done: asyncio.Future[None] | None = None
        self.ended: OSError | None = None
        """Why nothing can be asked any more."""
        asyncio.get_running_loop().add_reader(connected, self._read)

    @classmethod
    async def open(cls, host: str, port: int) -> "Stamped":
        """Raises OSError."""
        connected = socket.socket()
        connected.setblocking(False)
        if sys.platform == "linux":
            connected.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(connected, (host, port))
        except BaseException:
            connected.close()
            raise
        return cls(connected)

    async def ask(self, request: bytes) -> Exchange:
        """Raises OSError where the connection ends, or has ended while nothing was asked."""
        if self.ended is not None:
            raise self.ended
        self._received.clear()
        self._done = asyncio.get_running_loop().create_future()
        sent_ns = time.time_ns()
        await asyncio.get_running_loop().sock_sendall(self._socket, request)
        await self._done
        read_ns = time.time_ns()
        head, _, body = bytes(self._received).partition(b"\r\n\r\n")
        return Exchange(int(head[9:12]), body, sent_ns, self._arrived_ns, read_ns)

    def close(self) -> None:
        """For good."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            data, notes, _, _ = self._socket.recvmsg(BYTES_MAX, 64)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if not data:
            self._end(ConnectionResetError("the other side has closed"))
            return
        self._arrived_ns = time.time_ns()
        for level, kind, stamp in notes:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, ns = struct.unpack("qq", stamp[:16])
                self._arrived_ns = seconds * 1_000_000_000 + ns
        self._received += data
        if self._whole() and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _whole(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = int(self._received[:end].lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return len(self._received) >= end + 4 + length

    def _end(self, error: OSError) -> None:
        self.ended = error
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


def posted(path: str, body: bytes, deadline_ms: int) -> bytes:
    """A request that asks for a decision."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Assay-Deadline-Ms: {deadline_ms}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
