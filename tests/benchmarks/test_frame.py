"""What the benchmarks share: records, their order, and options that cannot be used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import page, record
from tests.services.harness import ROOT

STARTUP = {"ready_s": 2.5, "imports_s": 1.0, "target_s": 2.0, "rounds": {"imports": [1.0, 0.9], "ready": [2.5, 2.4]}}


def kept(**changes: object) -> record.Record:
    """A record of startup."""
    return record.now(
        "startup", {"rounds": 2}, {**STARTUP, **changes, **record.surroundings(("numpy", "no-such-library"))}
    )


def test_the_newest_record_of_each_benchmark_makes_the_page(tmp_path: Path) -> None:
    """Two of one kind in a file: the second is reported, and the missed target with it."""
    path = tmp_path / "records.jsonl"
    for one in (kept(target_s=3.0), kept()):
        record.append(one, path)
    assert record.newest(path) == {"startup": kept()}
    made = page.pages(path)
    assert set(made) == {"benchmarks.md"}
    assert "The target of 2 s is missed." in made["benchmarks.md"]
    assert "| ready | 2.40 | 2.45 | 2.50 |" in made["benchmarks.md"]
    assert "no-such-library not installed" in made["benchmarks.md"]
    assert "Not recorded yet: `throughput`" in made["benchmarks.md"]


def test_a_line_that_is_no_record_is_refused(tmp_path: Path) -> None:
    """A hand in the file is noticed."""
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"name": "startup"}) + "\n")
    with pytest.raises(ValueError, match="machine"):
        record.newest(path)


def test_contenders_take_turns_and_the_order_turns_round() -> None:
    """So that what changes in the machine meets all alike."""
    order: list[str] = []
    found = record.interleaved({name: lambda name=name: order.append(name) or len(order) for name in "abc"}, 3)
    assert "".join(order) == "abccbaabc"
    assert found == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("latency", "--rate", "-5"), "-5 is not above zero"),
        (("latency", "--environment", "PATH=x"), "--environment takes ASSAY_NAME=VALUE,..., and PATH is none."),
        (("models", "--device", "tpu"), "--device tpu is none of cpu, cuda."),
        (("scale", "--records", "many"), "invalid"),
        (
            ("throughput", "--cards", "1000", "--attributes", "30"),
            "--attributes and --cards are two benchmarks: leave one out.",
        ),
    ],
)
def test_a_wrong_option_gets_a_sentence_and_a_status(arguments: tuple[str, ...], sentence: str) -> None:
    """Before any work."""
    command = [sys.executable, "-m", f"tests.benchmarks.{arguments[0]}", *arguments[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
