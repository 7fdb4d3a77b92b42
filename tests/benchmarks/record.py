"""What a benchmark leaves behind: one line of docs/benchmarks.jsonl, from which the pages come."""

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict

from services.broker.jars import kafka_version

T = TypeVar("T")

DOCS = Path(__file__).parents[2] / "docs"
RECORDS = DOCS / "benchmarks.jsonl"
GB = 1 << 30


class Record(BaseModel):
    """One run of one benchmark."""

    model_config = ConfigDict(frozen=True, strict=False, extra="forbid")

    name: str
    date: date
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    figures: dict[str, Any]

    @property
    def ran_on(self) -> str:
        """Date, machine and versions, as the page says them."""
        machine = self.machine
        libraries = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.date}; {machine['cpus']} cores, {machine.get('model') or machine['processor']}, "
            f"{machine.get('memory_gb', '?')} GB; {libraries}."
        )


def now(name: str, settings: dict[str, Any], result: dict[str, Any]) -> Record:
    """Today's record of a result that holds its machine and versions."""
    figures = {key: value for key, value in result.items() if key not in ("machine", "versions")}
    return Record(
        name=name,
        date=datetime.now(UTC).date(),
        machine=result["machine"],
        versions=result["versions"],
        settings=settings,
        figures=figures,
    )


def append(record: Record, path: Path = RECORDS) -> None:
    """Add one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(record.model_dump_json() + "\n")


def newest(path: Path = RECORDS) -> dict[str, Record]:
    """The last record of each benchmark, by name. Raises ValueError where a line is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [Record.model_validate_json(line) for line in lines if line.strip()]
    return {record.name: record for record in records}


def surroundings(libraries: Iterable[str]) -> dict[str, Any]:
    """`versions` and `machine`, which every result holds; with aiokafka among the libraries, Kafka's own version, too."""
    versions = {"python": platform.python_version(), **{name: _version(name) for name in libraries}}
    if "aiokafka" in versions:
        given = "that of BENCH_BOOTSTRAP" if os.environ.get("BENCH_BOOTSTRAP") else kafka_version()
        versions["kafka"] = os.environ.get("BENCH_KAFKA") or given  # by `every`, which starts the broker
    return {
        "versions": versions,
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.platform(terse=True),
            "processor": platform.machine(),
            "model": _processor(),
            "memory_gb": round(psutil.virtual_memory().total / GB),
        },
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def interleaved(contenders: dict[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Every contender once a round; the order turns round, so that what changes in the machine meets all alike."""
    found: dict[str, list[T]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in list(contenders)[:: 1 if turn % 2 == 0 else -1]:
            found[name].append(contenders[name]())
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> list[str]:
    """A Markdown table; the first `left` columns are words, the others numbers."""
    marks = ["---" if place < left else "---:" for place in range(len(head))]
    return [_row(head), _row(marks), *(_row(row) for row in rows)]


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
