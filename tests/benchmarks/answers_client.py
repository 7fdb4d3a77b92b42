"""The client of `answers`: requests when they are due, whatever became of earlier ones; latency from due to the last byte.

`python -m tests.benchmarks.answers_client URL RATE SECONDS FIRST DEADLINE_MS` prints one line of JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import numpy as np
import uvloop

STEP_MS = 240_000
BASE_MS = 1_577_836_800_000


def request(i: int, deadline_ms: int) -> bytes:
    """The i-th event, in time before the next."""
    event = {
        "transaction_id": f"bench-{i:09d}",
        "event_time_ms": BASE_MS + i * STEP_MS,
        "card_id": f"card-{i % 5000:05d}",
        "terminal_id": f"terminal-{i % 200:03d}",
        "amount": 20.0 + i % 50,
    }
    body = json.dumps(event).encode()
    head = (
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Assay-Deadline-Ms: {deadline_ms}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Asking:
    """A pool of kept connections."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.found_ms: list[float] = []
        self.stand_ins = self.problems = 0
        self.statuses: Counter[str] = Counter()

    async def one(self, payload: bytes, due_s: float) -> None:
        """Ask, and take the time since it was due."""
        try:
            reader, writer = self._free.pop() if self._free else await asyncio.open_connection(self._host, self._port)
            writer.write(payload)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.problems += 1
            return
        self.found_ms.append((time.perf_counter() - due_s) * 1000)
        status = head[9:12].decode()
        self.statuses[status] += 1
        self.problems += status != "200"
        self.stand_ins += b'"stand_in":true' in body
        self._free.append((reader, writer))


async def ask(url: str, rate: int, seconds: float, first: int, deadline_ms: int) -> None:
    """Send all, wait for all, print."""
    parts = urlsplit(url)
    asking = Asking(parts.hostname or "", parts.port or 80)
    payloads = [request(first + i, deadline_ms) for i in range(int(rate * seconds))]
    start_s, tasks = time.perf_counter() + 0.2, []
    for i, payload in enumerate(payloads):
        due_s = start_s + i / rate
        if (wait_s := due_s - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.create_task(asking.one(payload, due_s)))
    await asyncio.gather(*tasks)
    p50, p99, p999 = np.percentile(asking.found_ms, (50, 99, 99.9)).round(2).tolist()
    found = {"p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "stand_ins": asking.stand_ins, "problems": asking.problems}
    print(json.dumps({**found, "answered": len(asking.found_ms), "statuses": asking.statuses}))


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    rate, seconds, first, deadline_ms = map(float, numbers)
    uvloop.run(ask(url, int(rate), seconds, int(first), int(deadline_ms)))
