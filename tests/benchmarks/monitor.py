"""What the monitor costs at a low and at ten times the rate: sums come once a second and partition, whatever was scored.

`python -m tests.benchmarks.monitor [--json] [--record] [--rate N ...] [--seconds S] [--rounds N]`

A scorer with its defaults, so that alerts and one in a hundred other decisions are recorded, and a monitor. `sums` and
`decisions` are the records that the monitor reads; its processor time is of the whole process, idle work included.
"""

import asyncio
import tempfile
from functools import partial
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from schemas.topics import DECISIONS, SCORES, SCORING_METRICS
from tests.benchmarks import command
from tests.benchmarks.latency import SETTLE_S_MAX, Loads
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.benchmarks.watch import Watch, offer

RATES = (200, 2_000)
READ = {"sums": SCORING_METRICS.name, "decisions": DECISIONS.name}
LIBRARIES = ("aiokafka", "faust-streaming", "numpy")

Run = dict[str, float]


def watched(bootstrap: str, rate: int, seconds: float) -> Run:
    """One load, on topics of its own."""
    with place(bootstrap) as stream, tempfile.TemporaryDirectory() as snapshots:
        asyncio.run(stream.create())
        scorer = stream.scorer(ASSAY_SNAPSHOT_URL=snapshots)
        monitor = stream.service("services.monitor")
        for service in (scorer, monitor):
            service.wait_ready()
        process, watch = psutil.Process(monitor.pid), Watch(bootstrap, stream.prefix + SCORES.name, stream.partitions)
        try:
            before_s = sum(process.cpu_times()[:2])
            offered = offer(watch, Loads(stream).next(rate, int(rate * seconds)), SETTLE_S_MAX)
            cpu_s = sum(process.cpu_times()[:2]) - before_s
        finally:
            watch.close()
        if scorer.terminate() or monitor.terminate():
            raise SystemExit(f"a service failed: {scorer.log()[-1000:]} {monitor.log()[-1000:]}")
        read = {name: float(len(asyncio.run(stream.read(topic)))) for name, topic in READ.items()}
    return {"lost": float(offered.seen.lost(offered.load)), **read, "cpu_share": round(cpu_s / seconds, 4)}


def measure(rate: tuple[int, ...], seconds: float, rounds: int) -> dict[str, Any]:
    """By rate, one value a round."""
    with broker() as bootstrap:
        found = interleaved({str(one): partial(watched, bootstrap, one, seconds) for one in rate}, rounds)
    return {
        "seconds": seconds,
        "rounds": {one: {name: [run[name] for run in runs] for name in runs[0]} for one, runs in found.items()},
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """As a table."""
    table = Table(title=f"the monitor, {result['seconds']:.0f} s at each rate")
    for column in ("payments/s", "records of sums", "decisions read", "of one core"):
        table.add_column(column, justify="right")
    for rate, runs in result["rounds"].items():
        cells = (f"{max(runs['sums']):,.0f}", f"{max(runs['decisions']):,.0f}", f"{max(runs['cpu_share']):.1%}")
        table.add_row(f"{int(rate):,}", *cells)
    Console().print(table)


if __name__ == "__main__":
    command.run("monitor", __doc__, measure, show, rate=RATES, seconds=30.0, rounds=3)
