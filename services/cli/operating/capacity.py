"""`assay capacity`: what a load needs, by the figures of `assay bench scale`."""

import json as jsonlib
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from models.installation import SHIPPED
from services.cli.output import print_json, results
from services.errors import AssayError

EXAMPLE = "Example: assay capacity --rate 50000 --cards 2000000 --price 0.05"
FIGURES = SHIPPED / "docs" / "benchmarks.jsonl"


def capacity(
    rate: Annotated[float, typer.Option(min=1, help="Payments a second at the peak.")],
    cards: Annotated[int, typer.Option(min=1, help="Cards that are remembered.")] = 100_000,
    message_bytes: Annotated[int, typer.Option(min=50, help="Mean size of a message.")] = 200,
    alert_share: Annotated[float, typer.Option(min=0, max=1, help="Alerts of all payments.")] = 0.005,
    core_share: Annotated[float, typer.Option(min=0.05, max=1, help="How busy a core may be at the peak.")] = 0.6,
    entities: Annotated[int, typer.Option(min=0, max=8, help="Entities that the features read.")] = 0,
    price: Annotated[float | None, typer.Option(min=0, help="Price of a core for an hour: adds the cost.")] = None,
    figures: Annotated[Path, typer.Option(help="Records of benchmarks; the newest one of scale is taken.")] = FIGURES,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Partitions, processes, memory and cost for a load, from figures that `assay bench scale --record` has measured."""
    from rich.table import Table

    from services.cli.operating.capacity_model import CapacityModel, Load

    points = _points(figures)
    try:
        model = CapacityModel(points)
    except ValueError as error:
        raise AssayError(str(error)) from None
    plan = model.plan(Load(rate, cards, message_bytes, alert_share), core_share, price).as_dict()
    plan |= _stages(entities, rate, core_share, figures) if entities else {}
    worst = max((abs(error) for error in model.cpu.errors), default=None)
    if json:
        print_json({**plan, "model_error_max": worst})
        return
    table = Table("needed", "")
    for name, value in plan.items():
        if value is not None:
            table.add_row(name.replace("_", " "), f"{value:,}")
    results.print(table)
    if worst is not None:
        results.print(
            f"On loads that it was not fitted to, the model was wrong by {worst:.0%} at most. Brokers come on top."
        )


def _stages(entities: int, rate: float, core_share: float, figures: Path) -> dict[str, Any]:
    """What `assay entities` needs on top, and adds to the latency. Raises AssayError where nothing is measured."""
    from services.cli.training.entity_costs import stage_costs

    costs = stage_costs(figures)
    if costs is None:
        raise AssayError(f"{figures} holds no record of entities: make one with `assay bench entities --record`.")
    cores, (median, late) = rate * costs.cpu_us * (entities + 1) / 1e6, costs.of(entities)
    return {
        "entities_processes": max(1, math.ceil(cores / core_share)),
        "entities_cores": round(cores, 3),
        "entities_added_ms_p50": round(median, 1),
        "entities_added_ms_p99": round(late, 1),
    }


def _points(figures: Path) -> list[dict[str, Any]]:
    """From the newest record of scale. Raises AssayError where there is none."""
    try:
        records = [jsonlib.loads(line) for line in figures.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = [record["figures"]["points"] for record in records if record["name"] == "scale"]
    except (OSError, ValueError, KeyError, TypeError):
        raise AssayError(f"{figures} cannot be read as records of benchmarks: name them with --figures.") from None
    if not found:
        raise AssayError(f"{figures} holds no record of scale: make one with `assay bench scale --record`.")
    points: list[dict[str, Any]] = found[-1]
    return points
