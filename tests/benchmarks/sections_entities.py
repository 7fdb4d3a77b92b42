"""Sections of docs/benchmarks.md on entities."""

from tests.benchmarks.record import Record, table


def rings(record: Record) -> list[str]:
    """Average precision by kind of fraud."""
    figures = record.figures
    rows = [
        (f"{row['scenario']}: {row['words']}", str(row["frauds"]), *(_cell(row, way) for way in ("with", "without")))
        for row in figures["rows"]
    ]
    return [
        f"`assay bench rings`: payments of {figures['customers']:,} simulated cards over {figures['days']} days, with frauds",
        "of many cards at once. Average precision on the test week, of one kind of fraud among what is legitimate: median of",
        "the seeds (lowest to highest).",
        "",
        *table(("kind of fraud", "frauds", "with entities", "without"), rows),
    ]


def entities(record: Record) -> list[str]:
    """By number of entities, beside Kafka Streams."""
    figures = record.figures
    columns = {"records_per_s": ",.0f", "p50_ms": ",.0f", "p99_ms": ",.0f"}
    rows = [
        (name, str(row["entities"]), *(f"{row[prefix + column]:{form}}" for column, form in columns.items()))
        for row in figures["rows"]
        for prefix, name in (("", "**Assay**"), ("streams_", "Kafka Streams"))
        if f"{prefix}records_per_s" in row
    ]
    costs = ", ".join(f"{row['entities']}: {row['entities_cpu_us']:.1f} us" for row in figures["rows"])
    return [
        f"`assay bench entities`: {figures['records']:,} payments worked off, then {figures['rate']:,} a second, from due to",
        "committed score; exactly once both, a process each for Assay's stages and scorer, Kafka Streams with its default",
        "commit interval (100 ms). The median of the rounds.",
        "",
        *table(("", "entities", "records/s", "p50, ms", "p99, ms"), rows, left=0),
        "",
        f"Processor time of `assay entities` a payment, by the number of entities: {costs}.",
    ]


def memory(record: Record) -> list[str]:
    """Of one entity with very many ids."""
    figures = record.figures
    names = ("memory_mb", "said_mb", "bytes_per_id", "further_ids_mb")
    times = ("with_room_us", "without_room_us")
    cells = [f"{figures[name]:,}" for name in names] + [f"{figures[name]:.1f}" for name in times]
    return [
        f"`assay bench entities --ids {figures['ids']}`: every device pays once, on {figures['partitions']} partitions in one",
        "process; then a tenth as many for which there is no room. Beside it the memory that `assay features explain` says.",
        "",
        *table(("MB", "said, MB", "bytes an id", "MB by further ids", "us a payment", "without room, us"), [cells]),
    ]


def _cell(row: dict[str, object], way: str) -> str:
    rounds = row[f"rounds_{way}"]
    assert isinstance(rounds, list)
    return f"{row[f'ap_{way}']:.3f} ({min(rounds):.3f} to {max(rounds):.3f})"
