"""A snapshot that no one here wrote, but that has the right shape: compiled code goes as far as it says, so it is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.features.columns import TransactionColumns
from models.features.fold import fold
from models.features.history import FeatureStateError
from models.features.kernel import FIRST_MS, HEADS, LAST_MS
from models.features.spec_file import parse_spec
from models.features.state import FeatureState

SPEC = parse_spec("""
version: 1
keys: {card: card_id}
windows: [{duration: 1h, buckets: 6}, {duration: 2d, buckets: 2}]
features:
  - {name: count, kind: window, key: card, aggregation: count, window: 1h}
  - {name: tips, kind: window, key: card, aggregation: sum, window: 2d, field: tip}
  - {name: new_device, kind: novelty, key: card, of: device, part: first, remembered: 3, missing: -1}
""")
TIME_MS = 1_767_225_600_000


def columns(number: int) -> TransactionColumns:
    """Payments of three cards."""
    ids = {"card_id": [f"c{place % 3}" for place in range(number)], "device": [f"d{place}" for place in range(number)]}
    times_ms = TIME_MS + 600_000 * np.arange(number, dtype=np.int64)
    tips = {"tip": np.arange(number, dtype=np.float64)}
    return TransactionColumns({**ids, "terminal_id": ids["device"]}, times_ms, np.ones(number), numbers=tips)


@pytest.fixture(scope="module")
def state() -> FeatureState:
    made = FeatureState(SPEC, 10)
    fold(made, columns(20))
    return made


Change = Callable[[NDArray[np.uint32], NDArray[np.int64], FeatureState], object]


def _program(state: FeatureState) -> tuple[int, int]:
    history = state.histories["card"]
    assert history.memory is not None
    return len(history.program.ring_bucket_ms), history.memory.heads


CHANGES: dict[str, Change] = {
    "more buckets than there are": lambda rows, _, state: rows.__setitem__(
        (1, 2 * (HEADS + _program(state)[0])), 1 << 31
    ),
    "no buckets": lambda rows, _, state: rows.__setitem__((1, 2 * (HEADS + _program(state)[0])), 0),
    "a bucket of the far future": lambda _, times, __: times.__setitem__((1, HEADS), 1 << 60),
    "a bucket of the far past": lambda _, times, __: times.__setitem__((1, HEADS), -(1 << 63)),
    "a time of the far future": lambda _, times, __: times.__setitem__((1, LAST_MS), 1 << 62),
    "a first time behind the last": lambda _, times, __: times.__setitem__((1, FIRST_MS), TIME_MS * 2),
    "more numbers than there are": lambda rows, _, state: rows.__setitem__((1, 2 * (_program(state)[1] + 2)), 1 << 31),
    "numbers of the far future": lambda _, times, state: times.__setitem__((1, _program(state)[1] + 1), 1 << 60),
    "a table of more ids than it has room for": lambda rows, _, state: rows.__setitem__(
        (1, int(state.histories["card"].memory.tables.start[0])),  # type: ignore[union-attr]
        1 << 31,
    ),
    "a row of no one that holds something": lambda rows, _, __: rows.__setitem__((0, 20), 7),
}


@pytest.mark.parametrize("name", CHANGES)
def test_rows_that_the_kernels_cannot_have_written_are_refused(state: FeatureState, name: str) -> None:
    """Before they are folded on: a span of two thousand million buckets would be read far beyond the row."""
    arrays = state.to_arrays()
    assert FeatureState.from_arrays(SPEC, 10, arrays).cards == 3
    rows = arrays["card_rows"].copy()
    assert rows.dtype == np.uint32
    arrays["card_rows"] = rows
    CHANGES[name](rows, rows.view(np.int64), state)
    with pytest.raises(FeatureStateError, match="none that were written here"):
        FeatureState.from_arrays(SPEC, 10, arrays)


def test_rows_of_ids_that_were_forgotten_may_hold_what_they_held(state: FeatureState) -> None:
    """Evictions leave rows behind, which the next ids take: such a snapshot is read."""
    made = FeatureState(SPEC, 2)
    fold(made, columns(40))
    again = FeatureState.from_arrays(SPEC, 2, made.to_arrays())
    more = columns(60)
    assert fold(again, more)[0].tolist() == fold(made, more)[0].tolist()
