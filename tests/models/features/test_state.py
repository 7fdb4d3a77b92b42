"""Snapshots that do not fit are refused, and memory is what is said of it."""

from pathlib import Path

import numpy as np
import pytest

from models.features.columns import TransactionColumns
from models.features.explain import key_bytes, ns_per_event, table
from models.features.fold import fold
from models.features.history import EVICTED_SHARE, FeatureStateError
from models.features.spec_file import load_spec
from models.features.state import FeatureState
from tests.models.features.reference import EVERY_KIND

DEFAULT = load_spec(Path("deploy/features/fraud.yaml"))


def state_of(cards: int, cards_max: int) -> FeatureState:
    """One payment a second, each of another card."""
    names = [f"card-{number}" for number in range(cards)]
    state = FeatureState(DEFAULT, cards_max)
    fold(
        state,
        TransactionColumns(
            {"card_id": names, "terminal_id": names}, np.arange(cards, dtype=np.int64) * 1000, np.ones(cards)
        ),
    )
    return state


def test_a_full_state_evicts_the_oldest_share_at_once() -> None:
    """1,280 cards fit; card 1,281 makes 20 leave, the 20 that paid first."""
    state = state_of(1281, cards_max=1280)
    assert state.cards == 1280 - 1280 // EVICTED_SHARE + 1
    names = [f"card-{number}" for number in (19, 20)]
    matrix, _ = fold(
        state, TransactionColumns({"card_id": names, "terminal_id": names}, np.full(2, 1281_000), np.ones(2))
    )
    assert matrix[:, DEFAULT.names.index("card_count_1h")].tolist() == [1, 2]


def test_a_snapshot_of_another_spec_is_refused() -> None:
    """Its columns mean something else."""
    with pytest.raises(FeatureStateError, match="another feature spec"):
        FeatureState.from_arrays(EVERY_KIND, 10, state_of(3, 10).to_arrays())


def test_a_snapshot_with_more_cards_than_allowed_is_refused() -> None:
    """The setting was lowered meanwhile."""
    with pytest.raises(FeatureStateError, match="raise cards_max"):
        FeatureState.from_arrays(DEFAULT, 2, state_of(3, 10).to_arrays())


@pytest.mark.parametrize("name", ["clock", "clock_card", "card_rows", "card_free_rows", "card_events"])
def test_a_snapshot_that_lacks_an_array_is_refused(name: str) -> None:
    """And named."""
    arrays = state_of(3, 10).to_arrays()
    del arrays[name]
    with pytest.raises(FeatureStateError, match=name):
        FeatureState.from_arrays(DEFAULT, 10, arrays)


def test_a_snapshot_with_rows_of_another_width_is_refused() -> None:
    """Cut short, or of another version."""
    arrays = state_of(3, 10).to_arrays()
    arrays["card_rows"] = arrays["card_rows"][:, :-1]
    with pytest.raises(FeatureStateError, match="another shape"):
        FeatureState.from_arrays(DEFAULT, 10, arrays)


def test_a_snapshot_does_not_change_with_the_state() -> None:
    """It can be written while the stream goes on."""
    state = state_of(3, 10)
    arrays = state.to_arrays()
    before = {name: array.tobytes() for name, array in arrays.items()}
    fold(
        state,
        TransactionColumns({"card_id": ["card-0"], "terminal_id": ["t"]}, np.array([9000], dtype=np.int64), np.ones(1)),
    )
    assert {name: array.tobytes() for name, array in arrays.items()} == before


def test_room_for_no_card_is_refused() -> None:
    """A sentence instead of an empty array."""
    with pytest.raises(FeatureStateError, match="at least 1"):
        FeatureState(DEFAULT, cards_max=0)


def test_the_table_tells_what_every_feature_is_and_costs() -> None:
    """Resolution in words; windows of the same bucket width share their buckets; the whole is what a row takes."""
    rows = {row.name: row for row in table(DEFAULT)}
    assert tuple(rows) == DEFAULT.names
    assert (rows["card_count_1h"].window, rows["card_count_1h"].resolution) == ("1h", "5 minutes")
    assert rows["card_count_7d"].bytes_per_id == rows["card_count_30d"].bytes_per_id == 31 * 8
    assert rows["amount"].bytes_per_id == 0
    assert rows["terminal_count_7d"].window == "7d, 7d ago"
    assert key_bytes(DEFAULT) == {"card": FeatureState(DEFAULT, 1).histories["card"].row_bytes}
    assert 0 < ns_per_event(DEFAULT) < 1e6
