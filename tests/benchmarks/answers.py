"""Latency of the answer to one event over HTTP, from when it was due: an open loop, its client in a process of its own.

`python -m tests.benchmarks.answers [--json] [--record] [--rate N ...] [--seconds S] [--profile throughput|latency]
[--environment NAME=VALUE,...] [--warm-up S]`

For each delivery and rate: the gateway's answers (stand-ins are counted at their deadline); in the same run, by a reader of
committed records, the stream's latency from the event's arrival at the gateway to its committed score; then, alone, a plain
FastAPI and ONNX Runtime service without a log. All on the same cores, the broker included. --environment: settings of scorer
and gateway, to compare with the defaults; such a run is recorded apart. --warm-up: seconds at full rate for a broker that this
starts, since one that has just started compiles itself on the same cores for minutes.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from schemas.topics import SCORES, source_timestamp_ms
from services.kafka.client import reader
from services.observability.gateway_metrics import STAGES
from services.settings.processing import RuntimeSettings
from tests.benchmarks import command
from tests.benchmarks.latency import BROKER_WARM_S
from tests.benchmarks.record import surroundings
from tests.benchmarks.warm import warm_broker
from tests.services.harness import ROOT, SESSION, Scorer, Stream

RATES = (200, 1_000, 2_000)
WARM_S = 3.0
COLD_RATE, COLD_S = 500, 10.0
"""Before the first rate: what scorer and gateway load at their first events."""
DEADLINE_MS = 1_000
PROFILES = get_args(RuntimeSettings.model_fields["profile"].annotation)
COLUMNS = ("p50_ms", "p99_ms", "p999_ms", "stream_p99_ms", "plain_p99_ms")
LIBRARIES = ("aiokafka", "fastapi", "msgspec", "onnxruntime", "uvicorn", "uvloop")


def asked(url: str, rate: int, seconds: float, first: int) -> dict[str, float]:
    """What a client process found."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.answers_client",
        url,
        str(rate),
        str(seconds),
        str(first),
        str(DEADLINE_MS),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Seen(threading.Thread):
    """Reads `scores` as they are committed: ms from each input record's timestamp to when its score was read."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(daemon=True)
        self._stream, self.found_ms = stream, list[float]()
        self.ready, self._stop_asked = threading.Event(), threading.Event()

    def run(self) -> None:
        """Until stopped."""
        asyncio.run(self._read())

    async def _read(self) -> None:
        consumer = reader(self._stream.kafka, [self._stream.prefix + SCORES.name], latest=True)
        await consumer.start()
        await consumer.getmany(timeout_ms=500)
        self.ready.set()
        while not self._stop_asked.is_set():
            fetched = await consumer.getmany(timeout_ms=100)
            now_ms = time.time_ns() / 1e6
            for records in fetched.values():
                self.found_ms += [now_ms - (source_timestamp_ms(record.headers) or now_ms) for record in records]
        await consumer.stop()

    def end(self) -> None:
        """Stop, and wait for it."""
        self._stop_asked.set()
        self.join()


@contextmanager
def plain_service() -> Iterator[str]:
    """What one would write instead."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.answers_plain"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def system(bootstrap: str, delivery: str, profile: str, settings: dict[str, str]) -> Iterator[tuple[Stream, Scorer]]:
    """A scorer and a gateway on topics of their own."""
    with tempfile.TemporaryDirectory() as folder:
        stream = Stream(bootstrap, f"b-{uuid.uuid4().hex[:8]}.", Path(folder), environment=SESSION | settings)
        asyncio.run(stream.create())
        try:
            scorer = stream.scorer(ASSAY_DELIVERY=delivery, ASSAY_PROFILE=profile, ASSAY_SNAPSHOT_INTERVAL_S="10")
            scorer.wait_ready()
            gateway = stream.service(
                "services.gateway",
                ASSAY_GATEWAY_PORT="0",
                ASSAY_GATEWAY_PENDING_EVENTS_MAX="10000",
                # an open loop has one for each request that waits: a second without an answer would be refused here
                ASSAY_GATEWAY_CONNECTIONS_MAX="20000",
                ASSAY_GATEWAY_CLIENT_CONNECTIONS_MAX="20000",
            )
            gateway.wait_ready()
            yield stream, gateway
        finally:
            stream.close()


def stages(gateway: Scorer) -> dict[str, tuple[float, float]]:
    """Of each stage of an answer: seconds so far, and how many."""
    names = ("assay_gateway_stage_seconds_sum", "assay_gateway_stage_seconds_count")
    return {stage: tuple(gateway.metric(name, stage=stage) or 0.0 for name in names) for stage in STAGES}  # type: ignore[misc]


def means_ms(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Of what came between."""
    return {
        stage: round((after[stage][0] - seconds) / max(1.0, after[stage][1] - count) * 1000, 2)
        for stage, (seconds, count) in before.items()
    }


def measure(
    rate: tuple[int, ...] = RATES,
    seconds: float = 20.0,
    profile: str = "latency",
    environment: str = "",
    warm_up: float = BROKER_WARM_S,
) -> dict[str, Any]:
    """A row for each delivery and rate. seconds: of each rate, and of a broker that this starts, before all (warm_up)."""
    if profile not in PROFILES:
        raise command.OptionError(f"--profile is one of {', '.join(PROFILES)}, and {profile!r} is none.")
    settings = command.settings(environment)
    rows: list[dict[str, Any]] = []
    with warm_broker(warm_up) as bootstrap:
        for delivery in ("exactly_once", "at_least_once"):
            with system(bootstrap, delivery, profile, settings) as (stream, gateway):
                url = f"http://{gateway.address()}"
                asked(url, COLD_RATE, COLD_S, 0)
                first = int(COLD_RATE * COLD_S)
                for each in rate:
                    asked(url, each, WARM_S, first)
                    first += int(each * WARM_S)
                    seen = Seen(stream)
                    seen.start()
                    seen.ready.wait()
                    before = stages(gateway)
                    found = asked(url, each, seconds, first)
                    first += int(each * seconds)
                    seen.end()
                    p99_ms = round(float(np.percentile(seen.found_ms, 99)), 2) if seen.found_ms else None
                    shares = {"stream_p99_ms": p99_ms, "stages_ms": means_ms(before, stages(gateway))}
                    rows.append({"delivery": delivery, "rate": each, **found, **shares, "profile": profile})
    with plain_service() as url:
        for each in rate:
            asked(url, each, WARM_S, 0)
            found = asked(url, each, seconds, int(each * WARM_S))
            for row in rows:
                if row["rate"] == each:
                    row["plain_p99_ms"] = found["p99_ms"]
    recorded = {"record_as": "answers-other"} if environment else {}
    return {"rows": rows, "seconds": seconds, **recorded, **surroundings(LIBRARIES)}


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table(title="From when an event was due to its answer; beside it the stream, and a service without a log")
    for column in ("delivery", "rate", *COLUMNS):
        table.add_column(column.replace("_", " "), justify="left" if column == "delivery" else "right")
    for row in result["rows"]:
        cells = ("" if row.get(name) is None else f"{row[name]:,.0f}" for name in COLUMNS)
        table.add_row(row["delivery"].replace("_", " "), f"{row['rate']:,}", *cells)
    Console().print(table)


def good(result: dict[str, Any]) -> bool:
    """Whether each request was answered, and answered well."""
    return not any(row["problems"] for row in result["rows"])


if __name__ == "__main__":
    options = {"rate": RATES, "seconds": 20.0, "profile": "latency", "environment": "", "warm_up": BROKER_WARM_S}
    command.run("answers", __doc__, measure, show, good, lambda result: result["rows"], **options)
