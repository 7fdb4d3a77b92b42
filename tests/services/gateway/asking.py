"""Asks a real gateway process."""

import asyncio
import json
import re
import time
from functools import cached_property
from typing import Any

import httpx

from tests.services.harness import WAIT_S_MAX, Scorer, Stream

JSON = {"Content-Type": "application/json"}


class Door:
    """A gateway process, and who asks it."""

    scorer: Scorer

    def __init__(self, stream: Stream, **environment: str) -> None:
        self.stream = stream
        self.process = stream.service("services.gateway", **{"ASSAY_GATEWAY_PORT": "0", **environment})

    @cached_property
    def address(self) -> str:
        """Where it serves: host:port."""
        return self.process.address()

    @property
    def url(self) -> str:
        """The same, as a URL."""
        return f"http://{self.address}"

    @property
    def grpc(self) -> str:
        """Where it serves gRPC."""
        found = re.search(r'"grpc": "([^"]+)"', self.process.log())
        assert found, self.process.log()[-2000:]
        return found[1]

    async def ready(self) -> None:
        """Wait until it says so."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not self.process.ready():
            assert self.process.returncode is None, self.process.log()[-2000:]
            assert time.monotonic() < deadline, self.process.log()[-2000:]
            await asyncio.sleep(0.05)

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        """One request. body: bytes go as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(base_url=self.url, timeout=WAIT_S_MAX) as client:
            return await client.post("/v1/events", content=content, headers={**JSON, **headers})

    async def get(self, path: str) -> httpx.Response:
        """One request."""
        async with httpx.AsyncClient(base_url=self.url, timeout=WAIT_S_MAX) as client:
            return await client.get(path)
