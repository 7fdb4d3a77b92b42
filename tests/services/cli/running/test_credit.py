"""The credit commands: train, choose, simulate, tail, verify."""

import asyncio
import json
from pathlib import Path

import polars as pl
import pytest

from models.bundle.load import load_bundle
from models.features.attributes import AttributeMapping
from models.scoring.session import ModelSession
from models.simulation.applications import drawn
from schemas.topics import APPLICATIONS
from tests.services.cli.test_app import run_main
from tests.services.harness import Stream


@pytest.mark.train
def test_train_credit_without_data_trains_on_simulated_applications(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And prints the manifest of what it packed."""
    small = ["--out", str(tmp_path / "bundle"), "--epochs", "1", "--json", "--accept", "logistic"]
    assert run_main(monkeypatch, "train", "credit", *small) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["product"] == "credit"
    assert load_bundle(tmp_path / "bundle").manifest.training.data.startswith("Simulated applications")


@pytest.mark.train
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv is not there"),
        (["--data", "a.csv", "--fetch", "german"], "leave one out"),
        (["--objective", "luck"], "'luck' is no objective"),
        (["--features", "deploy/features/fraud.yaml"], "reads payments, not applications"),
    ],
)
def test_a_mistake_in_training_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 2, no traceback, no bundle."""
    assert run_main(monkeypatch, "train", "credit", "--out", str(tmp_path / "bundle"), *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


async def test_simulated_applications_are_decided_watched_and_verified(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All commands of the product, one after the other."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_CREDIT_GROUP", f"{stream.prefix}credit")
    service = stream.credit()
    assert await asyncio.to_thread(run_main, monkeypatch, "credit", "simulate", "--rate", "500", "--count", "200",
                                   "--bad-share", "0.1", "--json") == 0  # fmt: skip
    sent = json.loads(capsys.readouterr().out)
    assert sent["records"] == 200
    assert sent["bad"] > 0
    await stream.caught_up([service], f"{stream.prefix}credit", APPLICATIONS.name)
    assert service.terminate() == 0
    assert await asyncio.to_thread(run_main, monkeypatch, "verify", "--product", "credit", "--json") == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["inputs"], verdict["dead_letters"]) == (200, sent["bad"])
    assert (
        await asyncio.to_thread(run_main, monkeypatch, "tail", "credit-decisions", "--from-start", "--count", "5") == 0
    )
    shown = capsys.readouterr().out
    assert "applicant ***" in shown
    assert "credit/1@cpu" in shown


def test_a_file_is_judged_as_the_stream_would_and_what_it_refuses_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row by row in the file's order, reasons in words."""
    rows = drawn(60, seed=9, start_ms=0).rows()
    pl.DataFrame([{**row, "PAY_0": None if place == 7 else row["PAY_0"]} for place, row in enumerate(rows)]).write_csv(
        tmp_path / "in.csv"
    )
    arguments = ["credit", "batch", str(tmp_path / "in.csv"), str(tmp_path / "out.parquet"), "--json"]
    assert run_main(monkeypatch, *arguments) == 0
    said, out = json.loads(capsys.readouterr().out), pl.read_parquet(tmp_path / "out.parquet")
    session = ModelSession(load_bundle(Path("deploy/bundles/credit")), "cpu")
    inputs, _ = AttributeMapping(session.bundle.manifest.feature_spec).matrix(rows)
    expected = session.run(inputs).probability
    for place, row in enumerate(out.iter_rows(named=True)):
        if place == 7:
            assert (row["rejected"], row["probability"], row["outcome"]) == ("attribute PAY_0 is missing", None, None)
        else:
            assert row["probability"] == float(expected[place])
            assert ("approved applicants:" in row["reasons"]) == (row["outcome"] != "approve")
    assert said["applications"] == 60
    assert said["rejected"] == 1
    assert said["approve"] + said["decline"] + said.get("refer", 0) == 59
