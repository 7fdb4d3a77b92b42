"""What observability costs at full load: everything on beside everything off, interleaved, in one run on one topic.

`python -m tests.benchmarks.observability [--json] [--record] [--records N] [--rounds N]`

on: metrics scraped every second in the OpenMetrics form, JSON logs. traced: the same, and a hundredth of the batches traced
to a collector. off: `tests.benchmarks.blind`, the same scorer without metrics, logs and traces. Rates come from the committed
offsets, which both have. Beside them the scorer's own processor time a record, which a busy machine disturbs less.
"""

import asyncio
import os
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psutil
from aiokafka import TopicPartition
from rich.console import Console
from rich.table import Table

from schemas.topics import TRANSACTIONS
from services.kafka.client import reader
from tests.benchmarks import command
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.benchmarks.throughput import fill
from tests.observability.live import Collector
from tests.services.harness import Scorer, Stream

COST_SHARE_MAX = 0.03
LIMIT_S = 600.0
LIBRARIES = ("aiokafka", "msgspec", "numba", "onnxruntime", "prometheus-client", "uvloop")
SCRAPE = {"Accept": "application/openmetrics-text; version=1.0.0"}


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender did, from the first commit that is seen to the last."""

    records_per_s: float
    cpu_us_per_record: float


async def watch(stream: Stream, group: str, records: int, process: Scorer) -> Run:
    """Wait until everything is committed."""
    consumer = reader(stream.kafka, group=group)
    await consumer.start()
    try:
        sources = [TopicPartition(stream.prefix + TRANSACTIONS.name, p) for p in range(stream.partitions)]
        times = psutil.Process(process.pid).cpu_times
        first: tuple[float, int, float] | None = None
        limit_s = time.perf_counter() + LIMIT_S
        while True:
            done, now_s = sum([await consumer.committed(source) or 0 for source in sources]), time.perf_counter()
            cpu_s = sum(times()[:2])
            if first is None and done:
                first = now_s, done, cpu_s
            if first is not None and done >= records:
                worked = done - first[1]
                return Run(worked / (now_s - first[0]), (cpu_s - first[2]) / worked * 1e6)
            if process.returncode is not None or now_s > limit_s:
                raise SystemExit(f"the scorer did not get through: {process.log()[-2000:]}")
            await asyncio.sleep(0.05)
    finally:
        await consumer.stop()


class Scraper(threading.Thread):
    """Asks for /metrics every second, as Prometheus would."""

    def __init__(self, process: Scorer) -> None:
        super().__init__(daemon=True)
        self._process, self._ending = process, threading.Event()
        self.scrapes = 0

    def run(self) -> None:
        """Until ended."""
        address = self._process.address()
        while not self._ending.wait(1.0):
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(f"http://{address}/metrics", headers=SCRAPE), timeout=5
                ) as answer:
                    self.scrapes += bool(answer.read())
            except (urllib.error.URLError, OSError):
                return  # the scorer has ended

    def end(self) -> None:
        """Ask no more."""
        self._ending.set()
        self.join()


def contend(stream: Stream, records: int, *, seen: bool, **environment: str) -> Run:
    """One scorer in a group of its own."""
    group = f"bench-{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as snapshots:
        settings = {"ASSAY_GROUP": group, "ASSAY_SNAPSHOT_URL": snapshots, "ASSAY_SNAPSHOT_INTERVAL_S": "30"}
        level = {} if seen else {"ASSAY_LOG_LEVEL": "ERROR"}
        module = "services.scorer" if seen else "tests.benchmarks.blind"
        process = stream.service(module, ASSAY_CARDS_MAX="250000", **settings, **level, **environment)
        scraper = Scraper(process) if seen else None
        if scraper:
            scraper.start()
        found = asyncio.run(watch(stream, group, records, process))
        if scraper:
            scraper.end()
        if process.terminate() != 0:
            raise SystemExit(f"the scorer failed: {process.log()[-2000:]}")
    return found


def measure(records: int, rounds: int) -> dict[str, Any]:
    """Medians of all contenders, and what seeing costs."""
    with broker() as bootstrap, place(bootstrap) as stream, closing(Collector()) as collector:
        asyncio.run(fill(stream, records))
        contenders: dict[str, Callable[[], Run]] = {
            "off": lambda: contend(stream, records, seen=False),
            "on": lambda: contend(stream, records, seen=True),
            "traced": lambda: contend(
                stream, records, seen=True, ASSAY_TRACE_SHARE="0.01", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint
            ),
        }
        runs = interleaved(contenders, rounds)
    return {**summary(runs, records), "spans": len(collector.spans)}


def summary(runs: dict[str, list[Run]], records: int) -> dict[str, Any]:
    """Medians, and the costs that they mean."""
    rate = {name: statistics.median(run.records_per_s for run in done) for name, done in runs.items()}
    cpu_us = {name: statistics.median(run.cpu_us_per_record for run in done) for name, done in runs.items()}
    return {
        "records": records,
        "rounds": len(runs["off"]),
        "cores": os.cpu_count(),
        **{f"{name}_records_per_s": round(value) for name, value in rate.items()},
        **{f"{name}_cpu_us_per_record": round(value, 2) for name, value in cpu_us.items()},
        "cost_share": round(1 - rate["on"] / rate["off"], 4),
        "cost_share_traced": round(1 - rate["traced"] / rate["off"], 4),
        "cpu_cost_share": round(cpu_us["on"] / cpu_us["off"] - 1, 4),
        "cpu_cost_share_traced": round(cpu_us["traced"] / cpu_us["off"] - 1, 4),
        "rates": {name: [round(run.records_per_s) for run in done] for name, done in runs.items()},
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """As a table."""
    table = Table(title=f"{result['records']:,} records, {result['rounds']} rounds, {result['cores']} cores")
    for column in ("scorer", "records/s (median)", "slowest", "fastest", "processor, us a record"):
        table.add_column(column, justify="left" if column == "scorer" else "right")
    for name, values in result["rates"].items():
        table.add_row(
            name,
            f"{result[f'{name}_records_per_s']:,}",
            f"{min(values):,}",
            f"{max(values):,}",
            f"{result[f'{name}_cpu_us_per_record']:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"cost of metrics and logs: {result['cost_share']:.1%} (target {COST_SHARE_MAX:.0%}); "
        f"with traces: {result['cost_share_traced']:.1%}; in processor time {result['cpu_cost_share']:.1%} and "
        f"{result['cpu_cost_share_traced']:.1%}"
    )


if __name__ == "__main__":
    command.run("observability", __doc__, measure, show, records=400_000, rounds=3)
