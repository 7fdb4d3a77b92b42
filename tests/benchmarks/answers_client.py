"""The client of `answers`: requests when they are due, whatever became of earlier ones; latency from due to the last byte.

`python -m tests.benchmarks.answers_client URL RATE SECONDS FIRST DEADLINE_MS` prints one line of JSON. p50_ms, p99_ms and
p999_ms are what a caller sees. Of that, `served_p99_ms` is from sending a request to when the kernel had its answer,
`client_p99_ms` this process' own: it sent late, or had the answer and no processor to look at it. late: served later than the
deadline and 50 ms.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import numpy as np
import uvloop

from tests.services.gateway.stamped import Exchange, Stamped, posted

STEP_MS = 240_000
BASE_MS = 1_577_836_800_000
GRACE_MS = 50


def request(i: int, deadline_ms: int) -> bytes:
    """The i-th event, in time before the next."""
    event = {
        "transaction_id": f"bench-{i:09d}",
        "event_time_ms": BASE_MS + i * STEP_MS,
        "card_id": f"card-{i % 5000:05d}",
        "terminal_id": f"terminal-{i % 200:03d}",
        "amount": 20.0 + i % 50,
    }
    return posted("/v1/events", json.dumps(event).encode(), deadline_ms)


class Asking:
    """A pool of kept connections."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: list[Stamped] = []
        self.found: list[tuple[float, Exchange]] = []
        """ms from when it was due to when it was read, and the exchange."""
        self.problems = 0

    async def one(self, payload: bytes, due_ns: int) -> None:
        """Ask, and take the time since it was due."""
        try:
            connection = self._kept() or await Stamped.open(self._host, self._port)
            exchange = await connection.ask(payload)
        except OSError:
            self.problems += 1
            return
        self.found.append(((exchange.read_ns - due_ns) / 1e6, exchange))
        self.problems += exchange.status != 200
        self._free.append(connection)

    def _kept(self) -> Stamped | None:
        """A connection that the other side has not closed since it was last asked."""
        while self._free:
            connection = self._free.pop()
            if connection.ended is None:
                return connection
            connection.close()
        return None

    def summary(self, deadline_ms: int) -> dict[str, object]:
        """What is printed."""
        exchanges = [exchange for _, exchange in self.found]
        whole_ms = np.array([ms for ms, _ in self.found])
        served_ms = np.array([exchange.waited_ms for exchange in exchanges])
        p50, p99, p999 = np.percentile(whole_ms, (50, 99, 99.9)).round(2).tolist()
        return {
            "p50_ms": p50,
            "p99_ms": p99,
            "p999_ms": p999,
            "served_p50_ms": round(float(np.percentile(served_ms, 50)), 2),
            "served_p99_ms": round(float(np.percentile(served_ms, 99)), 2),
            "client_p99_ms": round(float(np.percentile(whole_ms - served_ms, 99)), 2),
            "late": int((served_ms > deadline_ms + GRACE_MS).sum()),
            "stand_ins": sum(b'"stand_in":true' in exchange.body for exchange in exchanges),
            "problems": self.problems,
            "answered": len(exchanges),
            "statuses": Counter(str(exchange.status) for exchange in exchanges),
        }


async def ask(url: str, rate: int, seconds: float, first: int, deadline_ms: int) -> None:
    """Send all, wait for all, print."""
    parts = urlsplit(url)
    asking = Asking(parts.hostname or "", parts.port or 80)
    payloads = [request(first + i, deadline_ms) for i in range(int(rate * seconds))]
    start_ns, tasks = time.time_ns() + 200_000_000, []
    for i, payload in enumerate(payloads):
        due_ns = start_ns + round(i / rate * 1e9)
        if (wait_ns := due_ns - time.time_ns()) > 0:
            await asyncio.sleep(wait_ns / 1e9)
        tasks.append(asyncio.create_task(asking.one(payload, due_ns)))
    await asyncio.gather(*tasks)
    print(json.dumps(asking.summary(deadline_ms)))


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    rate, seconds, first, deadline_ms = map(float, numbers)
    uvloop.run(ask(url, int(rate), seconds, int(first), int(deadline_ms)))
