"""A generator of payments trained from nothing to a directory that streams."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from models.generation.artefact import load_generator
from models.generation.payments import COLUMNS, generate_payments
from models.generation.sampler import marginals
from models.simulation.settings import SimulationSettings
from models.training.data import TrainingError
from models.training.generator.fit_gan import GanSettings
from models.training.generator.payment_rows import file_rows, payment_rows, simulated_rows
from models.training.generator.train import GeneratorSettings, train_generator
from services.cli.app import app

pytestmark = pytest.mark.train

SMALL = GeneratorSettings(seed=3, customers=150, days=3, gan=GanSettings(steps=5))


@pytest.mark.slow
def test_the_same_settings_give_the_same_files_and_they_stream(tmp_path: Path) -> None:
    """Byte for byte, and through `assay train generator` too."""
    manifest = train_generator(SMALL, tmp_path / "one")
    options = ["--seed", "3", "--customers", "150", "--days", "3", "--steps", "5", "--json"]
    done = CliRunner().invoke(app, ["train", "generator", "--out", str(tmp_path / "two"), *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["data_digest"] == manifest.data_digest
    for name in ("manifest.json", "generator.onnx"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    artefact = load_generator(tmp_path / "one")
    assert artefact.manifest.network == "reference"
    assert {"detection_auc", "ks_mean", "correlation_difference_max", "nearest_distance_ratio"} <= set(manifest.quality)
    days = list(islice(generate_payments(artefact, SimulationSettings(1, 150, 300, days=None)), 8))
    assert sum(len(day) for day in days) > 1_000


def test_the_recorded_columns_are_those_of_the_payments() -> None:
    """Their quantiles, as the committed generator records them for its own settings' payments."""
    manifest = load_generator(Path("deploy/generators/payments")).manifest
    recorded = GeneratorSettings(seed=manifest.seed, **{k: manifest.settings[k] for k in ("customers", "days")})  # type: ignore[arg-type]
    payments = simulated_rows(
        SimulationSettings(recorded.seed, recorded.customers, 2 * recorded.customers, days=recorded.days)
    )
    assert payments.digest() == manifest.data_digest
    rows = payments.rows[~payments.held_out()]
    assert len(rows) == manifest.records
    at = np.array([0.1, 0.5, 0.9], np.float32)
    for column, values in zip(marginals(manifest.columns), rows.T, strict=True):
        assert column.quantile(at) == pytest.approx(np.quantile(values, at), rel=0.02)


def test_the_committed_generator_is_like_its_payments_and_copies_none() -> None:
    """As recorded: marginals and correlations close, and no nearer to the training rows than other real payments."""
    quality = load_generator(Path("deploy/generators/payments")).manifest.quality
    assert quality["ks_max"] < 0.1
    assert quality["correlation_difference_max"] < 0.1
    assert quality["detection_auc"] < quality["detection_auc_independent"]
    assert quality["nearest_distance_ratio"] > 0.9
    assert quality["copied_share"] <= quality["copied_share_held_out"] + 0.01


def test_a_file_gives_its_legitimate_payments_as_rows(tmp_path: Path) -> None:
    """Amount, second of the day, weekday, the card's mean; what is labelled fraud is left out."""
    monday = 1_785_110_400_000  # 2026-07-27, a Monday
    frame = pl.DataFrame(
        {
            "transaction_id": [f"tx-{i}" for i in range(400)],
            "event_time_ms": [monday + (i // 200) * 86_400_000 + 3_600_000 for i in range(400)],
            "CUSTOMER": [f"card-{chr(97 + i % 20)}{chr(97 + i // 20 % 10)}" for i in range(400)],
            "terminal_id": ["t-1"] * 400,
            "amount": [10.0 if i < 200 else 30.0 for i in range(400)],
            "currency": ["EUR"] * 400,
            "bad": [i == 399 for i in range(400)],
        }
    )
    frame.write_parquet(tmp_path / "payments.parquet")
    payments = file_rows(tmp_path / "payments.parquet", {"card_id": "CUSTOMER"}, "bad")
    assert len(payments.rows) == 399
    assert payments.end_ms == monday + 2 * 86_400_000
    assert dict(zip(COLUMNS, payments.rows[0].tolist(), strict=True)) == {
        "amount": 10.0,
        "second_of_day": 3600.0,
        "weekday": 0.0,
        "card_mean_amount": 20.0,
    }
    assert payments.rows[-1, 2] == 1.0


def test_too_few_cards_are_refused() -> None:
    """One sentence."""
    with pytest.raises(TrainingError, match="100 at least"):
        payment_rows(np.arange(99), np.arange(99), np.ones(99), "few")
