"""`assay capacity`: a plan from measured points, and one sentence where there are none."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.operating.capacity_model import CapacityModel, Load
from services.errors import AssayError


def points() -> list[dict[str, Any]]:
    """Of a law: 10 us a record, 2 us a kB, 400 us an alert; 150 MB, 0.7 MB a thousand cards. The last is held out, and off."""
    found = [
        {
            "partitions": partitions,
            "processes": 1,
            "cards": cards,
            "alert_share": share,
            "bytes": size,
            "held_out": False,
            "cpu_us_per_record": 10 + 2 * size / 1000 + 400 * share,
            "rss_mb_max": 150 + 0.7 * cards / 1000,
        }
        for partitions, cards, share, size in itertools.product((1, 8), (1000, 100_000), (0.001, 0.1), (200, 8000))
    ]
    last = {**found[-1], "held_out": True}
    last["cpu_us_per_record"] = last["cpu_us_per_record"] / 1.25
    return [*found, last]


def test_the_fewest_processes_that_are_not_too_busy() -> None:
    """50,000/s at 10 + 1 + 2 = 13 us are 0.65 cores: two processes at 60 %, and four partitions over them."""
    plan = CapacityModel(points()).plan(Load(50_000, 1_000_000, 500, 0.005), 0.6, 0.10)
    assert (plan.partitions, plan.processes) == (4, 2)
    assert plan.cores == pytest.approx(0.65)
    assert plan.busiest_core_share == pytest.approx(0.325)
    assert plan.memory_mb_per_process == pytest.approx(150 + 0.7 * 500)
    assert plan.cost_per_month == pytest.approx(2 * 0.10 * 730)


@pytest.mark.parametrize("rate", [1, 40_000, 300_000, 2_000_000])
def test_one_process_fewer_would_be_too_busy(rate: int) -> None:
    """Or it is the only one; and none of the plan's is."""
    plan = CapacityModel(points()).plan(Load(rate, 100_000, 200, 0.001), 0.6)
    assert plan.busiest_core_share <= 0.6
    assert plan.processes == 1 or plan.cores / (plan.processes - 1) > 0.6 * 0.5
    assert plan.partitions >= plan.processes


def test_the_error_is_that_on_points_held_out() -> None:
    """The law says 25 % more than was measured there."""
    model = CapacityModel(points())
    assert model.cpu.errors == pytest.approx((0.25,))
    assert model.memory.errors == pytest.approx((0.0,), abs=1e-6)


def test_no_term_is_below_zero() -> None:
    """Noise would make partitions cheaper than none; such a term is left out."""
    noisy = [
        {**point, "cpu_us_per_record": point["cpu_us_per_record"] - 0.2 * point["partitions"]} for point in points()
    ]
    assert all(value >= 0 for value in CapacityModel(noisy).cpu.coefficients.values())


def test_the_command_reads_the_newest_record(tmp_path: Path) -> None:
    """JSON lines, of which the last of scale counts."""
    lines = [{"name": "scale", "figures": {"points": points()[:1]}}, {"name": "scale", "figures": {"points": points()}}]
    lines += [{"name": "latency", "figures": {}}]
    file = tmp_path / "benchmarks.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = CliRunner().invoke(app, ["capacity", "--rate", "50000", "--figures", str(file), "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.output)
    assert answer["processes"] == 2
    assert answer["model_error_max"] == pytest.approx(0.25)
    shown = CliRunner().invoke(app, ["capacity", "--rate", "50000", "--figures", str(file)])
    assert "wrong by 25% at most" in shown.output


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("no json", "cannot be read"),
        ("", "holds no record of scale"),
        (json.dumps({"name": "scale", "figures": {"points": points()[:2]}}), "too few"),
    ],
)
def test_without_figures_it_says_what_to_do(tmp_path: Path, content: str | None, sentence: str) -> None:
    """One sentence, no traceback."""
    file = tmp_path / "benchmarks.jsonl"
    if content is not None:
        file.write_text(content)
    done = CliRunner().invoke(app, ["capacity", "--rate", "1", "--figures", str(file)])
    assert isinstance(done.exception, AssayError)
    assert sentence in str(done.exception)


def test_the_stages_of_entities_are_planned_from_their_own_record(tmp_path: Path) -> None:
    """20 us a hop of three, at 50,000/s: 3 cores, five processes at 60 %. Without a record a sentence."""
    file, bare = tmp_path / "benchmarks.jsonl", tmp_path / "bare.jsonl"
    rows = [
        {"entities": 0, "p50_ms": 10.0, "p99_ms": 20.0, "entities_cpu_us": 0.0},
        {"entities": 3, "p50_ms": 30.0, "p99_ms": 60.0, "entities_cpu_us": 80.0},
    ]
    scale = {"name": "scale", "figures": {"points": points()}}
    stages = {"name": "entities", "date": "2026-11-29", "machine": {"cpus": 2}, "figures": {"rate": 1000, "rows": rows}}
    bare.write_text(json.dumps(scale))
    file.write_text(f"{json.dumps(scale)}\n{json.dumps(stages)}\n")
    command = ["capacity", "--rate", "50000", "--entities", "2", "--json", "--figures"]
    answer = json.loads(CliRunner().invoke(app, [*command, str(file)]).output)
    assert (answer["entities_cores"], answer["entities_processes"]) == (3.0, 5)
    assert (answer["entities_added_ms_p50"], answer["entities_added_ms_p99"]) == (15.0, 30.0)
    refused = CliRunner().invoke(app, [*command, str(bare)])
    assert isinstance(refused.exception, AssayError)
    assert "holds no record of entities: make one with `assay bench entities --record`" in str(refused.exception)
