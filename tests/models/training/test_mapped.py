"""Columns in files are arrays like any other: same rows, same bits, another process finds them by name."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from models.training import mapped
from models.training.data import Dataset, TrainingError, joined, sampled
from models.training.store import stored

ROWS = 500


def data(seed: int = 0, rows: int = ROWS) -> Dataset:
    """Rows of 100 days."""
    random = np.random.default_rng(seed)
    return Dataset(
        random.normal(size=(rows, 4)).astype(np.float32),
        random.integers(0, 50, rows),
        np.sort(random.integers(0, 100, rows)),
        random.random(rows) < 0.1,
        random.integers(0, 4, rows).astype(np.int8),
        random.random(rows),
    )


def part(whole: Dataset, first: int, last: int) -> Dataset:
    """Rows that follow each other."""
    place = np.arange(len(whole))
    return whole[(place >= first) & (place < last)]


@pytest.fixture
def on_disk(tmp_path: Path) -> Dataset:
    """`data()` in files, written in three parts."""
    whole = data()
    return stored((part(whole, *ends) for ends in ((0, 3), (3, 400), (400, ROWS))), tmp_path)


def test_a_stored_history_is_the_same_rows_without_being_in_memory(on_disk: Dataset) -> None:
    """In any number of parts."""
    assert on_disk.digest() == data().digest()
    assert mapped.is_mapped(on_disk.features)
    assert on_disk.amount is not None
    np.testing.assert_array_equal(on_disk.amount, data().amount)


def test_what_is_chosen_or_joined_of_mapped_rows_is_mapped_and_the_same(
    on_disk: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut, the legitimate rows, a draw, and rows of memory behind them; copied in small pieces."""
    monkeypatch.setattr(mapped, "BYTES", 100)
    held = data()
    for of_disk, of_memory in (
        (part(on_disk, 10, 90), part(held, 10, 90)),
        (on_disk[on_disk.is_fraud], held[held.is_fraud]),
        (on_disk[np.arange(450, 20, -1)], held[np.arange(450, 20, -1)]),
        (sampled(on_disk, 77, 1), sampled(held, 77, 1)),
        (joined((part(on_disk, 10, 90), data(1))), joined((part(held, 10, 90), data(1)))),
    ):
        assert mapped.is_mapped(of_disk.features) == (len(of_disk) != 430)  # places are copied
        assert not mapped.is_mapped(of_memory.features)
        assert of_disk.digest() == of_memory.digest()
    assert mapped.is_mapped(on_disk.legitimate)
    np.testing.assert_array_equal(on_disk.legitimate, held.legitimate)
    assert len(on_disk[np.zeros(ROWS, np.bool_)]) == 0


def test_mapped_columns_go_to_another_process_by_their_names(on_disk: Dataset) -> None:
    """Not as content; those in memory as content."""
    cut = part(on_disk, 10, 490)
    sent = pickle.dumps(cut)
    assert len(sent) < cut.features.nbytes / 4
    assert pickle.loads(sent).digest() == part(data(), 10, 490).digest()  # noqa: S301
    assert pickle.loads(pickle.dumps(data())).digest() == data().digest()  # noqa: S301


def test_a_history_without_rows_or_without_room_is_refused(tmp_path: Path) -> None:
    """One sentence each."""
    with pytest.raises(TrainingError, match="no payments to train on"):
        stored(iter(()), tmp_path)
    (tmp_path / "features.bin").unlink()
    (tmp_path / "features.bin").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match="give a folder with room"):
        stored([data(rows=100_000)], tmp_path)
