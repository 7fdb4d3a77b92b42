"""From the start of a scorer to its first committed score, with many cards known: with its snapshot, and without.

`python -m tests.benchmarks.restart [--json] [--record] [--records N] [--rounds N]`

Every card pays once, so there are as many cards as records; then the scorer is ended, fresh payments come, and it is started
again. At the end the log is replayed: how the state came back must not have changed a bit.
"""

import asyncio
import shutil
import statistics
import time
from typing import Any

import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from models.bundle.load import load_bundle
from models.scoring.session import ModelSession
from schemas.topics import TRANSACTIONS
from services.kafka.client import reader
from services.replay.log import KafkaLog
from services.replay.replay import Period, Replayed, replay
from services.scorer.processor import Limits
from services.settings.kafka import TopicSettings
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from tests.benchmarks import command
from tests.benchmarks.common import Payment
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import surroundings
from tests.services.harness import ROOT, Scorer, Stream

CARDS = 1_000_000
FRESH = 2_000
PARTITIONS = 4
BASE_MS = 1_767_225_600_000
WAIT_S_MAX = 600.0
LIBRARIES = ("aiokafka", "numba", "numpy", "onnxruntime")

notes = Console(stderr=True)


async def fill(stream: Stream, first: int, records: int, cards: int) -> None:
    """Payments in order of time; the i-th is card i's, modulo the cards."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stream.bootstrap, compression_type="lz4", linger_ms=20, max_batch_size=1 << 20
    )
    await producer.start()
    topic, encode = stream.prefix + TRANSACTIONS.name, msgspec.json.Encoder().encode
    for i in range(first, first + records):
        card = f"card-{i % cards:08d}"
        value = encode(Payment(f"t-{i:09d}", BASE_MS + 100 * i, card, f"terminal-{i % 5000:05d}", 20.0 + i % 90))
        await producer.send(topic, value, key=card.encode())
    await producer.stop()


def started(stream: Stream, cards: int) -> Scorer:
    """One scorer that remembers every card; snapshots at its end only."""
    return stream.scorer(ASSAY_GROUP=stream.group, ASSAY_CARDS_MAX=str(cards), ASSAY_SNAPSHOT_INTERVAL_S="3600")


def scored(scorer: Scorer, records: int) -> None:
    """Wait until it has committed so many scores."""
    deadline_s = time.perf_counter() + WAIT_S_MAX
    while scorer.metric("assay_scores_total") < records:
        if scorer.returncode is not None or time.perf_counter() > deadline_s:
            raise SystemExit(f"the scorer failed: {scorer.log()[-2000:]}")
        time.sleep(0.02)


def restart_s(stream: Stream, cards: int) -> tuple[float, float]:
    """Seconds from the process's start to its first committed score, and its memory then, MB; it scores and ends."""
    begun_s = time.perf_counter()
    scorer = started(stream, cards)
    scored(scorer, 1)
    taken_s = time.perf_counter() - begun_s
    scored(scorer, FRESH)
    memory_mb = psutil.Process(scorer._process.pid).memory_info().rss / 1e6
    if scorer.terminate() != 0:
        raise SystemExit(f"the scorer failed: {scorer.log()[-2000:]}")
    return taken_s, memory_mb


async def replayed(stream: Stream, cards: int) -> Replayed:
    """Everything scored again, offline."""
    consumer = reader(stream.kafka)
    await consumer.start()
    try:
        log = KafkaLog(stream.kafka, TopicSettings(topic_prefix=stream.prefix), stream.group, consumer)
        session = ModelSession(load_bundle(ROOT / "deploy/bundles/fraud"), "cpu")
        limits = Limits.of(RuntimeSettings(), ScorerSettings(cards_max=cards))
        return await replay(log, session, limits, Period())
    finally:
        await consumer.stop()


def measure(records: int, rounds: int) -> dict[str, Any]:
    """`records` cards; `rounds` restarts of each kind."""
    with_s: list[float] = []
    without_s: list[float] = []
    memory_mb = 0.0
    with broker() as bootstrap, place(bootstrap, PARTITIONS) as stream:
        asyncio.run(stream.create())
        notes.print(f"{records:,} payments of as many cards")
        asyncio.run(fill(stream, 0, records, records))
        first = started(stream, records)
        scored(first, records)
        if first.terminate() != 0:
            raise SystemExit(f"the scorer failed: {first.log()[-2000:]}")
        snapshots = stream.directory / "snapshots"
        snapshot_mb = sum(file.stat().st_size for file in snapshots.rglob("*.snapshot")) / 1e6
        sent = records
        for turn in range(rounds):
            for figures, kept in ((with_s, True), (without_s, False)):
                if not kept:
                    shutil.rmtree(snapshots)
                asyncio.run(fill(stream, sent, FRESH, records))
                sent += FRESH
                taken_s, memory_mb = restart_s(stream, records)
                figures.append(taken_s)
                notes.print(f"round {turn + 1}/{rounds}  {'with' if kept else 'without'} a snapshot {taken_s:.1f} s")
        comparison = asyncio.run(replayed(stream, records)).comparison
    return {
        "restart_s": round(statistics.median(with_s), 2),
        "restart_without_snapshot_s": round(statistics.median(without_s), 2),
        "cards": records,
        "scorer_memory_mb": round(memory_mb),
        "snapshot_mb": round(snapshot_mb),
        "compared": comparison.compared,
        "differing": comparison.differing + comparison.not_emitted + comparison.not_replayed,
        "rounds": {"with_snapshot": [round(s, 2) for s in with_s], "without": [round(s, 2) for s in without_s]},
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table(
        "restart", "minimum, s", "median", "maximum", title=f"to the first score, {result['cards']:,} cards known"
    )
    for name, values in result["rounds"].items():
        table.add_row(
            name.replace("_", " "), f"{min(values):.1f}", f"{statistics.median(values):.1f}", f"{max(values):.1f}"
        )
    console = Console()
    console.print(table)
    console.print(
        f"with a snapshot {result['restart_s']:.1f} s (target under 10)   memory {result['scorer_memory_mb']:,} MB (target "
        f"under 1,500)   snapshots {result['snapshot_mb']:,} MB   {result['compared']:,} scores replayed, "
        f"{result['differing']} differ"
    )


if __name__ == "__main__":
    command.run("restart", __doc__, measure, show, records=CARDS, rounds=3)
