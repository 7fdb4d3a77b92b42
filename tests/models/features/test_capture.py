"""A state captured while it is folded on is the state at one moment, bit for bit."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.features import capture
from models.features.capture import Arrays
from models.features.columns import TransactionColumns
from models.features.fold import fold
from models.features.spec_file import load_spec
from models.features.state import FeatureState

SPEC = load_spec(Path("deploy/features/fraud.yaml"))
CARDS_MAX = 6

payments = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 500), st.integers(1, 90)), min_size=1, max_size=8)


def folded(state: FeatureState, batch: list[tuple[int, int, int]]) -> None:
    """Cards, minutes, amounts."""
    cards, minutes, amounts = zip(*batch, strict=True)
    ids = [f"card-{card}" for card in cards]
    times = np.array(minutes, np.int64) * 60_000
    fold(state, TransactionColumns({"card_id": ids, "terminal_id": ids}, times, np.array(amounts, np.float64)))


def bits(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """What two states have in common where nothing differs."""
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


@pytest.mark.slow
@given(st.lists(payments, max_size=6), st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_capture_is_the_state_at_its_beginning_whatever_is_folded_between_its_pieces(
    monkeypatch: pytest.MonkeyPatch, before: list[list[tuple[int, int, int]]], data: st.DataObject
) -> None:
    """A piece a row; new cards, evictions and rows used again among the folds, which go on as without it."""
    monkeypatch.setattr(capture, "PIECE_BYTES", 1)
    state, alone = FeatureState(SPEC, CARDS_MAX), FeatureState(SPEC, CARDS_MAX)
    for batch in before:
        folded(state, batch)
        folded(alone, batch)
    expected, taken, found = bits(state.to_arrays()), state.capture(), {}
    for name, part in taken.parts().items():
        pieces = [np.empty((0, *part.shape[1:]), part.dtype)]
        for piece in part.pieces():
            pieces.append(piece.copy())
            for batch in data.draw(st.lists(payments, max_size=2)):
                folded(state, batch)
                folded(alone, batch)
        found[name] = np.concatenate(pieces)
        assert part.shape == found[name].shape
    taken.close()
    assert bits(found) == expected
    assert bits(state.to_arrays()) == bits(alone.to_arrays())
    assert bits(state.capture().arrays()) == bits(alone.to_arrays())


def test_a_capture_read_by_a_thread_beside_a_busy_fold_is_never_torn() -> None:
    """20,000 cards, every row changed many times while it is read; the same again, since a race shows itself rarely."""
    state, random = FeatureState(SPEC, 20_000), np.random.default_rng(7)

    def some(number: int) -> list[tuple[int, int, int]]:
        return [tuple(row) for row in random.integers(1, (25_000, 500, 90), (number, 3)).tolist()]

    batches = [some(2_000) for _ in range(30)]
    for batch in batches:
        folded(state, batch)
    for _ in range(5):
        expected, taken = bits(state.to_arrays()), state.capture()
        found: Arrays = {}

        def read(found: Arrays = found, taken: capture.Capture = taken) -> None:
            for name, part in taken.parts().items():
                found[name] = np.concatenate([np.empty((0, *part.shape[1:]), part.dtype), *map(np.copy, part.pieces())])

        reader = threading.Thread(target=read)
        reader.start()
        turn = 0
        while reader.is_alive() or turn < 3:
            folded(state, batches[turn % len(batches)])
            turn += 1
        reader.join()
        taken.close()
        assert bits(found) == expected


def test_one_capture_at_a_time() -> None:
    """A second one would take the rows from under the first."""
    state = FeatureState(SPEC, CARDS_MAX)
    taken = state.capture()
    with pytest.raises(RuntimeError, match="not closed"):
        state.capture()
    taken.close()
    state.capture().close()
