"""Throughput and committed latency with 0, 1 and 3 entities, beside the same work in Kafka Streams.

`python -m tests.benchmarks.entities [--json] [--record] [--entities N ...] [--rate N] [--seconds S] [--records N] [--rounds N]
[--ids N]`

For each number of entities, topics of their own with a full source: a scorer, and one `assay entities` where there are some,
work it off, exactly once; then an open loop as in `assay bench latency` comes to the same processes. Kafka Streams, exactly
once with its default commit interval (100 ms), repartitions the payments by each entity, keeps count and sum of it in a store
with a changelog, repartitions by card, and scores with the same graph; its work by entity is less than ours, two windows.
0 entities, always measured: the scorer alone reads the source, and Kafka Streams repartitions nothing.
--ids: instead the memory of one entity of so many ids, without Kafka.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from models.bundle.load import load_bundle
from models.features.spec_file import parse_spec
from schemas.feature_spec import FeatureSpec
from schemas.topics import SCORES, TRANSACTIONS
from tests.benchmarks import command, entities_memory, peer_java, peer_streams, throughput
from tests.benchmarks.intake import ended
from tests.benchmarks.latency import LIMIT_OUT, WARM_S, Loads, prepare
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.benchmarks.watch import Watch, offer
from tests.models.bundle.making import COMMITTED, version_of
from tests.services.harness import ROOT, Scorer, Stream

NUMBERS = (0, 1, 3)
FIELDS = {"merchant": ("terminal_id",), "corridor": ("terminal_id", "country"), "pair": ("card_id", "terminal_id")}
"""Of the entities, in order: the first N of them."""

LIBRARIES = ("aiokafka", "confluent-kafka", "msgspec", "numba", "numpy", "onnxruntime", "uvloop")
RATE = 1_000
"""Of the latency's load: low enough for Kafka Streams with three entities on a small machine."""

SETTLE_S_MAX = 60.0
"""Longer than any contender takes for its last record on a busy machine: what has not come by then is lost."""

Run = dict[str, float]


def spec_of(number: int) -> FeatureSpec:
    """The committed features without the terminals' profiles, and three features of each of so many entities."""
    text = (ROOT / "deploy/features/fraud.yaml").read_text().split("  - {name: terminal_count_1d")[0]
    names = list(FIELDS)[:number]
    declared = "".join(f"  {name}: {{id: [{', '.join(FIELDS[name])}]}}\n" for name in names if len(FIELDS[name]) > 1)
    declared += "".join(f"  {name}: {{id: {FIELDS[name][0]}}}\n" for name in names if len(FIELDS[name]) == 1)
    text = text.replace(
        "keys: {card: card_id}\n", "keys: {card: card_id}\n" + (f"entities:\n{declared}" if names else "")
    )
    for place_, name in enumerate(list(FIELDS)):
        key = name if place_ < number else "card"  # as many columns as the graph reads, whatever the number
        text += (
            f"  - {{name: {name}_count, kind: window, key: {key}, aggregation: count, window: 1h}}\n"
            f"  - {{name: {name}_mean, kind: window, key: {key}, aggregation: mean, window: 24h}}\n"
        )
    return parse_spec(text)


def bundle_of(directory: Path, number: int) -> dict[str, str]:
    """The committed graph with these features, as settings."""
    manifest = load_bundle(COMMITTED).manifest
    version_of(directory, 1, manifest=manifest.model_copy(update={"feature_spec": spec_of(number), "statement": None}))
    return {"ASSAY_BUNDLE": str(directory), "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true", "ASSAY_BUNDLE_PUBLIC_KEYS": ""}


def fill(stream: Stream, loads: Loads, records: int) -> None:
    """So many payments at once, in a process of their own."""
    load = loads.next(0, records)
    command_line = [sys.executable, "-m", "tests.benchmarks.generator", *load.arguments()]
    done = subprocess.run(command_line, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)  # --json prints one line
    if done.returncode:
        raise SystemExit("the generator failed; its own words are above")


def ours(bootstrap: str, number: int, rate: int, seconds: float, records: int) -> Run:
    """One run of Assay: work off what is there, then the open loop."""
    with place(bootstrap) as stream, tempfile.TemporaryDirectory() as snapshots, tempfile.TemporaryDirectory() as made:
        asyncio.run(prepare(stream))
        loads = Loads(stream)
        fill(stream, loads, records)
        settings = {
            "ASSAY_GROUP": f"bench-{uuid.uuid4().hex}",
            "ASSAY_SNAPSHOT_URL": snapshots,
            "ASSAY_SNAPSHOT_INTERVAL_S": "10",
            "ASSAY_CARDS_MAX": "250000",
            **bundle_of(Path(made) / "bundle", number),
        }
        processes = [stream.scorer(**settings), *([stream.entities(**settings)] if number else [])]
        per_s = worked_off(processes[0], records)
        spent_us = [1e6 * sum(psutil.Process(process.pid).cpu_times()[:2]) / records for process in processes]
        watch = Watch(stream.bootstrap, stream.prefix + SCORES.name, stream.partitions)
        try:
            offered = offer(watch, loads.next(rate, int(rate * (WARM_S + seconds))), SETTLE_S_MAX)
        finally:
            watch.close()
        ended(*processes)
    return {
        "records_per_s": per_s,
        **offered.percentiles(WARM_S),
        "lost": offered.seen.lost(offered.load),
        "scorer_cpu_us": spent_us[0],
        "entities_cpu_us": sum(spent_us[1:]),
    }


def worked_off(scorer: Scorer, records: int) -> float:
    """Records a second, from the scorer's first committed batch to its last."""
    first: tuple[float, float] | None = None
    while True:
        if scorer.returncode is not None:
            raise SystemExit(f"the scorer failed: {scorer.log()[-2000:]}")
        done, now_s = scorer.metric("assay_records_total"), time.perf_counter()
        if first is None and done:
            first = now_s, done
        if first is not None and done >= records:
            return (done - first[1]) / max(now_s - first[0], 1e-9)
        time.sleep(0.1)


def streams(bootstrap: str, number: int, rate: int, seconds: float, records: int) -> Run:
    """One run of Kafka Streams: the same."""
    named = ["+".join(fields) for fields in list(FIELDS.values())[:number]]
    with place(bootstrap) as stream:
        asyncio.run(prepare(stream))
        loads = Loads(stream)
        fill(stream, loads, records)
        source, out = stream.prefix + TRANSACTIONS.name, stream.prefix + LIMIT_OUT
        per_s = throughput.printed(peer_streams.command(bootstrap, source, out, "earliest", records, named))
        with peer_streams.running(bootstrap, source, out, named):
            watch = Watch(bootstrap, out, stream.partitions)
            try:
                offered = offer(watch, loads.next(rate, int(rate * (WARM_S + seconds))), SETTLE_S_MAX)
            finally:
                watch.close()
    return {"records_per_s": per_s, **offered.percentiles(WARM_S), "lost": offered.seen.lost(offered.load)}


def measure(
    entities: tuple[int, ...] = (),
    rate: int = RATE,
    seconds: float = 10.0,
    records: int = 100_000,
    rounds: int = 3,
    ids: int = 0,
) -> dict[str, Any]:
    """Both at each number of entities in turn, `rounds` times. ids: instead what so many ids take."""
    if ids:
        return {**entities_memory.measured(ids), **surroundings(LIBRARIES)}
    numbers = sorted({0, *entities}) if entities else NUMBERS
    if wrong := [number for number in numbers if number > len(FIELDS)]:
        raise command.OptionError(f"--entities takes 1 to {len(FIELDS)}, and {wrong[0]} is none.")
    with broker() as bootstrap:
        contenders: dict[str, Callable[[], Run]] = {}
        for number in numbers:
            contenders[f"assay_{number}"] = lambda n=number: ours(bootstrap, n, rate, seconds, records)  # type: ignore[misc]
            if peer_java.java() is not None:
                contenders[f"streams_{number}"] = lambda n=number: streams(bootstrap, n, rate, seconds, records)  # type: ignore[misc]
        found = interleaved(contenders, rounds)
    rows = [row_of(number, found) for number in numbers]
    return {"rows": rows, "rate": rate, "records": records, "rounds": found, **surroundings(LIBRARIES)}


def row_of(number: int, found: dict[str, list[Run]]) -> dict[str, Any]:
    """Medians of the rounds."""
    row: dict[str, Any] = {"entities": number}
    for prefix, name in (("", f"assay_{number}"), ("streams_", f"streams_{number}")):
        for figure in (found.get(name) or [{}])[0]:
            row[prefix + figure] = round(statistics.median(run[figure] for run in found[name]), 2)
    return row


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    if "rows" not in result:
        entities_memory.show(result)
        return
    table = Table(
        title=f"{result['records']:,} payments worked off; then {result['rate']:,} a second: due to committed score"
    )
    columns = {"entities": ",.0f", "records_per_s": ",.0f", "p50_ms": ".0f", "p99_ms": ".0f", "scorer_cpu_us": ".1f"}
    columns |= {
        "entities_cpu_us": ".1f",
        "streams_records_per_s": ",.0f",
        "streams_p50_ms": ".0f",
        "streams_p99_ms": ".0f",
    }
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for row in result["rows"]:
        table.add_row(*(f"{row[name]:{form}}" if name in row else "" for name, form in columns.items()))
    Console().print(table)


def good(result: dict[str, Any]) -> bool:
    """Whether nothing of ours was lost."""
    return not any(row["lost"] for row in result.get("rows", ()))


if __name__ == "__main__":
    options = {"entities": NUMBERS, "rate": RATE, "seconds": 10.0, "records": 100_000, "rounds": 3, "ids": 0}
    command.run("entities", __doc__, measure, show, good, lambda result: result.get("rows", result), **options)
