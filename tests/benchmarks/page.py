"""docs/benchmarks.md and docs/capacity.md, made of the newest record of each benchmark: `python -m tests.benchmarks.page`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks import capacity_page, sections_entities, sections_models, sections_streams
from tests.benchmarks.record import DOCS, RECORDS, Record, newest

Section = tuple[str, Callable[[Record], list[str]]]

SECTIONS: dict[str, Section] = {
    "throughput": ("Throughput", sections_streams.throughput),
    "throughput-attributes": ("Throughput with attributes", sections_streams.throughput_attributes),
    "full-state": ("A full state", sections_streams.full_state),
    "latency": ("Latency", sections_streams.latency),
    "latency-slowest": ("The slowest payments", sections_streams.slowest),
    "answers": ("Answers", sections_streams.answers),
    "intake": ("The routed way", sections_streams.intake),
    "scale": ("Scale", capacity_page.scale),
    "restart": ("Restart", sections_streams.restart),
    "startup": ("Start", sections_streams.startup),
    "swaps": ("Model swaps", sections_streams.swaps),
    "policy": ("Policy", sections_streams.policy),
    "monitor": ("Monitor overhead", sections_streams.monitor),
    "observability": ("Observability overhead", sections_streams.observability),
    "features": ("Features", sections_models.features),
    "attributes": ("Features of attributes", sections_models.attributes),
    "models": ("Models on the CPU", sections_models.models),
    "models-cuda": ("Models on a GPU", sections_models.models),
    "entities": ("Entities", sections_entities.entities),
    "entities-memory": ("Memory of an entity", sections_entities.memory),
    "rings": ("What entities find", sections_entities.rings),
    "reasons": ("Reasons", sections_models.reasons),
    "console": ("Console", sections_streams.console),
}
"""By the name of the record."""

INTRODUCTION = """# Benchmarks

Generated from `docs/benchmarks.jsonl`, which `make bench` appends to; `assay bench NAME` measures without keeping. The figures are of
the machine that each section names, broker, scorer and everything else sharing it. Each is shown with a peer or a bound measured
in the same run, in alternating rounds: the median, with the lowest and the highest round. The bound is a *baseline loop*, the leanest
program that could do the work, or the most that the device computes.

Peers: Faust, Kafka Streams and Flink (where a JDK is installed: the Java runtime that comes with the broker has no compiler; Flink in a
cluster inside its process), Quix Streams (in an environment of its own, which `assay bench throughput --quix` makes: its Kafka client
excludes ours), pandas, Polars and river run here, each as its own documentation shows it; those that score use the same graph in ONNX
Runtime.
"""


def text(records: Mapping[str, Record]) -> str:
    """docs/benchmarks.md: a section for each benchmark that has a record."""
    lines = [INTRODUCTION]
    for name, (title, section) in SECTIONS.items():
        if name in records:
            lines += [f"## {title} ({records[name].date})", "", *section(records[name]), "", records[name].ran_on, ""]
    missing = [f"`{name}`" for name in SECTIONS if name not in records]
    if missing:
        lines += [f"Not recorded yet: {', '.join(missing)}.", ""]
    return "\n".join(lines)


def pages(path: Path = RECORDS) -> dict[str, str]:
    """Every page that the records make, by its file's name."""
    records = newest(path)
    made = {"benchmarks.md": text(records)}
    if "scale" in records:
        made["capacity.md"] = capacity_page.capacity(records["scale"])
    return made


def write() -> None:
    """Write the pages again."""
    for name, content in pages().items():
        (DOCS / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
