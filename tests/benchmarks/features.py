"""Cost of an event in the fold, default feature spec, beside pandas, Polars and river on the same payments; and its growth.

`python -m tests.benchmarks.features [--json] [--record] [--records N] [--rounds N]`

The peers compute count and mean of each window for each card, the costly part of the spec; the fold computes all of it.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psutil
from rich.console import Console
from rich.table import Table
from river import stats, utils

from models.features.columns import TransactionColumns
from models.features.fold import fold, warm
from models.features.spec_file import load_spec
from models.features.state import FeatureState
from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from schemas.feature_kinds.base import IdField
from tests.benchmarks import command
from tests.benchmarks.record import surroundings

SPEC = load_spec(Path(__file__).parents[2] / "deploy" / "features" / "fraud.yaml")
WINDOWS = {window.duration: window.duration_ms for window in SPEC.windows}
BATCH = 2000
RIVER_RECORDS = 10_000
CARDS = (1_000, 10_000, 100_000, 1_000_000)
LIBRARIES = ("numba", "numpy", "pandas", "polars", "river")
NS = 1e9

notes = Console(stderr=True)


def payments(records: int) -> TransactionColumns:
    """Simulated payments of 5,000 cards, in order of time."""
    days = generate(SimulationSettings(seed=7, customers=5_000, terminals=1_000, days=None))
    parts, count = [], 0
    for day in islice(days, 10_000):
        parts.append(day)
        count += len(day.card_id)
        if count >= records:
            break
    fields: tuple[IdField, ...] = ("card_id", "terminal_id")
    ids = {field: [value for day in parts for value in getattr(day, field)] for field in fields}
    whole = TransactionColumns(
        ids,
        np.concatenate([day.event_time_ms for day in parts]),
        np.concatenate([day.amount for day in parts]),
    )
    return whole[:records]


def folded(columns: TransactionColumns, state: FeatureState) -> float:
    """ns an event, in the scorer's batches."""
    batches = [columns[start : start + BATCH] for start in range(0, len(columns), BATCH)]
    started_s = time.perf_counter()
    for batch in batches:
        fold(state, batch)
    return (time.perf_counter() - started_s) / len(columns) * NS


def with_fold(columns: TransactionColumns) -> float:
    """The engine, from an empty history."""
    return folded(columns, FeatureState(SPEC, 250_000))


def with_pandas(columns: TransactionColumns) -> float:
    """One grouped rolling window after the other."""
    frame = pd.DataFrame(
        {
            "card": columns.ids["card_id"],
            "time": pd.to_datetime(columns.event_time_ms, unit="ms"),
            "amount": columns.amount,
        }
    )
    started_s = time.perf_counter()
    for milliseconds in WINDOWS.values():
        rolling = frame.groupby("card").rolling(pd.Timedelta(milliseconds=milliseconds), on="time")
        rolling["amount"].agg(["count", "mean"])
    return (time.perf_counter() - started_s) / len(columns) * NS


def with_polars(columns: TransactionColumns) -> float:
    """One grouped rolling window after the other, on every core."""
    frame = pl.DataFrame(
        {"card": columns.ids["card_id"], "time": columns.event_time_ms, "amount": columns.amount}
    ).with_columns(pl.col("time").cast(pl.Datetime("ms")))
    frame = frame.sort("card", "time", maintain_order=True)
    started_s = time.perf_counter()
    for milliseconds in WINDOWS.values():
        rolling = frame.rolling("time", period=timedelta(milliseconds=milliseconds), group_by="card")
        rolling.agg(pl.len(), pl.col("amount").mean())
    return (time.perf_counter() - started_s) / len(columns) * NS


def with_river(columns: TransactionColumns) -> float:
    """One event after the other, as a stream comes; a mean holds its count. Fewer events, since it takes long."""
    cards: dict[str, list[Any]] = {}
    part = columns[:RIVER_RECORDS]
    times = [datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None) for ms in part.event_time_ms.tolist()]
    started_s = time.perf_counter()
    for card, moment, amount in zip(part.ids["card_id"], times, part.amount.tolist(), strict=True):
        if card not in cards:
            periods = [timedelta(milliseconds=milliseconds) for milliseconds in WINDOWS.values()]
            cards[card] = [utils.TimeRolling(stats.Mean, period=period) for period in periods]
        for stat in cards[card]:
            stat.update(amount, t=moment)
            stat.get()
    return (time.perf_counter() - started_s) / len(part) * NS


def growth(records: int) -> tuple[dict[int, float], float]:
    """ns an event by the number of cards, all of them known, drawn evenly; and bytes of memory a card at the most cards."""
    generator, costs, memory = np.random.default_rng(7), {}, 0.0
    process = psutil.Process()
    for cards in CARDS:
        names = [f"card-{number:08d}" for number in range(cards)]
        drawn = [names[number] for number in generator.integers(0, cards, records)]
        amounts, terminals = generator.gamma(2, 20, max(records, cards)), ["terminal"] * max(records, cards)
        times = 1_600_000_000_000 + 40 * np.arange(cards + records)
        state, before = FeatureState(SPEC, cards), process.memory_info().rss
        known: dict[IdField, list[str]] = {"card_id": names, "terminal_id": terminals[:cards]}
        folded(TransactionColumns(known, times[:cards], amounts[:cards]), state)
        memory = (process.memory_info().rss - before) / cards
        again: dict[IdField, list[str]] = {"card_id": drawn, "terminal_id": terminals[:records]}
        costs[cards] = folded(TransactionColumns(again, times[cards:], amounts[:records]), state)
    return costs, memory


def measure(records: int, rounds: int) -> dict[str, Any]:
    """All contenders in turn, `rounds` times."""
    warm(SPEC)
    columns = payments(records)
    contenders: dict[str, Callable[[TransactionColumns], float]] = {
        "fold": with_fold,
        "pandas": with_pandas,
        "polars": with_polars,
        "river": with_river,
    }
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    growths: list[dict[int, float]] = []
    bytes_per_card = 0.0
    for turn in range(rounds):
        for name, run in contenders.items():
            figures[name].append(run(columns))
            notes.print(f"round {turn + 1}/{rounds}  {name:<8} {figures[name][-1]:>10,.0f} ns an event")
        costs, memory = growth(records)
        growths.append(costs)
        bytes_per_card = bytes_per_card or memory  # later rounds reuse memory that the first took
        notes.print(f"round {turn + 1}/{rounds}  " + ", ".join(f"{c:,} cards {ns:,.0f} ns" for c, ns in costs.items()))
    by_cards = {cards: statistics.median(costs[cards] for costs in growths) for cards in CARDS}
    medians = {f"{name}_ns_per_event": round(statistics.median(values)) for name, values in figures.items()}
    return {
        **medians,
        "pandas_to_fold": round(medians["pandas_ns_per_event"] / medians["fold_ns_per_event"], 1),
        "slowdown_at_1m_cards": round(by_cards[CARDS[-1]] / by_cards[CARDS[0]] - 1, 3),
        "ns_per_event_by_cards": {str(cards): round(ns) for cards, ns in by_cards.items()},
        "bytes_per_card": round(bytes_per_card),
        "rounds": {name: [round(value) for value in values] for name, values in figures.items()},
        "records": records,
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """The tables for people."""
    console = Console()
    table = Table("contender", "minimum", "median", "maximum", title="ns an event, five windows by card")
    for name, values in result["rounds"].items():
        table.add_row(name, f"{min(values):,}", f"{statistics.median(values):,.0f}", f"{max(values):,}")
    console.print(table)
    table = Table("cards", "ns an event", title="growth")
    for cards, ns in result["ns_per_event_by_cards"].items():
        table.add_row(f"{int(cards):,}", f"{ns:,}")
    console.print(table)
    console.print(
        f"fold {result['fold_ns_per_event']} ns (target under 500)   pandas {result['pandas_to_fold']} times that (target 100)"
    )
    console.print(
        f"slowdown at 1,000,000 cards {result['slowdown_at_1m_cards']:.0%} (target under 20%)   "
        f"{result['bytes_per_card']} bytes a card"
    )


if __name__ == "__main__":
    command.run("features", __doc__, measure, show, records=400_000, rounds=3)
