"""What entities add to the latency, and cost in processor time: by the newest record of `assay bench entities`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.installation import SHIPPED

FIGURES = SHIPPED / "docs" / "benchmarks.jsonl"


@dataclass(frozen=True, slots=True)
class StageCosts:
    """Of one entity more, measured. cpu_us: of `assay entities`, a record. ran_on: machine, date and load in words."""

    added_ms_p50: float
    added_ms_p99: float
    cpu_us: float
    ran_on: str

    def of(self, entities: int) -> tuple[float, float]:
        """What so many entities add to the median and to the 99th percentile, ms: a hop for each, and one more."""
        return self.added_ms_p50 * (entities + 1), self.added_ms_p99 * (entities + 1)


def stage_costs(figures: Path = FIGURES) -> StageCosts | None:
    """From the newest record, by its row of the most entities; None where nothing is recorded."""
    try:
        records = [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = [record for record in records if record["name"] == "entities"]
        return _costs(found[-1]) if found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _costs(record: dict[str, Any]) -> StageCosts | None:
    rows = {row["entities"]: row for row in record["figures"]["rows"]}
    most = max(rows)
    if not most or 0 not in rows:
        return None
    with_, without = rows[most], rows[0]
    machine = record["machine"]
    return StageCosts(
        added_ms_p50=max(0.0, (with_["p50_ms"] - without["p50_ms"]) / (most + 1)),
        added_ms_p99=max(0.0, (with_["p99_ms"] - without["p99_ms"]) / (most + 1)),
        cpu_us=with_["entities_cpu_us"] / (most + 1),
        ran_on=f"{record['figures']['rate']:,} payments a second on {machine['cpus']} cores, {record['date']}",
    )
