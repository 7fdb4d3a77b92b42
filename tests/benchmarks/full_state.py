"""A scorer that knows as many cards as it keeps, beside one with few: `assay bench throughput --cards 250000`, a partition.

Each contender has topics of its own. Every card pays once; then payments of those cards are drained as fast as it goes, and
offered at a steady rate. Snapshots are saved every few seconds all the while: what copying and saving a large state costs is
counted.
"""

import asyncio
import statistics
from functools import partial
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from schemas.topics import SCORES, TRANSACTIONS
from tests.benchmarks import scale
from tests.benchmarks.generator import Load
from tests.benchmarks.place import place
from tests.benchmarks.record import interleaved
from tests.benchmarks.watch import PERCENTILES, Watch, offer, starting_ns
from tests.services.harness import Scorer, Stream

FEW = 5_000
"""Cards a partition of the small state: 20,000 in all, as in the other figures."""

SNAPSHOT_INTERVAL_S = 5
RATE, SECONDS, WARM_S, SETTLE_S_MAX = 10_000, 20.0, 2.0, 10.0
BYTES = 250

notes = Console(stderr=True, soft_wrap=True, highlight=False)


def work(bootstrap: str, cards: int, records: int) -> dict[str, float]:
    """One contender once. cards: known in each partition; with room for no more."""
    with place(bootstrap) as stream:
        asyncio.run(stream.create())
        known, topic = cards * stream.partitions, (bootstrap, stream.prefix + TRANSACTIONS.name)
        scorer = stream.scorer(
            ASSAY_CARDS_MAX=str(cards + cards // 20 + 200),  # the hash does not fill partitions quite alike
            ASSAY_SNAPSHOT_INTERVAL_S=str(SNAPSHOT_INTERVAL_S),
            ASSAY_SESSION_TIMEOUT_S="45",  # longer than the topic takes to fill, while the scorer stands still
        )
        scorer.wait_ready()
        scale.fill(scale.known(topic, known))
        asyncio.run(scale.until(stream, known, [scorer]))
        took_s, _ = scale.worked_off(stream, [scorer], records, known, BYTES)
        return {"records_per_s": records / took_s, **_steady(stream, scorer, known, known + records), **_state(scorer)}


def _steady(stream: Stream, scorer: Scorer, known: int, first: int) -> dict[str, float]:
    """From due to committed score at a steady rate."""
    watch, count = (
        Watch(stream.bootstrap, stream.prefix + SCORES.name, stream.partitions),
        int(RATE * (WARM_S + SECONDS)),
    )
    topic, step_ms = stream.prefix + TRANSACTIONS.name, scale.TIMED_MS // count
    load = Load(stream.bootstrap, topic, RATE, count, starting_ns(), known, BYTES, first, scale.BASE_MS, step_ms)
    try:
        offered = offer(watch, load, SETTLE_S_MAX)
    finally:
        watch.close()
    return {**offered.percentiles(WARM_S), "lost": offered.seen.lost(load), "repeated": offered.seen.repeated()}


def _state(scorer: Scorer) -> dict[str, float]:
    found = {
        "cards": scorer.metric("assay_state_cards"),
        "rss_mb": psutil.Process(scorer.pid).memory_info().rss / 1e6,
        "snapshots": scorer.metric("assay_snapshots_total", outcome="saved"),
        "snapshot_mb": scorer.metric("assay_snapshot_bytes") / 1e6,
    }
    if scorer.terminate() != 0:
        raise SystemExit(f"the scorer failed: {scorer.log()[-2000:]}")
    return found


def measured(bootstrap: str, cards: int, records: int, rounds: int) -> dict[str, Any]:
    """Few cards and many in turn, `rounds` times; medians, ratios, and every round."""
    contenders = {
        "few": partial(work, bootstrap, min(FEW, cards), records),
        "full": partial(work, bootstrap, cards, records),
    }
    found = interleaved(contenders, rounds)
    rows = {
        name: {figure: round(statistics.median(run[figure] for run in runs), 2) for figure in runs[0]}
        for name, runs in found.items()
    }
    return {
        **{f"{name}_{figure}": value for name, row in rows.items() for figure, value in row.items()},
        "full_to_few": round(rows["full"]["records_per_s"] / rows["few"]["records_per_s"], 3),
        "cards_per_partition": cards,
        "rate": RATE,
        "snapshot_interval_s": SNAPSHOT_INTERVAL_S,
        "rounds": {
            name: {figure: [round(run[figure], 2) for run in runs] for figure in ("records_per_s", *PERCENTILES)}
            for name, runs in found.items()
        },
        "lost": sum(run["lost"] for runs in found.values() for run in runs),
        "repeated": sum(run["repeated"] for runs in found.values() for run in runs),
        "records": records,
        "record_as": "full-state",
    }


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table(
        title=f"Few cards known, and {result['cards_per_partition']:,} in each partition; medians of the rounds"
    )
    columns = ("cards", "records_per_s", *PERCENTILES, "rss_mb", "snapshot_mb", "snapshots")
    for column in ("state", *columns):
        table.add_column(column.replace("_", " "), justify="left" if column == "state" else "right")
    for name in ("few", "full"):
        table.add_row(name, *(scale.cell(result[f"{name}_{column}"]) for column in columns))
    Console().print(table)
    notes.print(
        f"full to few {result['full_to_few']:.2f}; at {result['rate']:,}/s {result['lost']} lost, {result['repeated']} repeated"
    )
