"""What released versions scored is found again, bit for bit, and a difference would be."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from numpy._core._multiarray_umath import __cpu_features__ as cpu_features
from typer.testing import CliRunner

from services.cli.app import app

HISTORIES = Path(__file__).parents[2] / "histories"
SCORES = {"0.1": 2_977}


def replayed(version: str, archive: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, object]]:
    """Exit status and verdict of `assay replay` on a recorded log, with the bundle that scored it."""
    monkeypatch.setenv("ASSAY_BUNDLE", str(HISTORIES / version / "bundle"))
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", str(HISTORIES / version / "bundle.pub"))
    result = CliRunner().invoke(app, ["replay", "--archive", str(archive), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_every_history_is_replayed() -> None:
    """One that no test reads would keep nothing."""
    assert {path.name for path in HISTORIES.iterdir() if path.is_dir()} == set(SCORES)


@pytest.mark.parametrize("version", SCORES)
def test_a_released_version_s_scores_are_found_again_bit_for_bit(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the vector width that they were recorded with; elsewhere each score has its input."""
    status, verdict = replayed(version, HISTORIES / version / "archive", monkeypatch)
    assert (verdict["compared"], verdict["not_emitted"], verdict["not_replayed"]) == (SCORES[version], 0, 0)
    if cpu_features["AVX512F"]:
        assert (status, verdict["differing"]) == (0, 0)


def test_a_score_that_is_another_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last digit of one probability."""
    archive = tmp_path / "archive"
    shutil.copytree(HISTORIES / "0.1" / "archive", archive)
    (path,) = (archive / "scores").iterdir()
    scores = pl.read_parquet(path)
    values = scores["value"].to_list()
    score = json.loads(values[7])
    values[7] = json.dumps({**score, "probability": score["probability"] * (1 + 1e-6)}).encode()
    scores.with_columns(pl.Series("value", values, pl.Binary)).write_parquet(path)
    status, verdict = replayed("0.1", archive, monkeypatch)
    assert status == 1
    assert verdict["differing"]
