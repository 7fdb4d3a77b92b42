"""Ids that never come back cannot push out the histories of those that do."""

from pathlib import Path

import numpy as np
import pytest

from models.features.columns import TransactionColumns
from models.features.fold import fold
from models.features.history import FRESH_SHARE, KEPT_EVENTS_MIN
from models.features.spec_file import load_spec
from models.features.state import FeatureState

DEFAULT = load_spec(Path("deploy/features/fraud.yaml"))
CARDS_MAX = 640
REGULAR = CARDS_MAX - CARDS_MAX // FRESH_SHARE
"""Histories that the room holds beside what is free for new ids."""


def stream(cards: list[str], seed: int) -> TransactionColumns:
    """One payment a second, of random amounts."""
    amounts = np.random.default_rng(seed).gamma(2.0, 20.0, len(cards))
    return TransactionColumns(
        {"card_id": cards, "terminal_id": cards}, np.arange(len(cards), dtype=np.int64) * 1000, amounts
    )


def flooded(regular: int, each: int) -> tuple[TransactionColumns, np.ndarray]:
    """Regular cards pay KEPT_EVENTS_MIN times, then once more behind a flood of ids of `each` payments; which are regular."""
    names = [f"card-{number}" for number in range(regular)]
    flood = [f"fresh-{number}" for number in range(20 * CARDS_MAX) for _ in range(each)]
    cards = names * KEPT_EVENTS_MIN + flood + names
    return stream(cards, 3), np.array([card.startswith("card") for card in cards])


@pytest.mark.parametrize("batch", [1 << 20, 97])
@pytest.mark.parametrize("each", [1, KEPT_EVENTS_MIN - 1])
def test_a_flood_of_fresh_ids_leaves_every_bit_of_the_regular_cards(each: int, batch: int) -> None:
    """The same features as without the flood, whatever the cut into batches; before, all were forgotten."""
    columns, regular = flooded(REGULAR, each)
    state = FeatureState(DEFAULT, CARDS_MAX)
    parts = [fold(state, columns[start : start + batch])[0] for start in range(0, len(columns), batch)]
    kept = np.flatnonzero(regular)
    alone = TransactionColumns(
        {name: [values[row] for row in kept] for name, values in columns.ids.items()},
        columns.event_time_ms[kept],
        columns.amount[kept],
    )
    calm, _ = fold(FeatureState(DEFAULT, CARDS_MAX), alone)
    assert np.concatenate(parts)[kept].tobytes() == calm.tobytes()
    _, fresh, with_history = state.turnover.tolist()
    assert fresh > 10 * CARDS_MAX
    assert with_history == 0


def test_a_flood_takes_no_more_of_a_full_room_than_the_share_of_new_ids() -> None:
    """Where histories fill the room, the longest idle ones go, until an eighth of it is free for ids that are new."""
    columns, _ = flooded(CARDS_MAX, 1)
    state = FeatureState(DEFAULT, CARDS_MAX)
    matrix, _ = fold(state, columns)
    again = matrix[-CARDS_MAX:, DEFAULT.names.index("card_count_30d")]
    assert (again[CARDS_MAX - REGULAR :] == KEPT_EVENTS_MIN + 1).all()
    assert (again[: CARDS_MAX - REGULAR] == 1).all()


def test_new_cards_come_to_a_history_where_histories_fill_the_room() -> None:
    """A full room of old cards that are silent does not shut out those that pay today."""
    old = [f"old-{number}" for number in range(CARDS_MAX)] * KEPT_EVENTS_MIN
    new = [f"new-{number}" for number in range(CARDS_MAX)]
    today = [card for first in range(0, CARDS_MAX, 40) for card in new[first : first + 40] * KEPT_EVENTS_MIN]
    state = FeatureState(DEFAULT, CARDS_MAX)
    fold(state, stream(old + today, 4))
    columns = stream(new[-200:], 5)
    later = TransactionColumns(columns.ids, columns.event_time_ms + 10_000_000, columns.amount)
    matrix, _ = fold(state, later)
    assert (matrix[:, DEFAULT.names.index("card_count_30d")] == KEPT_EVENTS_MIN + 1).all()


def test_a_snapshot_in_a_flood_goes_on_with_the_same_bits() -> None:
    """How often each id has paid is in the snapshot: the restored state forgets the same ids."""
    columns, _ = flooded(REGULAR, 2)
    straight = FeatureState(DEFAULT, CARDS_MAX)
    cut = len(columns) // 3
    fold(straight, columns[:cut])
    restored = FeatureState.from_arrays(DEFAULT, CARDS_MAX, straight.to_arrays())
    assert fold(straight, columns[cut:])[0].tobytes() == fold(restored, columns[cut:])[0].tobytes()
    arrays, others = straight.to_arrays(), restored.to_arrays()
    assert all(arrays[name].tobytes() == others[name].tobytes() for name in arrays)
