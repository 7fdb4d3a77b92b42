"""How throughput, processor time and memory move with partitions, processes, cards, alerts and the size of a message.

`python -m tests.benchmarks.scale [--json] [--record] [--quick] [--records N] [--rounds N]`

Each point: scorers start and are ready, are stopped (SIGSTOP), the topic is filled, they go on (SIGCONT), and time runs until
everything is committed. Points that are held out vary several things at once; the capacity model is not fitted to them and is
judged by them. What a bundle alerts on is set by its threshold, taken from the scores of the same payments.
"""

import asyncio
import functools
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from aiokafka.admin import AIOKafkaAdminClient
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.bundle.load import load_bundle
from models.bundle.pack import pack_bundle
from models.features.columns import TransactionColumns
from models.features.fold import fold
from models.features.state import FeatureState
from models.scoring.session import ModelSession
from schemas.topics import TRANSACTIONS
from services.kafka.client import admin
from tests.benchmarks import command
from tests.benchmarks.generator import Load, cards_and_amounts, event_time_ms
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import surroundings
from tests.services.harness import ROOT, Scorer, Stream

BUNDLE = ROOT / "deploy" / "bundles" / "fraud"
DAY_MS = 86_400_000
BASE_MS = 1_767_225_600_000
SPAN_MS, TIMED_MS = 30 * DAY_MS, 10 * DAY_MS
"""Over how long the payments that make cards known happened, and those that are timed."""

SAMPLE = 50_000
BYTES_MAX = 150_000_000
"""Of one point's messages: the broker's disk is everybody's."""

WAIT_S_MAX = 300.0
LIBRARIES = ("aiokafka", "msgspec", "numba", "numpy", "onnxruntime", "uvloop")

notes = Console(stderr=True, soft_wrap=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Point:
    """One load."""

    partitions: int = 4
    processes: int = 1
    cards: int = 20_000
    alert_share: float = 0.005
    bytes: int = 250
    held_out: bool = False


BASE = Point()
FITTED = [
    BASE,
    *(replace(BASE, partitions=n) for n in (1, 2, 8, 16, 32)),
    *(replace(BASE, partitions=8, processes=n) for n in (2, 3, 4)),
    *(replace(BASE, cards=n) for n in (1_000, 100_000, 1_000_000)),
    *(replace(BASE, alert_share=share) for share in (0.001, 0.02, 0.1)),
    *(replace(BASE, bytes=n) for n in (1_000, 3_000, 8_000)),
]
HELD_OUT = [
    Point(8, 1, 100_000, 0.02, 1_000, held_out=True),
    Point(2, 1, 1_000, 0.05, 250, held_out=True),
    Point(16, 2, 300_000, 0.001, 2_000, held_out=True),
    Point(4, 1, 50_000, 0.01, 5_000, held_out=True),
]
QUICK = [BASE, replace(BASE, partitions=8, processes=2), replace(BASE, alert_share=0.1), HELD_OUT[0]]


def known(topic: tuple[str, str], cards: int) -> Load:
    """One payment of every card, a while ago: in a system that runs, the cards are known."""
    base_ms = BASE_MS - SPAN_MS - TIMED_MS
    return Load(*topic, 0, cards, 0, cards=0, base_ms=base_ms, step_ms=SPAN_MS // cards)


def timed(topic: tuple[str, str], records: int, cards: int, size: int) -> Load:
    """The payments that are timed, of these cards."""
    return Load(*topic, 0, records, 0, cards, size, cards, BASE_MS - TIMED_MS, TIMED_MS // records)


@functools.cache
def probabilities() -> NDArray[np.float32]:
    """Of payments like those that are sent."""
    bundle = load_bundle(BUNDLE)
    parts = known(("", ""), BASE.cards), timed(("", ""), SAMPLE, BASE.cards, BASE.bytes)
    rows = [pair for part in parts for pair in islice(cards_and_amounts(part), part.count)]
    columns = TransactionColumns(
        {
            "card_id": [f"card-{card:08d}" for card, _ in rows],
            "terminal_id": [f"terminal-{i % 5000:05d}" for part in parts for i in range(part.count)],
        },
        np.array([event_time_ms(part, i, BASE_MS) for part in parts for i in range(part.count)], np.int64),
        np.array([amount for _, amount in rows]),
    )
    features, _ = fold(FeatureState(bundle.manifest.feature_spec, BASE.cards), columns)
    found: NDArray[np.float32] = ModelSession(bundle, "cpu").run(features[BASE.cards :]).probability
    return found


def bundle_for(alert_share: float, directory: Path) -> Path:
    """The committed bundle, which alerts on about this share."""
    bundle = load_bundle(BUNDLE)
    threshold = float(np.quantile(probabilities(), 1 - alert_share))
    thresholds = bundle.manifest.thresholds.model_copy(
        update={"probability": threshold, "anomaly_percentile": 100.0, "objective": "a share, for a benchmark"}
    )
    path = directory / f"alerts-{alert_share}"
    manifest = bundle.manifest.model_copy(update={"thresholds": thresholds})
    pack_bundle(path, manifest, bundle.model, bundle.reference, golden=bundle.golden)
    return path


async def committed(client: AIOKafkaAdminClient, group: str) -> int:
    """Records of the input that are done."""
    offsets = await client.list_consumer_group_offsets(group)
    return sum(max(0, place.offset) for place in offsets.values())


async def until(stream: Stream, records: int, scorers: list[Scorer]) -> float:
    """When so many are committed."""
    client, limit_s = admin(stream.kafka), time.perf_counter() + WAIT_S_MAX
    await client.start()
    try:
        while await committed(client, stream.group) < records:
            dead = [scorer for scorer in scorers if scorer.returncode is not None]
            if dead or time.perf_counter() > limit_s:
                raise SystemExit(f"the scorers did not get through: {(dead or scorers)[0].log()[-2000:]}")
            await asyncio.sleep(0.02)
        return time.perf_counter()
    finally:
        await client.close()


def fill(load: Load) -> None:
    """Write it all, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.generator", *load.arguments()]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def started(stream: Stream, point: Point) -> list[Scorer]:
    """As many scorers as the point wants, ready."""
    bundle = bundle_for(point.alert_share, stream.directory)
    scorers = [
        stream.scorer(
            ASSAY_BUNDLE=str(bundle),
            ASSAY_ALLOW_UNSIGNED_BUNDLES="true",
            ASSAY_CARDS_MAX=str(max(1_000, 2 * point.cards // point.partitions)),
            ASSAY_SNAPSHOT_INTERVAL_S="600",
            ASSAY_SESSION_TIMEOUT_S="45",  # longer than the topic takes to fill, while the scorers stand still
        )
        for _ in range(point.processes)
    ]
    for scorer in scorers:
        scorer.wait_ready()
    return scorers


def work(bootstrap: str, point: Point, records: int) -> dict[str, float]:
    """One point, on topics of its own."""
    with place(bootstrap, point.partitions) as stream:
        asyncio.run(stream.create())
        scorers = started(stream, point)
        fill(known((bootstrap, stream.prefix + TRANSACTIONS.name), point.cards))
        asyncio.run(until(stream, point.cards, scorers))
        return _timed(stream, point, min(records, BYTES_MAX // point.bytes), scorers)


def _timed(stream: Stream, point: Point, records: int, scorers: list[Scorer]) -> dict[str, float]:
    alerts = sum(scorer.metric("assay_alerts_total") for scorer in scorers)
    took_s, cpu_s = worked_off(stream, scorers, records, point.cards, point.bytes)
    rss_mb = [psutil.Process(scorer.pid).memory_info().rss / 1e6 for scorer in scorers]
    alerts = sum(scorer.metric("assay_alerts_total") for scorer in scorers) - alerts
    return {
        "records_per_s": records / took_s,
        "cpu_us_per_record": cpu_s / records * 1e6,
        "rss_mb_max": max(rss_mb),
        "rss_mb_total": sum(rss_mb),
        "alert_share": alerts / records,
    }


def worked_off(stream: Stream, scorers: list[Scorer], records: int, cards: int, size: int) -> tuple[float, float]:
    """How long scorers that stood still take for the payments that are timed, and their processors, s."""
    for scorer in scorers:
        scorer.signal(signal.SIGSTOP)
    fill(timed((stream.bootstrap, stream.prefix + TRANSACTIONS.name), records, cards, size))
    processes = [psutil.Process(scorer.pid) for scorer in scorers]
    before_s = sum(sum(process.cpu_times()[:2]) for process in processes)
    begun_s = time.perf_counter()
    for scorer in scorers:
        scorer.signal(signal.SIGCONT)
    ended_s = asyncio.run(until(stream, cards + records, scorers))
    return ended_s - begun_s, sum(sum(process.cpu_times()[:2]) for process in processes) - before_s


def measure(records: int, rounds: int, quick: bool = False) -> dict[str, Any]:
    """Every point once a round."""
    points = QUICK if quick else [*FITTED, *HELD_OUT]
    found: list[list[dict[str, float]]] = [[] for _ in points]
    with broker() as bootstrap:
        for turn in range(rounds):
            for number, point in enumerate(points):
                found[number].append(work(bootstrap, point, records))
                notes.print(f"round {turn + 1}/{rounds}  {point}  {found[number][-1]['records_per_s']:,.0f}/s")
    rows = []
    for point, runs in zip(points, found, strict=True):
        medians = {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0]}
        spread = [round(run["records_per_s"]) for run in runs]
        rows.append({**asdict(point), **medians, "rounds_records_per_s": spread})
    kept_as = "scale-quick" if quick else "scale"  # a quick run is too few points for the page
    return {"points": rows, "records": records, "rounds": rounds, "record_as": kept_as, **surroundings(LIBRARIES)}


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table(title="One load in each line; medians of the rounds")
    names = (
        "partitions",
        "processes",
        "cards",
        "alert_share",
        "bytes",
        "records_per_s",
        "cpu_us_per_record",
        "rss_mb_max",
    )
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in result["points"]:
        table.add_row(*(cell(row[name]) for name in names))
    Console().print(table)


def cell(value: float) -> str:
    """A figure in a table for people."""
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    command.run("scale", __doc__, measure, show, records=200_000, rounds=3, quick=False)
