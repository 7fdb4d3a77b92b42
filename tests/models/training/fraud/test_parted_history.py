"""A file that is read part by part is the history that it is when it is read whole."""

from dataclasses import replace
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
from models.training.fraud.history import History
from models.training.fraud.parted_history import PartedFile, Seen, parted_history
from models.training.mapped import is_mapped
from models.training.progress import silent

SPEC = load_spec(Path("deploy/features/fraud.yaml"))
UTC = ReadOptions(time_zone="UTC")
NAMES = {"card_id": "CUSTOMER", "event_time_ms": "WHEN", "amount": "AMOUNT"}


@pytest.fixture(scope="module")
def payments() -> pl.DataFrame:
    """Six days of another system's file, in order of days and not within them, with what the stream would refuse."""
    days = list(generate(SimulationSettings(seed=3, customers=60, terminals=40, days=6)))
    frame = pl.DataFrame(
        {
            "transaction_id": [value for day in days for value in day.transaction_id],
            "terminal_id": [value for day in days for value in day.terminal_id],
            "CUSTOMER": [card for day in days for card in day.card_id],
            "WHEN": np.concatenate([day.event_time_ms for day in days]),
            "AMOUNT": np.concatenate([day.amount for day in days]),
            "FRAUD": np.concatenate([day.is_fraud for day in days]).astype(int),
            "KIND": np.concatenate([day.scenario for day in days]),
        }
    )
    row = pl.int_range(len(frame))
    frame = frame.with_columns(
        WHEN=pl.when(row == 31).then(None).otherwise(pl.from_epoch("WHEN", "ms")),
        AMOUNT=pl.when(row % 41 == 7).then(-1.0).otherwise("AMOUNT"),
        CUSTOMER=pl.when(row == 90).then(pl.lit("4111111111111111")).otherwise("CUSTOMER"),
        transaction_id=pl.when(row % 50 == 49).then(pl.col("transaction_id").shift(45)).otherwise("transaction_id"),
    )
    shuffled = frame.group_by(pl.col("WHEN").dt.date().forward_fill(), maintain_order=True)
    return pl.concat([day.sample(fraction=1.0, shuffle=True, seed=1) for _, day in shuffled])


def read(path: Path, directory: Path, rows_max: int, notes: list[str], **changes: object) -> History:
    """By parts."""
    file = replace(PartedFile(path, NAMES, "FRAUD", "KIND", UTC, SPEC, rows_max), **changes)  # type: ignore[arg-type]
    return parted_history(file, directory, silent, notes)


@pytest.mark.parametrize("rows_max", [37, 100, 10_000])
def test_parts_give_the_bits_and_the_notes_of_the_whole(payments: pl.DataFrame, tmp_path: Path, rows_max: int) -> None:
    """Parts that end within days, ids repeated over parts, refused rows; features on the disk."""
    path = tmp_path / "payments.parquet"
    payments.write_parquet(path)
    of_whole, of_parts = list[str](), list[str]()
    whole = read_history(path, NAMES, "FRAUD", SPEC, "KIND", options=UTC, notes=of_whole)
    parts = read(path, tmp_path / "work", rows_max, of_parts)
    assert sum("left out" in note for note in of_whole) >= 4
    assert of_parts == of_whole
    assert parts.data.digest() == whole.data.digest()
    assert is_mapped(parts.data.features)
    assert (parts.first_day, parts.days, parts.source) == (whole.first_day, whole.days, whole.source)


def test_what_a_part_alone_does_not_explain_is_refused(payments: pl.DataFrame, tmp_path: Path) -> None:
    """Days out of order, times and amounts as text, other formats, nothing usable: one sentence each, with what to do."""
    path, notes = tmp_path / "payments.parquet", list[str]()
    pl.concat([payments.tail(50), payments.head(200)]).write_parquet(path)
    with pytest.raises(TrainingError, match=r"not in order of days: line 51 .* read it whole"):
        read(path, tmp_path / "work", 50, notes)
    payments.with_columns(pl.col("WHEN").cast(pl.String)).write_parquet(path)
    with pytest.raises(TrainingError, match=r"WHEN is String, .* write it as a timestamp"):
        read(path, tmp_path / "work", 50, notes)
    payments.with_columns(pl.col("WHEN").dt.epoch("s")).write_parquet(path)
    with pytest.raises(TrainingError, match="WHEN is Int64"):
        read(path, tmp_path / "work", 50, notes)
    by_unit = read(path, tmp_path / "work", 50, notes, options=ReadOptions(time_unit="s"))
    assert by_unit.days == 6
    payments.with_columns(pl.col("AMOUNT").cast(pl.String)).write_parquet(path)
    with pytest.raises(TrainingError, match="AMOUNT is String: write it as a number"):
        read(path, tmp_path / "work", 50, notes)
    with pytest.raises(TrainingError, match="no Parquet file"):
        read(tmp_path / "payments.csv", tmp_path / "work", 50, notes)
    with pytest.raises(TableError, match="is not there"):
        read(tmp_path / "none.parquet", tmp_path / "work", 50, notes)
    payments.with_columns(AMOUNT=-1.0).write_parquet(path)
    with pytest.raises(TrainingError, match="holds no payment that could be scored"):
        read(path, tmp_path / "work", 50, notes)


def test_an_id_is_seen_again_in_any_later_part_and_no_other_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first halves of digests are alike."""
    monkeypatch.setattr(
        "models.training.fraud.parted_history._digests",
        lambda ids: np.array([[len(text or ""), int(text or 0)] for text in ids], np.uint64).reshape(-1, 2),
    )
    seen = Seen()
    assert seen.again(pl.Series(["1", "2", "33"])).to_list() == [False, False, False]
    assert seen.again(pl.Series(["3", "2", None, "33", "44"])).to_list() == [False, True, False, True, False]
    assert seen.again(pl.Series(["3", "44", "1", "5", None])).to_list() == [True, True, True, False, False]
    assert seen.again(pl.Series([], dtype=pl.String)).to_list() == []
