"""What the routed way costs: its latency beside the direct one, and records a second of intake alone beside the baseline loop.

`python -m tests.benchmarks.intake [--json] [--record] [--rate N ...] [--seconds S] [--rounds N] [--records N]`

Payments come as in `assay bench latency`, an open loop. Direct: one scorer reads them. Routed: one intake reads them and writes
`events`, one scorer reads those; both exactly once, on the broker's machine. Then intake alone works off a full topic,
in turn with the baseline loop, which also scores.
"""

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from models.sources.spec_file import default_source
from schemas.source_spec import SourceSpec
from schemas.topics import SCORES, TRANSACTIONS
from tests.benchmarks import command, throughput
from tests.benchmarks.latency import Loads, Runs, of_limit, prepare, rated, warm_up_s
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.benchmarks.watch import PERCENTILES
from tests.services.harness import Scorer, Stream
from tests.services.scorer.test_source import bundle_of

RATES = (2_000, 20_000)
LIBRARIES = ("aiokafka", "confluent-kafka", "msgspec", "numba", "numpy", "onnxruntime", "uvloop")
WAYS = {"direct": "direct: scorer", "routed": "routed: intake, then scorer"}


def source_of(stream: Stream) -> SourceSpec:
    """The payments' own spec, routed."""
    return default_source().model_copy(update={"topic": stream.prefix + TRANSACTIONS.name, "routed": True})


def environment(stream: Stream, snapshots: str) -> dict[str, str]:
    """Of one start: groups of its own, from the topics' ends on."""
    return {
        "ASSAY_GROUP": f"bench-{uuid.uuid4().hex}",
        "ASSAY_INTAKE_GROUP": f"bench-{uuid.uuid4().hex}",
        "ASSAY_START_FROM": "latest",
        "ASSAY_SNAPSHOT_URL": snapshots,
        "ASSAY_SNAPSHOT_INTERVAL_S": "10",
        "ASSAY_CARDS_MAX": "250000",
    }


def ended(*processes: Scorer) -> None:
    """Each ends in order, or the figures are worth nothing."""
    for process in processes:
        if process.terminate() != 0:
            raise SystemExit(f"it failed: {process.log()[-2000:]}")


def direct(stream: Stream, loads: Loads, rates: tuple[int, ...], seconds: float) -> Runs:
    """All rates in turn at a scorer."""
    with tempfile.TemporaryDirectory() as snapshots:
        scorer = stream.scorer(**environment(stream, snapshots))
        scorer.wait_ready()
        found = rated(stream, loads, SCORES.name, rates, seconds, scorer.pid)
        ended(scorer)
    return found


def routed(stream: Stream, loads: Loads, rates: tuple[int, ...], seconds: float, bundle: dict[str, str]) -> Runs:
    """All rates in turn at an intake and a scorer. cores: the scorer's."""
    with tempfile.TemporaryDirectory() as snapshots:
        settings = {**environment(stream, snapshots), **bundle}
        processes = stream.intake(**settings), stream.scorer(**settings)
        for process in processes:
            process.wait_ready()
        found = rated(stream, loads, SCORES.name, rates, seconds, processes[1].pid)
        ended(*processes)
    return found


def intake_alone(stream: Stream, records: int, bundle: dict[str, str]) -> float:
    """Records a second of one intake process, from its first committed batch to its last."""
    with tempfile.TemporaryDirectory() as snapshots:
        settings = {**environment(stream, snapshots), **bundle, "ASSAY_START_FROM": "earliest"}
        process, first = stream.intake(**settings), None
        while True:
            done, now_s = process.metric("assay_records_total"), time.perf_counter()
            if first is None and done:
                first = now_s, done
            if first is not None and done >= records:
                rate = (done - first[1]) / (now_s - first[0])
                break
            time.sleep(0.1)
        ended(process)
    return rate


def measure(
    rate: tuple[int, ...] = RATES, seconds: float = 10.0, rounds: int = 3, records: int = 400_000
) -> dict[str, Any]:
    """Both ways at all rates in turn, then intake and the baseline loop, `rounds` times each."""
    with broker() as bootstrap, tempfile.TemporaryDirectory() as directory:
        with place(bootstrap) as stream:
            bundle = bundle_settings(stream, Path(directory) / "timed")
            asyncio.run(prepare(stream))
            loads = Loads(stream)
            of_limit(stream, loads, rate[-1:], warm_up_s())
            ways: dict[str, Callable[[], Any]] = {
                "direct": lambda: direct(stream, loads, rate, seconds),
                "routed": lambda: routed(stream, loads, rate, seconds, bundle),
            }
            timed = interleaved(ways, rounds)
        with place(bootstrap) as stream:
            full = bundle_settings(stream, Path(directory) / "full")
            asyncio.run(throughput.fill(stream, records))
            limits = {name: run for name, run in throughput.contenders(stream, records).items() if "limit" in name}
            rates = interleaved({**limits, "intake": lambda: intake_alone(stream, records, full)}, rounds)
    return {**summary(rate, timed, rates), "records": records}


def bundle_settings(stream: Stream, directory: Path) -> dict[str, str]:
    """The demo's bundle with a source that is routed."""
    bundle = bundle_of(source_of(stream), directory)
    return {"ASSAY_BUNDLE": str(bundle), "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true", "ASSAY_BUNDLE_PUBLIC_KEYS": ""}


def summary(rate: tuple[int, ...], timed: dict[str, list[Runs]], rates: dict[str, list[float]]) -> dict[str, Any]:
    """Medians and every round's."""
    rows = []
    for wanted in rate:
        row: dict[str, Any] = {"rate": wanted}
        for way, rounds in timed.items():
            for name in (*PERCENTILES, "lost"):
                row[f"{way}_{name}"] = statistics.median(done[wanted][name] for done in rounds)
        row |= {f"added_{name}": round(row[f"routed_{name}"] - row[f"direct_{name}"], 2) for name in PERCENTILES}
        rows.append(row)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    limit = max((name for name in medians if "limit" in name), key=medians.__getitem__)
    return {
        "rates": rows,
        "intake_records_per_s": round(medians["intake"]),
        "limit_records_per_s": round(medians[limit]),
        "intake_to_limit": round(medians["intake"] / medians[limit], 3),
        "rounds": {name: [round(value) for value in values] for name, values in rates.items()},
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """The tables for people."""
    table = Table(title="Due to committed score, ms: medians of the rounds")
    for column in ("rate", "way", "p50", "p99", "p99.9"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for row in result["rates"]:
        for way, title in (*WAYS.items(), ("added", "added")):
            table.add_row(f"{row['rate']:,}", title, *(f"{row[f'{way}_{name}']:.1f}" for name in PERCENTILES))
    console = Console()
    console.print(table)
    console.print(
        f"intake alone: {result['intake_records_per_s']:,} records/s, {result['intake_to_limit']:.2f} of the baseline loop's "
        f"{result['limit_records_per_s']:,}"
    )


def good(result: dict[str, Any]) -> bool:
    """Whether nothing was lost."""
    return not any(row[f"{way}_lost"] for row in result["rates"] for way in WAYS)


if __name__ == "__main__":
    command.run("intake", __doc__, measure, show, good, rate=RATES, seconds=10.0, rounds=3, records=400_000)
