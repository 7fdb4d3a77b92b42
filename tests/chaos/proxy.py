"""A TCP proxy that stands between clients and one broker, and can spoil the way on demand.

It reads Kafka's frames (KIP-4 and before: int32 length, then int16 api key, int16 version, int32 correlation id), so that
one kind of request or its answer can be held back while the rest passes.
"""

import asyncio
import contextlib
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

HOST = "127.0.0.1"
END_TXN = 26

Way = Literal["to_broker", "to_client"]


@dataclass
class Hold:
    """Frames of one kind that are to be held back for a while: requests, or the answers to them."""

    api_key: int
    way: Way
    seconds: float
    times: int


@dataclass(eq=False)
class Link:
    """One client's connection and ours to the broker."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    asked: deque[int] = field(default_factory=deque)
    """Api keys of requests without answer; a broker answers in order."""


class Proxy:
    """Listens until closed. Several faults may be on at once; `heal` ends them all."""

    def __init__(self, port: int, broker_port: int) -> None:
        self.port, self._broker_port = port, broker_port
        self.latency_s = 0.0
        self.held = 0
        """Frames that a Hold has caught."""
        self._holds: list[Hold] = []
        self._open: dict[Way, asyncio.Event] = {"to_broker": asyncio.Event(), "to_client": asyncio.Event()}
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self.heal()
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def close(self) -> None:
        """Cut every connection and stop listening."""
        self.reset()
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def heal(self) -> None:
        """Nothing is wrong any more. What was held goes on its way."""
        self.latency_s = 0.0
        self._holds.clear()
        for gate in self._open.values():
            gate.set()

    def blackhole(self, way: Way) -> None:
        """Nothing goes through in this direction, and no one is informed."""
        self._open[way].clear()

    def reset(self) -> None:
        """Cut every connection (RST)."""
        for link in list(self._links):
            for writer in (link.client, link.broker):
                writer.transport.abort()

    def hold(self, hold: Hold) -> None:
        """Hold back the next frames of a kind, in both senses: what comes after them on the connection waits too."""
        self._holds.append(hold)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            broker_reader, broker_writer = await asyncio.open_connection(HOST, self._broker_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, broker_writer)
        self._links.add(link)
        pumps = [
            asyncio.ensure_future(self._pump("to_broker", reader, broker_writer, link)),
            asyncio.ensure_future(self._pump("to_client", broker_reader, writer, link)),
        ]
        self._tasks.update(pumps)
        for pump in pumps:
            pump.add_done_callback(self._tasks.discard)
        await asyncio.gather(*pumps, return_exceptions=True)
        self._links.discard(link)

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        """Frames from one side to the other. When this side ends, the other gets what is under way, then the end."""
        try:
            while True:
                size = await reader.readexactly(4)
                frame = await reader.readexactly(struct.unpack(">i", size)[0])
                await self._spoil(way, self._api_key(way, frame, link))
                writer.write(size + frame)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            with contextlib.suppress(Exception):
                writer.close()

    def _api_key(self, way: Way, frame: bytes, link: Link) -> int:
        if way == "to_client":
            return link.asked.popleft() if link.asked else -1
        api_key: int = struct.unpack(">h", frame[:2])[0]
        link.asked.append(api_key)
        return api_key

    async def _spoil(self, way: Way, api_key: int) -> None:
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        for hold in self._holds:
            if (hold.api_key, hold.way) == (api_key, way) and hold.times:
                hold.times -= 1
                self.held += 1
                await asyncio.sleep(hold.seconds)
                break
        await self._open[way].wait()
