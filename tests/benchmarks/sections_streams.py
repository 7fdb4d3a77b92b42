"""Sections of docs/benchmarks.md on what runs against a broker: the words that belong to the figures stand beside them."""

import statistics
from collections.abc import Mapping
from typing import Any

from tests.benchmarks.record import Record, table
from tests.benchmarks.slowest import PARTS

NAMES = {
    "limit_batch_500": "baseline loop, batches of 500",
    "limit_batch_2000": "baseline loop, batches of 2,000",
    "assay": "**Assay, exactly once, everything on**",
    "faust": "Faust, one event at a time, at least once",
    "": "**Assay, exactly once**",
    "at_least_once_": "Assay, at least once",
    "limit_": "baseline loop, exactly once",
    "streams": "Kafka Streams, record by record, exactly once",
    "flink": "Flink, record by record, exactly once",
    "quix": "Quix Streams, record by record, exactly once",
    "streams_": "Kafka Streams, exactly once",
}
PEERS = {"streams": "Kafka Streams", "flink": "Flink", "quix": "Quix Streams"}


def three(values: list[float], form: str = ",.0f") -> list[str]:
    """Minimum, median and maximum."""
    return [f"{of(values):{form}}" for of in (min, statistics.median, max)]


def throughput(record: Record) -> list[str]:
    """Records a second."""
    figures = record.figures
    rows = [(NAMES.get(name, name), *three(values)) for name, values in figures["rounds"].items()]
    limit_to_faust = figures["limit_records_per_s"] / figures["faust_records_per_s"]
    return [
        f"`assay bench throughput`: {figures['records']:,} simulated payments of 20,000 cards, JSON, lz4, four partitions.",
        "",
        *table(("contender", "minimum, records/s", "median", "maximum"), rows),
        "",
        f"{figures['assay_to_limit']:.2f} of the baseline loop (target 0.60), {figures['assay_to_faust']:.0f} times Faust (target 40; "
        f"the baseline loop is {limit_to_faust:.0f} times Faust)"
        + "".join(
            f", {figures[f'assay_to_{peer}']:.1f} times {name}"
            for peer, name in PEERS.items()
            if f"assay_to_{peer}" in figures
        )
        + ".",
        "The first round is the slowest for all: the broker warms up. The *baseline loop* is the leanest exactly-once scorer that we",
        "could write (`tests/benchmarks/limit.py`): no validation, no real features, no decisions, no dead letters, no recovery.",
        *_cost(figures),
    ]


def _cost(figures: Mapping[str, Any]) -> list[str]:
    """What a record takes of a core, and a million of its price, where they were measured."""
    if "cpu_us_per_record" not in figures:
        return []
    lines = ["", f"A record takes {figures['cpu_us_per_record']:.1f} us of one core, the broker's work not counted."]
    if "cost_per_million" in figures:
        lines[-1] += (
            f" Where a core costs {figures['core_hour_price']:g} an hour, a million payments cost {figures['cost_per_million']:.6f}."
        )
    return lines


def throughput_attributes(record: Record) -> list[str]:
    """Attributes that the model reads, beside none."""
    figures = record.figures
    names = {
        "assay": "payments as they are",
        "attributes": f"with {figures['attributes']} attributes, each read by the model",
    }
    return [
        f"`assay bench throughput --attributes {figures['attributes']}`: {figures['records']:,} payments, the scorer alone, exactly once.",
        "",
        *table(
            ("source", "minimum, records/s", "median", "maximum"),
            [(words, *three(figures["rounds"][name])) for name, words in names.items()],
        ),
        "",
        f"{figures['attributes_to_assay']:.2f} of the throughput without (target 0.80).",
    ]


def full_state(record: Record) -> list[str]:
    """A large state beside a small one."""
    figures, names = record.figures, ("p50_ms", "p99_ms", "p999_ms")
    rows = []
    for name in ("few", "full"):
        rounds, row = figures["rounds"][name], [f"{figures[f'{name}_cards']:,.0f}"]
        rates = rounds["records_per_s"]
        row += [f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"]
        row += [f"{two:.1f} ({one:.1f} to {three_:.1f})" for one, two, three_ in _sorted3(rounds, names)]
        rows.append((*row, f"{figures[f'{name}_rss_mb']:,.0f}", f"{figures[f'{name}_snapshot_mb']:,.0f}"))
    return [
        f"`assay bench throughput --cards {figures['cards_per_partition']}`: {figures['records']:,} payments drained as fast as it goes, then",
        f"offered at {figures['rate']:,}/s (latency from due to committed score), by a scorer that knows few cards and one that knows as many as it",
        f"keeps; a snapshot every {figures['snapshot_interval_s']} s; median of the rounds (lowest to highest).",
        "",
        *table(("cards known", "records/s", "p50, ms", "p99", "p99.9", "memory, MB", "snapshots, MB"), rows, left=0),
        "",
        f"{figures['full_to_few']:.2f} of the throughput with few cards. {figures['lost']:.0f} lost, {figures['repeated']:.0f} repeated.",
    ]


def answers(record: Record) -> list[str]:
    """The gateway beside the stream and a service without a log."""
    figures, names = record.figures, ("p50_ms", "p99_ms", "p999_ms", "stream_p99_ms", "plain_p99_ms")
    rows = [
        (f"{row['rate']:,}", row["delivery"].replace("_", " "), *(_or_nothing(row.get(name)) for name in names))
        for row in figures["rows"]
    ]
    return [
        "`assay bench answers`: one gateway and one scorer; from when an event was due to the last byte of its answer, an open loop with a",
        "client in a process of its own. Beside it the stream's latency, from the event's arrival to its committed score, by a reader of",
        "the same run; and a plain FastAPI and ONNX Runtime service without a log.",
        "",
        *table(("requests/s", "delivery", "p50, ms", "p99", "p99.9", "stream's p99", "plain p99"), rows),
    ]


def _or_nothing(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def intake(record: Record) -> list[str]:
    """The routed way beside the direct one."""
    figures, names = record.figures, ("p50_ms", "p99_ms", "p999_ms")
    rows = [
        (f"{row['rate']:,}", way, *(f"{row[f'{way}_{name}']:.1f}" for name in names))
        for row in figures["rates"]
        for way in ("direct", "routed", "added")
    ]
    return [
        "`assay bench intake`: from due to committed score, one scorer (direct), or one intake and one scorer (routed), exactly once.",
        "",
        *table(("records/s", "way", "p50, ms", "p99", "p99.9"), rows),
        "",
        f"Intake alone: {figures['intake_records_per_s']:,} records/s, {figures['intake_to_limit']:.2f} of the baseline loop, which",
        f"also scores ({figures['limit_records_per_s']:,}).",
    ]


def latency(record: Record) -> list[str]:
    """From due to committed, and overload."""
    figures, names = record.figures, ("p50_ms", "p99_ms", "p999_ms")
    rows = []
    for row in figures["rates"]:
        rate = row["rate"]
        for prefix in ("", "at_least_once_", "limit_", "streams_"):
            if f"{prefix}{rate}" not in figures["rounds"]:
                continue
            rounds = figures["rounds"][f"{prefix}{rate}"]
            cells = [f"{two:.1f} ({one:.1f} to {three_:.1f})" for one, two, three_ in _sorted3(rounds, names)]
            rows.append((NAMES[prefix], f"{rate:,}", *cells, f"{row[f'{prefix}cores']:.2f}"))
    over = figures["overload"]
    top = max(figures["rates"], key=lambda row: int(row["rate"]))
    targets = [
        f"{value:.0f} ms (target {aim})"
        for value, aim in ((top["p99_ms"], 25), (top["p999_ms"], 50), (top["at_least_once_p99_ms"], 10))
    ]
    return [
        "`assay bench latency`: from the moment a payment was due to its score in a read_committed reader, ms; median of the rounds",
        "(lowest to highest). Open loop: the generator, a process of its own, keeps to its clock whatever happened to earlier payments,",
        "so a stall counts for every payment that was due in it. 20,000 cards, four partitions, a snapshot every 10 s.",
        "",
        *table(("contender", "payments/s", "p50", "p99", "p99.9", "cores"), rows, left=1),
        "",
        "Cores: those that the contender's own process kept busy, the broker's not counted. With little to do a scorer makes small",
        "batches, for latency, and as many transactions as `ASSAY_TRANSACTIONS_PER_S_MAX` allows; a lower number saves cores.",
        "",
        f"At {top['rate']:,}/s: p99 {targets[0]}, p99.9 {targets[1]}; at least once p99 {targets[2]}.",
        "",
        f"Overload: {over['offered_per_s']:,.0f}/s due, of which the generator sent {over['sent_per_s']:,.0f}/s on the shared cores, to a",
        f"scorer that does {over['capacity_per_s']:,.0f}/s. The lag grew to {over['lag_records']:,.0f} records, p50 to "
        f"{over['p50_ms'] / 1000:.1f} s and p99 to {over['p99_ms'] / 1000:.1f} s;",
        f"it was drained in {over['drained_s']:.1f} s. {over['lost']:.0f} lost, {over['repeated']:.0f} repeated.",
    ]


def slowest(record: Record) -> list[str]:
    """Where the slowest payments were."""
    figures = record.figures
    rows = [
        (words, *(f"{figures['parts_ms'][name][key]:.2f}" for key in ("slowest", "slowest_max", "all")))
        for name, words in PARTS.items()
    ]
    moments = [
        (
            f"{moment['at_s']:.2f}",
            moment["payments"],
            f"{moment['ms_max']:.1f}",
            ", ".join(f"{PARTS[name]} {ms:.1f}" for name, ms in moment["longest"].items()),
        )
        for moment in figures["moments"]
    ]
    return [
        f"`assay bench latency --slowest {figures['slowest']}`: one run of a scorer, exactly once, at {figures['rate']:,}/s (p50 "
        f"{figures['p50_ms']:.1f},",
        f"p99 {figures['p99_ms']:.1f}, p99.9 {figures['p999_ms']:.1f} ms). The parts of a payment's way from due to read, ms; all: payments",
        "taken evenly out of the run.",
        "",
        *table(("part of the way", "slowest, mean", "slowest, most", "all, mean"), rows),
        "",
        *table(("second of the run", "payments", "slowest, ms", "most of it, ms"), moments, left=0),
    ]


def _sorted3(rounds: dict[str, list[float]], names: tuple[str, ...]) -> list[tuple[float, float, float]]:
    return [(min(rounds[name]), statistics.median(rounds[name]), max(rounds[name])) for name in names]


def restart(record: Record) -> list[str]:
    """To the first score."""
    figures = record.figures
    rows = [(name.replace("_", " "), *three(values, ".1f")) for name, values in figures["rounds"].items()]
    return [
        f"`assay bench restart`: from the start of a process to its first committed score, {figures['cards']:,} cards known.",
        "",
        *table(("restart", "minimum, s", "median", "maximum"), rows),
        "",
        f"Target: under 10 s with a snapshot. Memory {figures['scorer_memory_mb']:,} MB (target under 1,500), snapshots "
        f"{figures['snapshot_mb']:,} MB. {figures['compared']:,}",
        f"scores replayed offline afterwards: {figures['differing']} differ.",
    ]


def startup(record: Record) -> list[str]:
    """To ready."""
    figures = record.figures
    rows = [(name, *three(values, ".2f")) for name, values in figures["rounds"].items()]
    met = "met" if figures["ready_s"] <= figures["target_s"] else "missed"
    return [
        "`assay bench startup`: from the start of a process to ready, kernels compiled before, four empty partitions; and a process",
        "that only imports what a scorer imports.",
        "",
        *table(("start", "minimum, s", "median", "maximum"), rows),
        "",
        f"The target of {figures['target_s']:.0f} s is {met}.",
    ]


def swaps(record: Record) -> list[str]:
    """Calm and swapping."""
    figures = record.figures
    rows = [
        (name, f"{figures[f'{name}_ms_p50']:.0f}", f"{figures[f'{name}_ms_p99']:.0f}") for name in ("calm", "swapping")
    ]
    return [
        f"`assay bench swaps`: {figures['swaps']:,} model swaps over {figures['payments']:,} payments, one run. Latency from a payment's",
        "timestamp to its score, without swaps and with them.",
        "",
        *table(("", "p50, ms", "p99, ms"), rows),
        "",
        f"{figures['missing']} scores missing, {figures['duplicate']} repeated, {figures['partitions_with_mixed_versions']} partitions with "
        f"mixed versions, {figures['rolled_back']} swaps rolled back;",
        f"memory grew by {figures['rss_kb_per_swap_second_half']} kB a swap in the second half.",
    ]


def policy(record: Record) -> list[str]:
    """With and without, and batches alone."""
    figures = record.figures
    rows = [
        (name, f"{figures[f'records_per_s{key}']:,}", f"{figures[f'p99_ms{key}']:.1f}")
        for name, key in (("with the policy", ""), ("without", "_without"))
    ]
    batches = [(name.split("_")[1], f"{figures[name]:.3f}") for name in figures if name.startswith("batch_")]
    return [
        f"`assay bench policy`: {figures['rules']} rules, {figures['lists']} lists with {figures['entries']:,} entries in all, scorers with and",
        f"without them in turn. Latency at {figures['rate']:,}/s, from due to committed score.",
        "",
        *table(("", "records/s", "p99, ms"), rows),
        "",
        *table(("rows of a batch", "rules alone, ms"), batches),
    ]


def monitor(record: Record) -> list[str]:
    """By rate."""
    figures = record.figures
    rows = [
        (
            f"{int(rate):,}",
            f"{statistics.median(runs['sums']):,.0f}",
            f"{statistics.median(runs['decisions']):,.0f}",
            *three(runs["cpu_share"], ".1%"),
        )
        for rate, runs in figures["rounds"].items()
    ]
    head = ("payments/s", "records of sums", "decisions read", "minimum, of one core", "median", "maximum")
    return [
        f"`assay bench monitor`: a monitor beside a scorer for {figures['seconds']:.0f} s at each rate. It reads sums, one a second and "
        "partition at most, and the decisions",
        "that the scorer records: every alert and ASSAY_DECISION_SHARE of the rest. It never reads raw payments.",
        "",
        *table(head, rows, left=0),
        "",
        "The sums, and with them what drift costs, are the same at any rate. The decisions grow with it, and with the share of them that is",
        "recorded: lower that share to lower the cost.",
    ]


def observability(record: Record) -> list[str]:
    """Off, on, traced."""
    figures = record.figures
    rows = [
        (name, *three(values), f"{figures[f'{name}_cpu_us_per_record']:.2f}")
        for name, values in figures["rates"].items()
    ]
    return [
        f"`assay bench observability`: {figures['records']:,} payments; *off* is the same scorer with every metric replaced by nothing.",
        "",
        *table(("scorer", "minimum, records/s", "median", "maximum", "processor, us a record"), rows),
        "",
        f"Metrics and logs cost {figures['cost_share']:.1%} of throughput (target 3 %) and {figures['cpu_cost_share']:.1%} of processor "
        f"time; with traces {figures['cost_share_traced']:.1%}",
        f"and {figures['cpu_cost_share_traced']:.1%}.",
    ]


def console(record: Record) -> list[str]:
    """By kind of request."""
    figures = record.figures
    rows = [(name, f"{one['p50_ms']:.1f}", f"{one['p95_ms']:.1f}") for name, one in figures["kinds"].items()]
    return [
        f"`assay bench console`: {figures['cases']:,} cases on the log; the console made its database (SQLite) of them in "
        f"{figures['rebuild_s']:,.1f} s, {figures['rebuild_cases_per_s']:,} a second. Then one",
        f"client asked each kind of page {figures['requests']:,} times in turn. Queue and search are to stay below 200 ms.",
        "",
        *table(("request", "p50, ms", "p95, ms"), rows),
    ]
