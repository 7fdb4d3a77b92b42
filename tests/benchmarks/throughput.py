"""Throughput of the scorer, exactly once, everything on, beside the baseline loop, Faust and, with a JDK, Kafka Streams.

One run, one topic, three rounds.

`python -m tests.benchmarks.throughput [--json] [--record] [--records N] [--rounds N] [--attributes N] [--cards N] [--quix]
[--core-hour-price P]`

With --attributes: the scorer alone, beside itself on the same payments with so many attributes, each of which its model reads.
With --cards: the scorer alone, with so many cards known in each partition, beside itself with few. With --quix: an
environment for Quix Streams is built of packages from the registry; it is a peer wherever that is. With --core-hour-price:
what the scorer's processor time for a million payments costs, in the currency of that price.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from schemas.topics import SCORES, TRANSACTIONS, Topic
from services.broker.jars import JarError
from services.kafka.topics_admin import create_topics
from tests.benchmarks import command, full_state, peer_flink, peer_java, peer_quix, peer_streams, throughput_attributes
from tests.benchmarks.common import Payment
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.benchmarks.sections_streams import PEERS
from tests.services.harness import ROOT, Stream

LIMIT_BATCHES = (500, 2000)
FAUST_RECORDS = 20_000
QUIX_RECORDS = 50_000
STREAMS_RECORDS = 200_000
"""Enough for its compiler to be done, of those that there are."""

CONTENDER_S_MAX = 600
CORE_S_OF_HOUR = 3600.0
LIBRARIES = ("aiokafka", "faust-streaming", "msgspec", "numba", "numpy", "onnxruntime", "uvloop")

notes = Console(stderr=True)


async def fill(stream: Stream, records: int) -> None:
    """Simulated payments, lz4, keyed by card; beside them the topics that the peers write to."""
    await stream.create()
    for name in ("bench-limit", "bench-faust"):
        await create_topics(stream.kafka, stream.topics, [Topic(name, SCORES.schema, "card_id", "benchmark", None)])
    producer = AIOKafkaProducer(
        bootstrap_servers=stream.bootstrap, compression_type="lz4", linger_ms=20, max_batch_size=1 << 20
    )
    await producer.start()
    topic, encode = stream.prefix + TRANSACTIONS.name, msgspec.json.Encoder().encode
    days = generate(SimulationSettings(seed=7, customers=20_000, terminals=5_000, days=None))
    rows = (
        row
        for day in days
        for row in zip(
            day.transaction_id,
            day.event_time_ms.tolist(),
            day.card_id,
            day.terminal_id,
            day.amount.tolist(),
            strict=True,
        )
    )
    for row in islice(rows, records):
        await producer.send(topic, encode(Payment(*row)), key=row[2].encode())
    await producer.stop()


class Drained(NamedTuple):
    """What one scorer process did, from the first commit that is seen to the last."""

    records_per_s: float
    cpu_us_per_record: float


def assay(stream: Stream, records: int, **environment: str) -> float:
    """Records a second of one scorer process."""
    return drained(stream, records, **environment).records_per_s


def drained(stream: Stream, records: int, **environment: str) -> Drained:
    """One scorer process that reads everything; a new group each time."""
    group = f"bench-{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as snapshots:
        scorer = stream.scorer(
            ASSAY_GROUP=group,
            ASSAY_SNAPSHOT_URL=snapshots,
            ASSAY_SNAPSHOT_INTERVAL_S="30",
            ASSAY_CARDS_MAX="250000",
            **environment,
        )
        times = psutil.Process(scorer.pid).cpu_times
        first: tuple[float, float, float] | None = None
        idle_s, idle_cpu_s = time.perf_counter(), sum(times()[:2])
        while True:
            done, now_s, cpu_s = scorer.metric("assay_records_total"), time.perf_counter(), sum(times()[:2])
            if not done:
                idle_s, idle_cpu_s = now_s, cpu_s
            elif (
                first is None
            ):  # a short run may be over at the first look: then it took no longer than since the one before
                first = (now_s, done, cpu_s) if done < records else (idle_s, 0.0, idle_cpu_s)
            if first is not None and done >= records:
                found = Drained((done - first[1]) / (now_s - first[0]), 1e6 * (cpu_s - first[2]) / (done - first[1]))
                alerts = scorer.metric("assay_alerts_total") / done
                used = f"{found.cpu_us_per_record:.1f} us of processor time a record"
                notes.print(f"{found.records_per_s:,.0f} a second, {used}, {alerts:.2%} alerts")
                break
            time.sleep(0.1)
        if scorer.terminate() != 0:
            raise SystemExit(f"the scorer failed: {scorer.log()[-2000:]}")
    return found


def child(module: str, *arguments: str, **environment: str) -> float:
    """The number that a contender prints last."""
    return printed([sys.executable, "-m", f"tests.benchmarks.{module}", *arguments], **environment)


def printed(command: list[str], **environment: str) -> float:
    """The number that a command prints last."""
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": True, "timeout": CONTENDER_S_MAX}
    try:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, **options)
        return float(done.stdout.split()[-1])
    except subprocess.TimeoutExpired:
        raise SystemExit(f"a contender did not end within {CONTENDER_S_MAX} s: {command[-4:]}") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"a contender failed ({command[-4:]}): {error.stderr[-1000:]}") from None


def contenders(stream: Stream, records: int, cpu_us: list[float] | None = None) -> dict[str, Callable[[], float]]:
    """Each by the stem of its key in the result. cpu_us: takes the scorer's processor time a record, of each of its rounds."""
    source, place = stream.prefix + TRANSACTIONS.name, {"BENCH_BOOTSTRAP": stream.bootstrap}
    faust_place = {**place, "SOURCE": source, "OUT": f"{stream.prefix}bench-faust", "COUNT": str(FAUST_RECORDS)}
    limits: dict[str, Callable[[], float]] = {
        f"limit_batch_{size}": lambda size=size: child(  # type: ignore[misc]  # bound now, not when called
            "limit", source, f"{stream.prefix}bench-limit", str(records), str(size), **place
        )
        for size in LIMIT_BATCHES
    }
    peers: dict[str, Callable[[], float]] = {
        "faust": lambda: child("peer_faust", "worker", "-l", "error", **faust_place)
    }
    if peer_java.java() is not None:
        of_streams = peer_streams.command(
            stream.bootstrap, source, f"{stream.prefix}bench-limit", "earliest", min(records, STREAMS_RECORDS)
        )
        peers["streams"] = lambda: printed(of_streams)
        try:
            of_flink = peer_flink.scoring(
                stream.bootstrap,
                source,
                f"{stream.prefix}bench-limit",
                min(records // 2, STREAMS_RECORDS),  # it ends once each partition had its part, which all of them hold
                stream.partitions,
            )
            peers["flink"] = lambda: printed(of_flink)
        except JarError as error:
            notes.print(f"Flink is left out: {error}")
    if peer_quix.built():
        of_quix = peer_quix.scoring(stream.bootstrap, source, f"{stream.prefix}bench-limit", min(records, QUIX_RECORDS))
        peers["quix"] = lambda: printed(of_quix, **peer_quix.environment())

    def ours() -> float:
        done = drained(stream, records)
        if cpu_us is not None:
            cpu_us.append(done.cpu_us_per_record)
        return done.records_per_s

    return {**limits, "assay": ours, **peers}


def measure(
    records: int,
    rounds: int,
    attributes: int = 0,
    cards: int = 0,
    quix: bool = False,
    core_hour_price: float = 0.0,
) -> dict[str, Any]:
    """All contenders in turn, `rounds` times. attributes, cards: instead the scorer beside itself with these.

    quix: builds the environment of Quix Streams, which is a peer where it has one. core_hour_price: of one core for an hour;
    0: no cost is said.
    """
    if attributes and cards:
        raise command.OptionError("--attributes and --cards are two benchmarks: leave one out.")
    if (quix or core_hour_price) and (attributes or cards):
        raise command.OptionError(
            "--quix and --core-hour-price are for the peers, which --attributes and --cards leave out."
        )
    if quix:
        peer_quix.build()
    elif not (attributes or cards or peer_quix.built()):
        notes.print(peer_quix.MISSING)
    if cards:
        with broker() as bootstrap:
            return {**full_state.measured(bootstrap, cards, records, rounds), **surroundings(LIBRARIES)}
    with broker() as bootstrap, place(bootstrap) as stream:
        notes.print(f"writing {records:,} payments")
        asyncio.run(fill(stream, records))
        if attributes:
            reading = throughput_attributes.ready(stream, records, attributes)
            two = {"assay": lambda: assay(stream, records), "attributes": lambda: assay(stream, records, **reading)}
            figures = interleaved(two, rounds)
            return {**throughput_attributes.summary(figures, records, attributes), **surroundings(LIBRARIES)}
        cpu_us: list[float] = []
        figures = interleaved(contenders(stream, records, cpu_us), rounds)
    result = {**summary(figures, records), **costs(cpu_us, core_hour_price)}
    if "quix" in figures:
        result["versions"] |= {"quixstreams": peer_quix.VERSION}
    return result


def costs(cpu_us: list[float], core_hour_price: float) -> dict[str, float]:
    """What a record takes of one core, and what a million take of the price of one."""
    median_us = statistics.median(cpu_us)
    found = {"cpu_us_per_record": round(median_us, 2)}
    if core_hour_price:
        price = median_us / CORE_S_OF_HOUR * core_hour_price  # us a record are s a million records
        found |= {"core_hour_price": core_hour_price, "cost_per_million": round(price, 6)}
    return found


def summary(figures: dict[str, list[float]], records: int) -> dict[str, Any]:
    """Medians and ranges, ratios, versions, machine. The baseline loop counts with the better of its batch sizes."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    peers = [peer for peer in ("faust", *PEERS) if peer in medians]
    limit = max((f"limit_batch_{size}" for size in LIMIT_BATCHES), key=medians.__getitem__)
    return {
        "assay_records_per_s": round(medians["assay"]),
        "limit_records_per_s": round(medians[limit]),
        **{f"{peer}_records_per_s": round(medians[peer]) for peer in peers},
        "assay_to_limit": round(medians["assay"] / medians[limit], 3),
        **{f"assay_to_{peer}": round(medians["assay"] / medians[peer], 1) for peer in peers},
        "limit": limit,
        "rounds": {name: [round(value) for value in values] for name, values in figures.items()},
        "records": records,
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    if "cards_per_partition" in result:
        full_state.show(result)
        return
    table = Table(title="Throughput, records a second (broker on the same machine)")
    for column in ("contender", "minimum", "median", "maximum"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for name, values in result["rounds"].items():
        table.add_row(name, f"{min(values):,}", f"{statistics.median(values):,.0f}", f"{max(values):,}")
    console = Console()
    console.print(table)
    if "attributes" in result:
        console.print(
            f"with {result['attributes']} attributes {result['attributes_records_per_s']:,}, without "
            f"{result['assay_records_per_s']:,}: {result['attributes_to_assay']:.2f} (target 0.80)"
        )
        return
    console.print(
        f"of the limit: {result['assay_to_limit']:.2f} (target 0.60)   of Faust: {result['assay_to_faust']:.0f}x (target 40x)"
        + "".join(
            f"   of {name}: {result[f'assay_to_{peer}']:.1f}x"
            for peer, name in PEERS.items()
            if peer in result["rounds"]
        )
    )
    console.print(f"a record takes {result['cpu_us_per_record']:.1f} us of one core" + cost_in_words(result))


def cost_in_words(result: dict[str, Any]) -> str:
    """What a million payments cost, where a price was given."""
    if "cost_per_million" not in result:
        return ""
    cost, price = result["cost_per_million"], result["core_hour_price"]
    return (
        f", so a million payments cost {cost:.6f} where a core costs {price:g} an hour"
        " (the scorer's own processor time, at full load; the broker's is not in it)"
    )


def good(result: dict[str, Any]) -> bool:
    """Whether nothing was lost or repeated, where that is looked for."""
    return not result.get("lost") and not result.get("repeated")


if __name__ == "__main__":
    options = {"records": 400_000, "rounds": 3, "attributes": 0, "cards": 0, "quix": False, "core_hour_price": 0.0}
    command.run("throughput", __doc__, measure, show, good, **options)
