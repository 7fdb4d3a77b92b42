"""Latency from the moment a payment was due to its committed score, beside the baseline loop's: an open loop.

`python -m tests.benchmarks.latency [--json] [--record] [--rate N ...] [--seconds S] [--rounds N] [--overload-seconds S]
[--environment NAME=VALUE,...] [--slowest N]`

A generator in a process of its own sends payments when they are due, whatever happened to earlier ones. A read_committed
reader takes the time from due to committed. In each round every contender is started again and takes all the rates in turn:
the scorer exactly once, the scorer at least once, the baseline loop exactly once and, with a JDK, Kafka Streams exactly once
with its default commit interval (100 ms); the scorers save a snapshot every 10 s. Then the scorer, exactly once, is offered
twice what it can do. --environment: settings of the scorers, to compare with the defaults; such a run is recorded apart.

With --slowest: the scorer alone, exactly once, at the highest rate, once; and where its slowest N payments were (`slowest.py`).
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from schemas.topics import SCORES, TRANSACTIONS, Topic
from services.kafka.topics_admin import create_topics
from tests.benchmarks import command, peer_java, peer_streams
from tests.benchmarks import slowest as slow
from tests.benchmarks.generator import CARDS, Load
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.benchmarks.watch import PERCENTILES, Offered, Watch, offer, starting_ns
from tests.services.harness import ROOT, Stream

RATES = (2_000, 10_000, 20_000)
WARM_S = 2.0
"""At the beginning of each rate: not counted."""

BROKER_WARM_S = 240.0
"""Of work before anything is measured: a broker that has just started compiles itself on the same cores for minutes."""

SETTLE_S_MAX = 5.0
OVERLOAD = 2.0
BURST_RECORDS = 150_000
LIMIT_OUT, LIMIT_BATCH = "bench-limit", "2000"
LIBRARIES = ("aiokafka", "confluent-kafka", "msgspec", "numba", "numpy", "onnxruntime", "uvloop")
CONTENDERS = {
    "": "Assay, exactly once",
    "at_least_once_": "Assay, at least once",
    "limit_": "baseline loop, exactly once",
    "streams_": "Kafka Streams, exactly once",
}
"""By the prefix of the keys."""

STEP_MS = 43_200_000 // CARDS
"""Of event time from one payment to the next: each card pays twice a day, as cards do, at whatever rate they come."""

BASE_MS = 1_735_689_600_000

Runs = dict[int, dict[str, float]]


class Loads:
    """Loads one after the other in event time, so that no payment is late, or a duplicate of another load's."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._sent = stream, 0

    def next(self, rate: int, count: int) -> Load:
        """The next one, that starts about now."""
        first, topic = self._sent, self._stream.prefix + TRANSACTIONS.name
        self._sent += count
        base_ms = BASE_MS + first * STEP_MS
        return Load(
            self._stream.bootstrap, topic, rate, count, starting_ns(), first=first, base_ms=base_ms, step_ms=STEP_MS
        )


def figures(offered: Offered) -> dict[str, float]:
    """Of one rate."""
    lost = offered.seen.lost(offered.load)
    return {**offered.percentiles(WARM_S), "lost": lost, "late_ms_p99": round(offered.sent["late_ms_p99"], 2)}


def rated(stream: Stream, loads: Loads, out: str, rates: tuple[int, ...], seconds: float, pid: int) -> Runs:
    """All rates in turn at the contender that runs as process `pid`; and the cores that it kept busy."""
    process, load_s, runs = psutil.Process(pid), WARM_S + seconds, Runs()
    watch = Watch(stream.bootstrap, stream.prefix + out, stream.partitions)
    try:
        for rate in rates:
            before_s = sum(process.cpu_times()[:2])
            offered = offer(watch, loads.next(rate, int(rate * load_s)), SETTLE_S_MAX)
            cores = (sum(process.cpu_times()[:2]) - before_s) / load_s
            runs[rate] = {**figures(offered), "cores": round(cores, 2)}
        return runs
    finally:
        watch.close()


def assay(stream: Stream, delivery: str, work: Callable[[int], Any]) -> Any:
    """Do `work`, which takes the process id, while a scorer runs."""
    with tempfile.TemporaryDirectory() as snapshots:
        scorer = stream.scorer(
            ASSAY_GROUP=f"bench-{uuid.uuid4().hex}",
            ASSAY_START_FROM="latest",
            ASSAY_DELIVERY=delivery,
            ASSAY_SNAPSHOT_URL=snapshots,
            ASSAY_SNAPSHOT_INTERVAL_S="10",
            ASSAY_CARDS_MAX="250000",
        )
        scorer.wait_ready()
        found = work(scorer.pid)
        if scorer.terminate() != 0:
            raise SystemExit(f"the scorer failed: {scorer.log()[-2000:]}")
    return found


def warm_up_s() -> float:
    """Of the broker at hand: one that BENCH_BOOTSTRAP names has worked before, and only the topics are new to it."""
    return min(BROKER_WARM_S, 5.0) if os.environ.get("BENCH_BOOTSTRAP") else BROKER_WARM_S


@contextmanager
def limit(stream: Stream) -> Iterator[int]:
    """The baseline loop's process id while it runs, from the topic's end on."""
    source, out = (stream.prefix + name for name in (TRANSACTIONS.name, LIMIT_OUT))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.limit", source, out, str(10**12), LIMIT_BATCH],
        cwd=ROOT,
        env={**os.environ, "BENCH_BOOTSTRAP": stream.bootstrap, "BENCH_FROM": "latest"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if not process.stdout or process.stdout.readline().strip() != "ready":
            raise SystemExit("the baseline loop failed; its output is above")
        time.sleep(1.0)  # its producers connect while the first seconds, which do not count, come
        yield process.pid
    finally:
        process.kill()
        process.wait()


def of_limit(stream: Stream, loads: Loads, rates: tuple[int, ...], seconds: float) -> Runs:
    """All rates in turn at the baseline loop."""
    with limit(stream) as pid:
        return rated(stream, loads, LIMIT_OUT, rates, seconds, pid)


def of_streams(stream: Stream, loads: Loads, rates: tuple[int, ...], seconds: float) -> Runs:
    """All rates in turn at Kafka Streams."""
    with peer_streams.running(stream.bootstrap, stream.prefix + TRANSACTIONS.name, stream.prefix + LIMIT_OUT) as pid:
        return rated(stream, loads, LIMIT_OUT, rates, seconds, pid)


def overload(stream: Stream, loads: Loads, seconds: float) -> dict[str, float]:
    """Twice the capacity for some seconds: a burst first, whose rest is drained undisturbed, says what the capacity is."""
    watch = Watch(stream.bootstrap, stream.prefix + SCORES.name, stream.partitions)
    try:
        burst = offer(watch, loads.next(0, BURST_RECORDS), SETTLE_S_MAX)
        rest = len(burst.seen.numbers) - burst.seen_when_sent
        capacity = rest / max(burst.drained_s, 1e-3)
        rate = int(OVERLOAD * capacity)
        load = loads.next(rate, int(rate * seconds))
        offered = offer(watch, load, SETTLE_S_MAX)
    finally:
        watch.close()
    return {
        "capacity_per_s": round(capacity),
        "offered_per_s": rate,
        "sent_per_s": round(offered.sent["sent_per_s"]),
        "lag_records": load.count - offered.seen_when_sent,
        **offered.percentiles(0.0),
        "drained_s": round(offered.drained_s, 2),
        "lost": offered.seen.lost(load),
        "repeated": offered.seen.repeated(),
    }


async def prepare(stream: Stream) -> None:
    """Every topic, and the baseline loop's."""
    await stream.create()
    await create_topics(stream.kafka, stream.topics, [Topic(LIMIT_OUT, SCORES.schema, "card_id", "benchmark", None)])


def measure(
    rate: tuple[int, ...] = RATES,
    seconds: float = 10.0,
    rounds: int = 3,
    overload_seconds: float = 5.0,
    environment: str = "",
    slowest: int = 0,
) -> dict[str, Any]:
    """All contenders at all rates, in turn, `rounds` times. slowest: instead where so many payments of one run were."""
    settings = command.settings(environment)
    if slowest:
        if settings.get("ASSAY_TRANSACTIONS") == "process":
            raise command.OptionError("--slowest traces the transactions of a partition: leave ASSAY_TRANSACTIONS out.")
        kept_as = "latency-slowest-other" if environment else "latency-slowest"
        return {**trace(max(rate), seconds, settings, slowest), "record_as": kept_as}
    with broker() as bootstrap, place(bootstrap) as stream:
        stream.environment |= settings
        asyncio.run(prepare(stream))
        loads = Loads(stream)
        of_limit(stream, loads, rate[-1:], warm_up_s())

        def exactly_once(pid: int) -> tuple[Runs, dict[str, float]]:
            return rated(stream, loads, SCORES.name, rate, seconds, pid), overload(stream, loads, overload_seconds)

        contenders: dict[str, Callable[[], Any]] = {
            "": lambda: assay(stream, "exactly_once", exactly_once),
            "at_least_once_": lambda: assay(
                stream, "at_least_once", lambda pid: rated(stream, loads, SCORES.name, rate, seconds, pid)
            ),
            "limit_": lambda: of_limit(stream, loads, rate, seconds),
        }
        if peer_java.java() is not None:
            contenders["streams_"] = lambda: of_streams(stream, loads, rate, seconds)
        found = interleaved(contenders, rounds)
    overloads = [over for _, over in found[""]]
    runs = {**found, "": [runs for runs, _ in found[""]]}
    return {**summary(rate, runs, overloads), "record_as": "latency-other" if environment else "latency"}


def trace(rate: int, seconds: float, settings: dict[str, str], slowest: int) -> dict[str, Any]:
    """One scorer at one rate, and where its slowest payments were."""
    with broker() as bootstrap, place(bootstrap) as stream:
        stream.environment |= settings
        asyncio.run(prepare(stream))
        loads = Loads(stream)
        of_limit(stream, loads, (rate,), warm_up_s())
        watch = Watch(stream.bootstrap, stream.prefix + SCORES.name, stream.partitions)
        count = int(rate * (WARM_S + seconds))
        try:
            offered, times = slow.offered_to(stream, lambda pid: offer(watch, loads.next(rate, count), SETTLE_S_MAX))
        finally:
            watch.close()
        found = slow.traced(stream, offered, times, WARM_S, slowest)
    return {"rate": rate, **figures(offered), **found, **surroundings(LIBRARIES)}


def summary(rates: tuple[int, ...], runs: dict[str, list[Runs]], overloads: list[dict[str, float]]) -> dict[str, Any]:
    """Medians by rate, the highest rate's also at the top; and every round's."""
    rows = []
    for rate in rates:
        row: dict[str, Any] = {}
        for prefix, rounds in runs.items():
            row[f"{prefix}rate"] = rate
            for name in (*PERCENTILES, "cores", "lost", "late_ms_p99"):
                row[f"{prefix}{name}"] = statistics.median(done[rate][name] for done in rounds)
        rows.append(row)
    return {
        **max(rows, key=lambda row: int(row["rate"])),
        "rates": rows,
        "overload": {name: statistics.median(over[name] for over in overloads) for name in overloads[0]},
        "overload_rounds": overloads,
        "rounds": {
            f"{prefix}{rate}": {name: [done[rate][name] for done in rounds] for name in PERCENTILES}
            for prefix, rounds in runs.items()
            for rate in rates
        },
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """The tables for people."""
    if "slowest" in result:
        slow.show(result)
        return
    table = Table(title="Due to committed score, ms: median of the rounds (lowest to highest)")
    for column in ("rate", "contender", "p50", "p99", "p99.9", "cores"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for row in result["rates"]:
        for prefix, title in CONTENDERS.items():
            if f"{prefix}rate" not in row:
                continue
            rounds = result["rounds"][f"{prefix}{row['rate']}"]
            cells = [f"{row[prefix + name]:.1f} ({min(all_):.1f} to {max(all_):.1f})" for name, all_ in rounds.items()]
            table.add_row(f"{row['rate']:,}", title, *cells, f"{row[prefix + 'cores']:.2f}")
    console = Console()
    console.print(table)
    over = result["overload"]
    console.print(
        f"overload: {over['offered_per_s']:,.0f}/s due ({over['sent_per_s']:,.0f}/s sent) to a scorer that does "
        f"{over['capacity_per_s']:,.0f}/s: lag {over['lag_records']:,.0f} records, p99 {over['p99_ms']:,.0f} ms, drained in "
        f"{over['drained_s']:.1f} s, {over['lost']:.0f} lost, {over['repeated']:.0f} repeated"
    )


def good(result: dict[str, Any]) -> bool:
    """Whether nothing of ours was lost or repeated."""
    if "slowest" in result:
        return not result["lost"]
    lost = [row[f"{prefix}lost"] for row in result["rates"] for prefix in ("", "at_least_once_")]
    return not any(lost) and not any(over["lost"] or over["repeated"] for over in result["overload_rounds"])


if __name__ == "__main__":
    options = {"rate": RATES, "seconds": 10.0, "rounds": 3, "overload_seconds": 5.0, "environment": "", "slowest": 0}
    command.run("latency", __doc__, measure, show, good, **options)
