"""docs/capacity.md, and the section on scale of docs/benchmarks.md: from the recorded points to what a load needs."""

from typing import Any

from services.cli.operating.capacity_model import CPU_TERMS, MEMORY_TERMS, CapacityModel, Fit, Load, Terms
from tests.benchmarks.record import Record, table

CORE_SHARE = 0.6
EXAMPLES = (
    Load(2_000, 100_000, 250, 0.005),
    Load(20_000, 1_000_000, 250, 0.005),
    Load(50_000, 5_000_000, 500, 0.005),
    Load(100_000, 10_000_000, 1_000, 0.01),
    Load(100_000, 10_000_000, 1_000, 0.001),
)
POINT = ("partitions", "processes", "cards", "alert_share", "bytes")


def _point(row: dict[str, Any]) -> list[str]:
    return [f"{row['alert_share']:.2%}" if name == "alert_share" else f"{row[name]:,}" for name in POINT]


def scale(record: Record) -> list[str]:
    """Every point."""
    figures = record.figures
    rows = []
    for row in figures["points"]:
        low, high = min(row["rounds_records_per_s"]), max(row["rounds_records_per_s"])
        rate = f"{row['records_per_s']:,.0f} ({low:,} to {high:,})"
        rows.append((*_point(row), rate, f"{row['cpu_us_per_record']:.1f}", f"{row['rss_mb_max']:.0f}"))
    return [
        f"`assay bench scale`: up to {figures['records']:,} payments that wait when the scorers continue; one thing varied at a time, then",
        "several. The broker takes its share of the same cores, so more processes than cores gain nothing here; processor time a",
        "record can be compared between machines. [capacity.md](capacity.md) applies it to a load.",
        "",
        *table(
            (*POINT, "records/s, median (lowest to highest)", "processor, us a record", "memory, MB a process"),
            rows,
            left=0,
        ),
    ]


def _examples(model: CapacityModel) -> list[tuple[object, ...]]:
    """Loads and what they need."""
    return [
        (
            f"{load.rate_per_s:,}",
            f"{load.cards:,}",
            f"{load.message_bytes:,}",
            f"{load.alert_share:.1%}",
            plan.partitions,
            plan.processes,
            f"{plan.cores:.1f}",
            f"{plan.memory_mb_per_process:,.0f}",
        )
        for load, plan in ((load, model.plan(load, CORE_SHARE)) for load in EXAMPLES)
    ]


def capacity(record: Record) -> str:
    """The page. Raises ValueError where the record has too few points."""
    points = record.figures["points"]
    model = CapacityModel(points)
    held_out = [row for row in points if row["held_out"]]
    judged = [
        (*_point(row), f"{row['cpu_us_per_record']:.1f}", f"{cpu:+.0%}", f"{row['rss_mb_max']:.0f}", f"{memory:+.0%}")
        for row, cpu, memory in zip(held_out, model.cpu.errors, model.memory.errors, strict=True)
    ]
    lines = [
        "# Capacity",
        "",
        "What a load needs. Generated from the newest record of `assay bench scale` in `docs/benchmarks.jsonl`; for a load of your own:",
        "`assay capacity --rate 50000 --cards 2000000 --message-bytes 500 --alert-share 0.005 --price 0.05`, where the price is that of",
        f"one core for an hour. Measured: {record.ran_on}",
        "",
        "A process works on one core. It should be busy for at most 60 % of it at the peak, so that a lost process's partitions find",
        "room, and so that latency stays low. Brokers are not counted: they take about as much again, depending on replication. The cores",
        "are those of full batches, as under load; with less to do a process makes smaller batches, for latency, and takes more",
        "([benchmarks.md](benchmarks.md), Latency, has the cores at 2,000/s), up to `ASSAY_TRANSACTIONS_PER_S_MAX`.",
        "The memory is without a full duplicate window: of a load, add 35 bytes for each of 150 s of its payments on the process",
        "(`ASSAY_DUPLICATE_WINDOW_S` and a quarter; 144 MB for 27,500 a second).",
        "",
        *table(
            ("payments/s", "cards", "bytes", "alerts", "partitions", "processes", "cores used", "memory, MB a process"),
            _examples(model),
            left=0,
        ),
        "",
        "## The model",
        "",
        "Least squares on the points where one thing varies at a time, none of the terms below zero.",
        "",
        *_terms("processor time a record, us", model.cpu, CPU_TERMS),
        "",
        *_terms("memory of a process, MB", model.memory, MEMORY_TERMS),
        "",
        "## Error of the model",
        "",
        "On points that it was not fitted to, where several things vary at once (predicted against measured):",
        "",
        *table((*POINT, "processor, us", "model", "memory, MB", "model"), judged, left=0),
        "",
    ]
    return "\n".join(lines)


def _terms(title: str, fit: Fit, terms: Terms) -> list[str]:
    rows = [(name, f"{fit.coefficients.get(name, 0.0):.3g}") for name in terms]
    return table((f"for {title}", ""), rows)
