"""`assay train fraud` on a file: cuts by date, presets and objectives by name, the same bundle again."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.bundle.load import load_bundle
from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from models.training.fraud.train import FraudSettings, recorded, restored
from tests.services.cli.test_app import run_main

pytestmark = pytest.mark.train

CUTS = ["--train-days=9", "--validation-days=5", "--delay-days=3", "--test-days=4", "--from=2026-01-05"]
NAMES = ["--map=card_id=CUSTOMER", "--map=amount=AMOUNT", "--label=FRAUD", "--scenario=KIND"]


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-six simulated days as another system's file."""
    days = list(generate(SimulationSettings(seed=5, customers=200, terminals=150, days=26)))
    frame = pl.DataFrame(
        {
            "transaction_id": [number for day in days for number in day.transaction_id],
            "terminal_id": [terminal for day in days for terminal in day.terminal_id],
            "CUSTOMER": [card for day in days for card in day.card_id],
            "event_time_ms": np.concatenate([day.event_time_ms for day in days]),
            "AMOUNT": np.concatenate([day.amount for day in days]),
            "FRAUD": np.concatenate([day.is_fraud for day in days]).astype(int),
            "KIND": np.concatenate([day.scenario for day in days]),
        }
    )
    path = tmp_path_factory.mktemp("payments") / "payments.parquet"
    frame.write_parquet(path)
    return path


def train(monkeypatch: pytest.MonkeyPatch, payments: Path, out: Path, *options: str) -> int:
    """Exit status of a small training on the file."""
    small = ["--epochs=2", "--no-compared", "--no-gan", "--json", f"--out={out}"]
    small += ["--accept=constant", "--accept=logistic"]
    return run_main(monkeypatch, "train", "fraud", f"--data={payments}", *NAMES, *CUTS, *small, *options)


@pytest.mark.slow
def test_a_file_trains_a_bundle_and_the_same_seed_the_same_one(
    payments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reference network, isotonic calibration, least cost: recorded, cut by the dates, byte for byte the same again."""
    chosen = [
        "--classifier=reference",
        "--calibration=isotonic",
        "--objective=cost:FN=50,FP=1",
        "--seed=3",
        "--permitted-use=Tests.",
    ]
    assert train(monkeypatch, payments, tmp_path / "one", *chosen) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert train(monkeypatch, payments, tmp_path / "two", *chosen) == 0
    bundle = load_bundle(tmp_path / "one")
    assert bundle.digest == load_bundle(tmp_path / "two").digest
    assert manifest["thresholds"]["objective"].startswith("the least cost on validation")
    assert manifest["training"]["settings"]["classifier"]["hidden"] == [10]
    assert manifest["training"]["data"] == "Payments of the file payments.parquet."
    days = [group["name"] for group in manifest["evaluation"]["by_day"]]
    assert days == ["2026-01-22", "2026-01-23", "2026-01-24", "2026-01-25"]
    assert bundle.manifest.owner == "The user who trained it on their own payments"
    assert bundle.manifest.permitted_use == "Tests."


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--from=2027-01-01", "is not among the 26 days"),
        ("--from=soon", "is no date"),
        ("--objective=luck", "is no objective"),
        ("--test-days=40", "do not hold the cuts"),
        ("--label=ANSWER", "has no column ANSWER"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    payments: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    sentence: str,
) -> None:
    """Status 2, and no bundle."""
    assert train(monkeypatch, payments, tmp_path / "none", option) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_rings_are_simulated_or_a_file_is_read_not_both(
    payments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence."""
    assert train(monkeypatch, payments, tmp_path / "out", "--rings") == 2
    assert "--rings is of simulated payments, and --data gives others: leave one out." in capsys.readouterr().err


@pytest.mark.slow
def test_a_bundle_of_simulated_rings_names_their_kinds_and_says_so_in_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Features and source are those that come with it; a bundle of other payments has no such setting."""
    small = ["--epochs=1", "--no-compared", "--no-gan", "--json", "--days=14", "--customers=800"]
    small += ["--accept=constant", "--accept=logistic"]
    small += ["--validation-days=4", "--delay-days=2", "--test-days=3"]
    assert run_main(monkeypatch, "train", "fraud", "--rings", f"--out={tmp_path / 'out'}", *small) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["training"]["settings"]["rings"] is True
    assert set(manifest["feature_spec"]["entities"]) == {"device", "merchant", "payee"}
    assert set(manifest["source"]["attributes"]) == {"device_id", "payee_id"}
    assert {"scenario 4", "scenario 5", "scenario 6"} <= {row["name"] for row in manifest["evaluation"]["by_scenario"]}
    trained = load_bundle(tmp_path / "out").manifest
    assert restored(trained).rings
    assert "rings" not in recorded(FraudSettings(trained.feature_spec, source=trained.source))
