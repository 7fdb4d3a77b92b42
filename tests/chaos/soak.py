"""`make soak MINUTES=30`: a scorer at half its load for a long time. Memory and file descriptors must stay where they are.

Producers are replaced several times on the way, snapshots saved all along. The last line is JSON.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer

from services.broker import EmbeddedKafka
from services.verification.verdict import Verdict
from tests.services.harness import ROOT, Scorer, Stream

FLOOD_RECORDS = 100_000
"""Scored at full speed first, to know what half of it is."""

SAMPLES = 120
WARM_SHARE = 1 / 3
"""Of the run, until everything bounded has reached its bound."""

RECYCLED_MIN = 2
"""Times that each partition's producer must be replaced."""

RSS_GROWTH_SHARE_MAX = 0.05
"""Of the resident memory, from the warm-up to the end, along the fitted line."""
FDS_SPREAD_MAX = 6
"""While a producer is replaced, two of them are open."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a soak. Slopes by least squares over the samples after the warm-up."""

    seconds: float
    rate: float
    records: int
    rss_mb_mean: float
    rss_mb_growth: float
    rss_mb_per_hour: float
    fds_min: int
    fds_max: int
    producers_replaced: int
    partitions: int
    damage: int
    lag: int

    @property
    def flat(self) -> bool:
        """Whether memory and descriptors stayed where they were."""
        fds_flat = self.fds_max - self.fds_min <= FDS_SPREAD_MAX * self.partitions
        return fds_flat and self.rss_mb_growth <= RSS_GROWTH_SHARE_MAX * self.rss_mb_mean

    @property
    def good(self) -> bool:
        """Whether it was flat, nothing is damaged, and producers were replaced often enough."""
        return self.flat and not self.damage and self.producers_replaced >= RECYCLED_MIN * self.partitions


def simulate(stream: Stream, *options: str) -> "subprocess.Popen[bytes]":
    """`assay simulate` into the stream's topics."""
    environment = {
        "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
        "ASSAY_TOPIC_PREFIX": stream.prefix,
        "ASSAY_PARTITIONS": str(stream.partitions),
    }
    command = [sys.executable, "-m", "services.cli", "simulate", "--json", "--bad-share", "0.001", *options]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


async def capacity(stream: Stream) -> float:
    """Records a second of a scorer with a backlog, load and broker on the same machine."""
    flood = simulate(stream, "--rate", "1000000", "--count", str(FLOOD_RECORDS), "--seed", "1")
    await asyncio.to_thread(flood.wait)
    scorer = stream.scorer()
    await asyncio.to_thread(scorer.wait_for_log, "partition.running")
    begun_s = time.monotonic()
    await stream.caught_up([scorer])
    seconds = time.monotonic() - begun_s
    scorer.terminate()
    return FLOOD_RECORDS / seconds


async def soak(stream: Stream, seconds: float, rate: float) -> Outcome:
    """`rate` payments a second for so long."""
    window = max(1000, min(100_000, int(rate * seconds * WARM_SHARE / 2 / stream.partitions)))
    scorer = stream.scorer(
        ASSAY_PRODUCER_AGE_S_MAX=str(seconds / (2 * RECYCLED_MIN)),
        ASSAY_DUPLICATE_WINDOW_S="0",
        ASSAY_DUPLICATE_WINDOW_RECORDS_MIN=str(window),
        ASSAY_SNAPSHOT_INTERVAL_S=str(min(30.0, seconds / 20)),
    )
    await asyncio.to_thread(scorer.wait_ready)
    load = simulate(stream, "--rate", str(rate), "--duration", str(seconds), "--seed", "2")
    try:
        samples = await _sample(scorer, seconds)
        await asyncio.to_thread(load.wait)
    finally:
        load.kill()
        load.wait()
    await stream.caught_up([scorer])
    replaced = int(scorer.metric("assay_producers_started_total", cause="age"))
    assert scorer.terminate() == 0
    return _outcome(samples, seconds, rate, replaced, stream.partitions, await stream.verdict())


async def _sample(scorer: Scorer, seconds: float) -> list[tuple[float, float, int]]:
    """Seconds since the beginning, resident MB and file descriptors, SAMPLES times."""
    process, begun_s, samples = psutil.Process(scorer.pid), time.monotonic(), []
    for number in range(1, SAMPLES + 1):
        await asyncio.sleep(max(0.0, begun_s + number * seconds / SAMPLES - time.monotonic()))
        at_s = time.monotonic() - begun_s
        samples.append((at_s, process.memory_info().rss / (1 << 20), process.num_fds()))
    return samples


def _outcome(
    samples: list[tuple[float, float, int]], seconds: float, rate: float, replaced: int, partitions: int, found: Verdict
) -> Outcome:
    warm = [sample for sample in samples if sample[0] >= seconds * WARM_SHARE]
    times_s, rss_mb, fds = zip(*warm, strict=True)
    slope = statistics.linear_regression(times_s, rss_mb).slope
    damage = found.missing + found.duplicate + found.out_of_order + found.inconsistent + found.hanging + found.misjudged
    return Outcome(
        seconds=seconds,
        rate=rate,
        records=found.inputs,
        rss_mb_mean=statistics.fmean(rss_mb),
        rss_mb_growth=slope * (times_s[-1] - times_s[0]),
        rss_mb_per_hour=slope * 3600,
        fds_min=min(fds),
        fds_max=max(fds),
        producers_replaced=replaced,
        partitions=partitions,
        damage=damage,
        lag=found.lag,
    )


async def _run(minutes: float, rate: float | None) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="assay-soak-") as temporary, EmbeddedKafka() as kafka:
        stream = Stream(kafka.bootstrap, f"soak-{uuid.uuid4().hex[:8]}.", Path(temporary))
        await stream.create()
        try:
            if rate is None:
                rate = await capacity(stream) / 2
                print(f"half load is {rate:,.0f} payments a second", file=sys.stderr, flush=True)
            return await soak(stream, minutes * 60, rate)
        finally:
            stream.close()


def main(
    minutes: Annotated[float, typer.Option(min=0.2, help="How long.")] = 30.0,
    rate: Annotated[
        float | None, typer.Option(min=1.0, help="Payments a second. Default: half of what it can.")
    ] = None,
) -> None:
    """Soak a scorer. Exits with 1 if memory or descriptors grow, or anything is damaged.

    Example: python -m tests.chaos.soak --minutes 30
    """
    outcome = asyncio.run(_run(minutes, rate))
    rounded = {name: round(value, 1) for name, value in asdict(outcome).items()}
    print(json.dumps({**rounded, "flat": outcome.flat, "good": outcome.good}))
    raise typer.Exit(not outcome.good)


if __name__ == "__main__":
    typer.run(main)
