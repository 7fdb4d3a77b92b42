"""A file is the history that it holds: to the same bits as the simulation it was written from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.features.offline import history_features
from models.features.spec_file import load_spec, parse_spec
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


RINGS = load_spec(Path("deploy/features/rings.yaml"))


def test_simulated_rings_have_the_entities_bits_of_a_file() -> None:
    """Whole histories of devices, merchants and payees, of which there are more than cards: none is forgotten."""
    simulation = replace(SIMULATION, rings=True)
    drawn, days = simulated(simulation, RINGS).data, list(generate(simulation))
    rows = {
        name: np.array([value for day in days for value in day.columns.ids[name]], object)
        for name in ("card_id", "terminal_id", "device_id", "payee_id")
    }
    rows["event_time_ms"] = np.concatenate([day.event_time_ms for day in days])
    rows["amount"] = np.concatenate([day.amount for day in days])
    rows["is_fraud"] = np.concatenate([day.is_fraud for day in days])
    of_file = history_features(RINGS, rows, np.zeros(len(drawn), np.int64), 1)
    np.testing.assert_array_equal(of_file.view(np.uint32), drawn.features.view(np.uint32))
    assert len(set(rows["payee_id"])) > simulation.customers


def test_a_file_remembers_every_pair_that_names_an_entity(tmp_path: Path) -> None:
    """More pairs than cards or terminals: each pair is fresh once."""
    spec = parse_spec(
        "version: 1\nkeys: {card: card_id}\nentities: {pair: {id: [card_id, terminal_id]}}\n"
        "features:\n  - {name: pair_age, kind: since, key: pair, event: first, at_most: 30d}\n"
    )
    pairs = [(card, terminal) for card in range(20) for terminal in range(20)] * 2
    frame = pl.DataFrame(
        {
            "transaction_id": [f"t{number}" for number in range(len(pairs))],
            "card_id": [f"card-{'abcdefghijklmnopqrst'[card]}" for card, _ in pairs],
            "terminal_id": [f"terminal-{terminal}" for _, terminal in pairs],
            "event_time_ms": [1_767_225_600_000 + 1_000 * number for number in range(len(pairs))],
            "amount": [5.0] * len(pairs),
            "FRAUD": [0] * len(pairs),
        }
    )
    frame.write_parquet(tmp_path / "pairs.parquet")
    ages = read_history(tmp_path / "pairs.parquet", {}, "FRAUD", spec, options=UTC).data.features[:, 0]
    assert (ages[400:] == 400.0).all()


def test_features_of_what_no_simulation_has_are_one_sentence() -> None:
    """What is lacking, and what gives it."""
    with pytest.raises(
        TrainingError, match=r"The features read device_id, payee_id, .* or --rings for device_id and payee_id\.$"
    ):
        simulated(SIMULATION, RINGS)
