"""Where the slowest payments of a latency run were: `assay bench latency --slowest 100 --rate 20000`.

A scorer that notes its own moments (`timed.py`), exactly once, is offered one rate. Each score leads back to its record by its
headers, the record to the fetch and the batch that it was in; so the time from due to seen is cut into parts that add up.
Beside the slowest payments, the same parts of payments taken evenly out of the whole run.
"""

import tempfile
import time
import uuid
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from schemas.topics import SCORES, SOURCE_OFFSET_HEADER, SOURCE_TIMESTAMP_HEADER, TRANSACTIONS
from tests.benchmarks.generator import NS
from tests.benchmarks.timed import Batch, Fetch, Times
from tests.benchmarks.watch import Offered, Seen
from tests.services.harness import Stream

OTHERS = 2_000
"""Payments of the whole run that the slowest are shown beside."""

READ_S_MAX = 10.0
TOGETHER_S = 0.05
"""Payments that were due within it of each other were slow for one reason."""

PARTS = {
    "sending": "due, until it is sent",
    "unasked": "sent, until the scorer asks the broker",
    "fetching": "to the broker, and its answer",
    "waiting": "fetched, behind other batches",
    "decode": "decode, duplicates",
    "fold": "fold",
    "model": "model, policy, reasons",
    "emit": "outputs made",
    "other": "other work of the process",
    "sends": "outputs sent",
    "offsets": "offset sent",
    "commit": "commit",
    "reading": "committed, until it is read",
}
"""In their order, and what they are."""


class Way(NamedTuple):
    """One payment. due_s: when it was due. parts_ms: by the names of PARTS; they add up to the time until it was seen."""

    partition: int
    offset: int
    due_s: float
    parts_ms: dict[str, float]

    @property
    def ms(self) -> float:
        """From due to seen."""
        return sum(self.parts_ms.values())


def offered_to(stream: Stream, work: Any) -> tuple[Offered, Times]:
    """What became of a load at a scorer that notes its moments, and what it noted. work: offers, given the process id."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "times"
        scorer = stream.service(
            "tests.benchmarks.timed",
            ASSAY_GROUP=f"bench-{uuid.uuid4().hex}",
            ASSAY_START_FROM="latest",
            ASSAY_SNAPSHOT_URL=directory,
            ASSAY_SNAPSHOT_INTERVAL_S="10",
            ASSAY_CARDS_MAX="250000",
            BENCH_TIMES=str(path),
            BENCH_SOURCE=stream.prefix + TRANSACTIONS.name,
        )
        scorer.wait_ready()
        offered = work(scorer.pid)
        if scorer.terminate() != 0:
            raise SystemExit(f"the scorer failed: {scorer.log()[-2000:]}")
        return offered, msgspec.json.decode(path.read_bytes(), type=Times)


def chosen(seen: Seen, from_us: int, slowest: int) -> tuple[list[int], list[int]]:
    """Places in `seen` of the slowest that were due at `from_us` or later, slowest first, and of some of all of them."""
    due, ended = (np.array(column, np.int64) for column in (seen.due_us, seen.seen_us))
    counted = np.flatnonzero(due >= from_us)
    by_time = counted[np.argsort((ended - due)[counted], kind="stable")[::-1]]
    every = max(1, len(counted) // OTHERS)
    return by_time[:slowest].tolist(), counted[::every].tolist()


def sources(stream: Stream, seen: Seen, places: Iterable[int]) -> dict[int, tuple[int, float]]:
    """Offset and time of each one's record on the input, by its place in `seen`; its partition is the score's own."""
    wall_s = time.time() - time.monotonic()
    consumer = Consumer(
        {"bootstrap.servers": stream.bootstrap, "group.id": f"slowest-{uuid.uuid4().hex}", "enable.auto.commit": False}
    )
    wanted: dict[int, dict[int, int]] = defaultdict(dict)
    for place in places:
        wanted[seen.partitions[place]][seen.offsets[place]] = place
    found: dict[int, tuple[int, float]] = {}
    for partition, by_offset in wanted.items():
        consumer.assign([TopicPartition(stream.prefix + SCORES.name, partition, min(by_offset))])
        left = set(by_offset)
        while left:
            records = consumer.consume(5_000, READ_S_MAX)
            if not records:
                raise SystemExit(f"{len(left)} scores of partition {partition} cannot be read again")
            for record in records:
                if record.error() is None and record.offset() in left:
                    left.remove(record.offset())
                    headers = dict(record.headers() or ())
                    sent_s = int(headers[SOURCE_TIMESTAMP_HEADER]) / 1e3 - wall_s
                    found[by_offset[record.offset()]] = int(headers[SOURCE_OFFSET_HEADER]), sent_s
    consumer.close()
    return found


class Ways:
    """Finds the ways of payments in what a scorer noted."""

    def __init__(self, times: Times) -> None:
        self._fetches = _by_partition(times.fetches, lambda fetch: fetch.offset)
        self._batches = _by_partition(times.batches, lambda batch: batch.first)

    def of(self, partition: int, offset: int, due_s: float, sent_s: float, seen_s: float) -> Way:
        """Of one payment."""
        fetch: Fetch = _before(self._fetches[partition], offset)
        batch: Batch = _before(self._batches[partition], offset)
        moments, sent_s = batch.moments, max(due_s, min(sent_s, fetch.fetched_s))
        ends = [
            ("sending", sent_s),
            ("unasked", max(sent_s, fetch.asked_s)),
            ("fetching", fetch.fetched_s),
            ("waiting", batch.begun_s),
            *((name, moments[name]) for name in ("decode", "fold", "model", "emit")),
            ("other", moments["process"]),
            ("sends", moments["after_sends"]),
            ("offsets", moments["after_offsets"]),
            ("commit", moments["deliver"]),
            ("reading", seen_s),
        ]
        parts, before_s = {}, due_s
        for name, end_s in ends:
            parts[name] = (end_s - before_s) * 1e3
            before_s = end_s
        return Way(partition, offset, due_s, parts)


def _by_partition(noted: Iterable[Any], place: Any) -> dict[int, tuple[list[int], list[Any]]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for one in noted:
        found[one.partition].append(one)
    ordered = {partition: sorted(ones, key=place) for partition, ones in found.items()}
    return {partition: (list(map(place, ones)), ones) for partition, ones in ordered.items()}


def _before(ordered: tuple[list[int], list[Any]], offset: int) -> Any:
    places, ones = ordered
    return ones[bisect_right(places, offset) - 1]


def traced(stream: Stream, offered: Offered, times: Times, warm_s: float, slowest: int) -> dict[str, Any]:
    """The slowest payments of a load, and others: the parts of their ways, and when the slow ones were."""
    load, seen, ways = offered.load, offered.seen, Ways(times)
    slow, others = chosen(seen, (load.start_ns + int(warm_s * NS)) // 1000, slowest)
    found = sources(stream, seen, {*slow, *others})

    def of(place: int) -> Way:
        offset, sent_s = found[place]
        return ways.of(seen.partitions[place], offset, seen.due_us[place] / 1e6, sent_s, seen.seen_us[place] / 1e6)

    slow_ways, other_ways = list(map(of, slow)), list(map(of, others))
    start_s = load.start_ns / NS
    return {
        "slowest": len(slow_ways),
        "slowest_ms": [round(way.ms, 2) for way in slow_ways],
        "parts_ms": {
            name: {
                "slowest": _mean(slow_ways, name),
                "slowest_max": _most(slow_ways, name),
                "all": _mean(other_ways, name),
            }
            for name in PARTS
        },
        "moments": [_moment(group, start_s, times) for group in together(slow_ways)],
    }


def _mean(ways: Sequence[Way], name: str) -> float:
    return round(float(np.mean([way.parts_ms[name] for way in ways])), 2)


def _most(ways: Sequence[Way], name: str) -> float:
    return round(max(way.parts_ms[name] for way in ways), 2)


def together(ways: Sequence[Way]) -> list[list[Way]]:
    """Groups of payments that were due at about the same time, in the order of time."""
    groups: list[list[Way]] = []
    for way in sorted(ways, key=lambda way: way.due_s):
        if groups and way.due_s - groups[-1][-1].due_s <= TOGETHER_S:
            groups[-1].append(way)
        else:
            groups.append([way])
    return groups


def _moment(group: Sequence[Way], start_s: float, times: Times) -> dict[str, Any]:
    """When a group was slow, what took most of it, and how long the garbage collector was at work in it."""
    first_s, last_s = min(way.due_s for way in group), max(way.due_s + way.ms / 1e3 for way in group)
    collecting_s = sum(max(0.0, min(pause.ended_s, last_s) - max(pause.begun_s, first_s)) for pause in times.pauses)
    means = {name: _mean(group, name) for name in PARTS}
    longest = sorted(means, key=means.__getitem__, reverse=True)[:2]
    return {
        "at_s": round(first_s - start_s, 3),
        "payments": len(group),
        "partitions": sorted({way.partition for way in group}),
        "ms_max": round(max(way.ms for way in group), 2),
        "longest": {name: means[name] for name in longest},
        "collecting_ms": round(collecting_s * 1e3, 2),
    }


def show(result: dict[str, Any]) -> None:
    """The tables for people."""
    console = Console()
    table = Table(title=f"The slowest {result['slowest']} payments at {result['rate']:,}/s, ms")
    for column in ("part of the way", "slowest, mean", "slowest, most", "all, mean"):
        table.add_column(column, justify="left" if column == "part of the way" else "right")
    for name, words in PARTS.items():
        part = result["parts_ms"][name]
        table.add_row(words, *(f"{part[key]:.2f}" for key in ("slowest", "slowest_max", "all")))
    console.print(table)
    moments = Table(title="When they were slow")
    for column in ("after, s", "payments", "partitions", "slowest, ms", "most of it", "collector, ms"):
        moments.add_column(column, justify="left" if column == "most of it" else "right")
    for moment in result["moments"]:
        most = ", ".join(f"{PARTS[name]} {ms:.1f}" for name, ms in moment["longest"].items())
        partitions = " ".join(map(str, moment["partitions"]))
        moments.add_row(
            f"{moment['at_s']:.2f}",
            str(moment["payments"]),
            partitions,
            f"{moment['ms_max']:.1f}",
            most,
            f"{moment['collecting_ms']:.1f}",
        )
    console.print(moments)
    console.print(
        f"p50 {result['p50_ms']:.1f}, p99 {result['p99_ms']:.1f}, p99.9 {result['p999_ms']:.1f} ms; {result['lost']:.0f} lost"
    )
