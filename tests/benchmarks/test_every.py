"""The plan of the one run: that it names what the pages have, with options that exist, and what it says of its time."""

import importlib
import inspect
import re
import subprocess
from types import SimpleNamespace

import pytest

from tests.benchmarks import every, page
from tests.services.harness import ROOT

APART = {"console", "rings", "swaps", "models-cuda"}
"""Each for the reason that the module gives."""


def test_the_one_run_makes_every_section_but_those_that_say_why_not() -> None:
    """A new benchmark is planned, or named here."""
    assert set(every.PLAN) == set(page.SECTIONS) - APART
    assert all(name.partition("-")[0] in str(every.__doc__) for name in APART)


@pytest.mark.parametrize("name", every.PLAN)
def test_each_planned_benchmark_has_the_options_that_it_is_given(name: str) -> None:
    """By the names of what it measures with, each of which is an option."""
    planned = every.PLAN[name]
    taken = inspect.signature(importlib.import_module(f"tests.benchmarks.{planned.module}").measure).parameters
    switches = {switch.removeprefix("--").replace("-", "_") for switch in planned.switches}
    assert {*planned.options, *switches} <= set(taken)


def test_the_one_run_takes_about_the_minutes_that_make_help_says() -> None:
    """By its own estimates."""
    said = re.search(r"recorded in docs: (\d+) minutes", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert said is not None
    assert sum(every.estimates(list(every.PLAN)).values()) / 60 == pytest.approx(int(said[1]), abs=3)


def test_more_of_anything_takes_longer() -> None:
    """Each option but the shares and prices counts in the estimate."""
    for name, planned in every.PLAN.items():
        for option in set(planned.options) - {"core_hour_price", "slowest", "rate", "attributes"}:
            more = {**planned.options, option: 10 * planned.options[option]}
            if name in ("features", "attributes", "reasons") and option in ("records", "events"):
                continue  # rounds of a fixed size are most of it
            assert every.seconds(name, more) > every.seconds(name, planned.options), (name, option)


def test_one_that_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are run, the failed one is named at the end, and the exit status says so."""
    run: list[list[str]] = []

    def done(command: list[str], **options: object) -> object:
        run.append(command)
        return SimpleNamespace(returncode=int("tests.benchmarks.models" in command))

    monkeypatch.setattr(subprocess, "run", done)
    monkeypatch.setenv("BENCH_BOOTSTRAP", "127.0.0.1:1")
    assert every.main(["models", "startup"]) == 1
    assert [command[2] for command in run] == ["tests.benchmarks.models", "tests.benchmarks.startup"]
    assert all("--record" in command for command in run)
    assert "failed: models" in capsys.readouterr().err


def test_an_unknown_name_and_an_estimate_run_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the names there are; a table with the sum."""
    monkeypatch.delattr(subprocess, "run")
    assert every.main(["latencies"]) == 2
    assert "'latencies' is none of throughput, latency" in " ".join(capsys.readouterr().err.split())
    assert every.main(["--estimate", "startup"]) == 0
    assert "4:20" in capsys.readouterr().err  # 4:08 of them the broker's
