"""A file is the history that it holds: to the same bits as the simulation it was written from."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.features.spec_file import load_spec
from models.files.options import ReadOptions, TableError
from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from models.training.data import TrainingError
from models.training.fraud.file_history import read_history
from models.training.fraud.history import simulated

SPEC = load_spec(Path("deploy/features/fraud.yaml"))
SIMULATION = SimulationSettings(seed=3, customers=60, terminals=40, days=20)
UTC = ReadOptions(time_zone="UTC")
NAMES = {"card_id": "CUSTOMER", "event_time_ms": "WHEN", "amount": "AMOUNT"}


@pytest.fixture(scope="module")
def payments() -> pl.DataFrame:
    """The simulation as a file of another system would have it: dates, other names, no order."""
    days = list(generate(SIMULATION))
    columns = {
        name: [value for day in days for value in getattr(day, name)] for name in ("transaction_id", "terminal_id")
    }
    frame = pl.DataFrame(
        {
            **columns,
            "CUSTOMER": [card for day in days for card in day.card_id],
            "WHEN": np.concatenate([day.event_time_ms for day in days]),
            "AMOUNT": np.concatenate([day.amount for day in days]),
            "FRAUD": np.concatenate([day.is_fraud for day in days]).astype(int),
            "KIND": np.concatenate([day.scenario for day in days]),
        }
    )
    return frame.with_columns(pl.from_epoch("WHEN", "ms"))


def test_a_file_gives_the_simulations_bits(payments: pl.DataFrame, tmp_path: Path) -> None:
    """Features, days, frauds and their kinds; cards are numbered in the order they come."""
    payments.write_parquet(tmp_path / "payments.parquet")
    read = read_history(tmp_path / "payments.parquet", NAMES, "FRAUD", SPEC, "KIND", options=UTC)
    drawn = simulated(SIMULATION, SPEC)
    assert (read.first_day, read.days) == (drawn.first_day, drawn.days)
    assert read.data.digest() == drawn.data.digest()


def test_what_the_stream_would_refuse_is_left_out_and_counted(payments: pl.DataFrame, tmp_path: Path) -> None:
    """No amount, a card number, a repeated id; the rest as if they had not been there."""
    bad = payments.head(3).with_columns(
        transaction_id=pl.Series(["n1", "n2", payments["transaction_id"][0]]),
        AMOUNT=pl.Series([None, 5.0, 5.0]),
        CUSTOMER=pl.Series(["abc", "4111111111111111", "abc"]),
    )
    both = pl.concat([payments, bad])
    both.write_parquet(tmp_path / "both.parquet")
    payments.write_parquet(tmp_path / "good.parquet")
    read = read_history(tmp_path / "both.parquet", NAMES, "FRAUD", SPEC, "KIND", options=UTC)
    assert (
        read.data.digest()
        == read_history(tmp_path / "good.parquet", NAMES, "FRAUD", SPEC, "KIND", options=UTC).data.digest()
    )
    assert read.source == "Payments of the file both.parquet. 3 rows that the stream would refuse were left out."


def test_a_file_without_kinds_of_fraud_has_none(payments: pl.DataFrame, tmp_path: Path) -> None:
    """All of scenario 0, frauds as they are."""
    payments.write_csv(tmp_path / "payments.csv")
    read = read_history(tmp_path / "payments.csv", NAMES, "FRAUD", SPEC, options=UTC)
    assert read.data.is_fraud.sum() == payments["FRAUD"].sum()
    assert not read.data.scenario.any()


def test_a_file_of_nothing_usable_and_a_missing_column_are_refused(payments: pl.DataFrame, tmp_path: Path) -> None:
    """One sentence each, with what to do."""
    path = tmp_path / "payments.parquet"
    payments.with_columns(AMOUNT=pl.lit(-1.0)).write_parquet(path)
    with pytest.raises(TrainingError, match="holds no payment that could be scored"):
        read_history(path, NAMES, "FRAUD", SPEC, options=UTC)
    with pytest.raises(TableError, match="no column LABEL"):
        read_history(path, NAMES, "LABEL", SPEC, options=UTC)
    with pytest.raises(TableError, match="no column SORT"):
        read_history(path, NAMES, "FRAUD", SPEC, "SORT", options=UTC)
