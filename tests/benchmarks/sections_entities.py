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


def _cell(row: dict[str, object], way: str) -> str:
    rounds = row[f"rounds_{way}"]
    assert isinstance(rounds, list)
    return f"{row[f'ap_{way}']:.3f} ({min(rounds):.3f} to {max(rounds):.3f})"
