"""The fold equals brute force, and its bits depend on nothing but the log."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.columns import TransactionColumns
from models.features.fold import fold, warm
from models.features.spec_file import load_spec
from models.features.state import FeatureState
from tests.models.features.reference import EVERY_KIND, Reference, fold_in_parts, streams

DEFAULT = load_spec(Path("deploy/features/fraud.yaml"))
HOUR_MS = 3_600_000
START_MS = 1_767_225_600_000  # 2026-01-01, a Thursday

pytestmark = pytest.mark.usefixtures("_compiled")


@pytest.fixture(scope="module")
def _compiled() -> None:
    warm(EVERY_KIND)


def columns_of(*events: tuple[str, int, float]) -> TransactionColumns:
    """A stream of (card, ms after the start, amount)."""
    cards = [card for card, _, _ in events]
    times = np.array([START_MS + ms for _, ms, _ in events], dtype=np.int64)
    amounts = np.array([amount for *_, amount in events], dtype=np.float64)
    return TransactionColumns({"card_id": cards, "terminal_id": cards}, times, amounts)


@given(streams())
@settings(deadline=None, max_examples=200)
def test_every_feature_equals_brute_force_over_the_raw_history(columns: TransactionColumns) -> None:
    """Windows count whole buckets: those of the reference, payment by payment, out-of-order and late ones too."""
    matrix, late = fold(FeatureState(EVERY_KIND, cards_max=10), columns)
    reference = Reference(EVERY_KIND)
    for row, (time_ms, amount) in enumerate(zip(columns.event_time_ms.tolist(), columns.amount, strict=True)):
        ids = {name: values[row] for name, values in columns.ids.items()}
        expected, expected_late = reference.score(ids, time_ms, amount)
        assert late[row] == expected_late
        np.testing.assert_allclose(matrix[row], expected, rtol=2e-5, atol=2e-3)


@given(streams(), st.lists(st.integers(0, 40), max_size=6))
@settings(deadline=None, max_examples=100)
def test_any_cut_into_batches_gives_the_same_bits(columns: TransactionColumns, cuts: list[int]) -> None:
    """Features, late flags and the state itself, with room for two of the three cards so that some are evicted."""
    whole, parts = FeatureState(EVERY_KIND, cards_max=2), FeatureState(EVERY_KIND, cards_max=2)
    matrix, late = fold(whole, columns)
    matrix_parts, late_parts = fold_in_parts(parts, columns, cuts)
    assert matrix.tobytes() == matrix_parts.tobytes()
    assert late.tobytes() == late_parts.tobytes()
    assert_same_state(whole, parts)


@given(streams(cards=5), st.integers(0, 40), st.integers(1, 6))
@settings(deadline=None, max_examples=100)
def test_a_snapshot_at_any_point_gives_the_same_bits_afterwards(
    columns: TransactionColumns, cut: int, cards_max: int
) -> None:
    """Evictions included: the restored state evicts the same cards into the same rows."""
    cut %= len(columns) + 1
    straight = FeatureState(EVERY_KIND, cards_max)
    fold(straight, columns[:cut])
    restored = FeatureState.from_arrays(EVERY_KIND, cards_max, straight.to_arrays())
    assert fold(straight, columns[cut:])[0].tobytes() == fold(restored, columns[cut:])[0].tobytes()
    assert_same_state(straight, restored)


@given(streams())
@settings(deadline=None, max_examples=100)
def test_late_payments_leave_no_trace(columns: TransactionColumns) -> None:
    """The state after the stream equals the state after the stream without its late payments."""
    with_late, without = FeatureState(EVERY_KIND, cards_max=2), FeatureState(EVERY_KIND, cards_max=2)
    _, late = fold(with_late, columns)
    kept = np.flatnonzero(~late)
    ids = {name: [values[row] for row in kept] for name, values in columns.ids.items()}
    fold(without, TransactionColumns(ids, columns.event_time_ms[kept], columns.amount[kept]))
    assert_same_state(with_late, without)


@given(streams(), st.sampled_from([EVERY_KIND, DEFAULT]))
@settings(deadline=None, max_examples=50)
def test_every_value_is_finite(columns: TransactionColumns, spec: object) -> None:
    """No division by nothing: first payments, amounts of 0, empty windows."""
    matrix, _ = fold(FeatureState(spec, cards_max=3), columns)  # type: ignore[arg-type]
    assert np.isfinite(matrix).all()


def test_the_second_payment_of_a_card_in_a_batch_sees_the_first() -> None:
    """Two payments of a card and one of another between them, in one batch."""
    matrix, late = fold(FeatureState(DEFAULT, 10), columns_of(("a", 0, 10.0), ("b", 1000, 5.0), ("a", 2500, 30.0)))
    row = dict(zip(DEFAULT.names, matrix[2].tolist(), strict=True))
    assert row["card_count_10m"] == 2
    assert row["card_mean_amount_30d"] == 20.0
    assert row["card_amount_ratio_1h"] == 1.5
    assert row["seconds_since_last"] == 2.5
    assert not late.any()


def test_a_first_payment_has_the_longest_time_since_the_last() -> None:
    """Nothing is missing in the matrix: no payment before counts as one 30 days ago."""
    matrix, _ = fold(FeatureState(DEFAULT, 10), columns_of(("a", 0, 10.0)))
    assert matrix[0, DEFAULT.names.index("seconds_since_last")] == 30 * 86_400


def test_the_oldest_payments_leave_a_window_bucket_by_bucket() -> None:
    """An hour in buckets of five minutes: counted at 55 minutes, gone at 60."""
    columns = columns_of(("a", 0, 1.0), ("a", 59 * 60_000, 1.0), ("a", 60 * 60_000, 1.0))
    matrix, _ = fold(FeatureState(DEFAULT, 10), columns)
    assert matrix[:, DEFAULT.names.index("card_count_1h")].tolist() == [1, 2, 2]


def test_eviction_forgets_the_card_that_was_idle_longest_by_event_time() -> None:
    """Order of arrival does not count: `b` came last but its event time is the oldest."""
    state = FeatureState(DEFAULT, cards_max=2)
    matrix, _ = fold(state, columns_of(("a", 60_000, 1.0), ("b", 0, 1.0), ("c", 61_000, 1.0), ("a", 62_000, 1.0)))
    assert matrix[3, DEFAULT.names.index("card_count_1h")] == 2
    assert state.cards == 2
    matrix, _ = fold(state, columns_of(("b", 63_000, 1.0)))
    assert matrix[0, DEFAULT.names.index("card_count_1h")] == 1


def test_a_payment_that_is_too_late_is_scored_and_flagged() -> None:
    """It sees the history that is remembered, itself included, as of its own time."""
    state = FeatureState(DEFAULT, cards_max=10)
    matrix, late = fold(
        state, columns_of(("a", 0, 1.0), ("b", HOUR_MS, 5.0), ("a", 1, 2.0), ("b", 60_000, 2.0), ("b", HOUR_MS, 1.0))
    )
    assert late.tolist() == [False, False, False, True, False]
    count = DEFAULT.names.index("card_count_24h")
    assert matrix[:, count].tolist() == [1, 1, 2, 2, 2]


@given(streams(cards=4), st.lists(st.integers(-(30 * 86_400_000), 86_400_000), min_size=40, max_size=40))
@settings(deadline=None, max_examples=100)
def test_a_cards_features_do_not_depend_on_the_times_of_other_cards(
    columns: TransactionColumns, moved_ms: list[int]
) -> None:
    """The payments of every card but one are moved by up to a day ahead, or a month back: that one's bits stay."""
    other = np.array([card != "carte-é0" for card in columns.ids["card_id"]], np.bool_)
    moved = columns.event_time_ms + np.where(other, moved_ms[: len(columns)], 0)
    matrix, late = fold(FeatureState(DEFAULT, 10), columns)
    matrix_moved, late_moved = fold(FeatureState(DEFAULT, 10), replace(columns, event_time_ms=moved))
    assert matrix[~other].tobytes() == matrix_moved[~other].tobytes()
    assert late[~other].tolist() == late_moved[~other].tolist()


def test_one_payment_a_day_ahead_makes_only_its_own_card_late() -> None:
    """Of the next 999 payments of its partition none is late, and their histories are kept."""
    state = FeatureState(DEFAULT, cards_max=1000)
    fold(state, columns_of(("evil", 23 * HOUR_MS, 1.0)))
    matrix, late = fold(state, columns_of(*((f"card-{n % 9}", n * 1000, 1.0) for n in range(999))))
    assert not late.any()
    assert matrix[-1, DEFAULT.names.index("card_count_1h")] == 111
    assert fold(state, columns_of(("evil", 1, 1.0)))[1].all()


@pytest.mark.parametrize("ahead_ms", [23 * HOUR_MS, 70 * 365 * 24 * HOUR_MS])
def test_no_card_on_its_own_moves_the_clock(ahead_ms: int) -> None:
    """First or later, once or many times: the clock is the newest time that two cards have reached."""
    state = FeatureState(DEFAULT, cards_max=10)
    fold(state, columns_of(*(("evil", ahead_ms + n, 1.0) for n in range(5))))
    assert state.clock_ms < 0
    fold(state, columns_of(("a", 5, 1.0), ("evil", ahead_ms + 9, 1.0), ("b", 7, 1.0), ("evil", ahead_ms + 10, 1.0)))
    assert state.clock_ms == START_MS + 7


def test_the_clock_is_not_ahead_of_the_log() -> None:
    """Two cards an hour ahead of their records' timestamps: the timestamps count."""
    state = FeatureState(DEFAULT, cards_max=10)
    ahead = columns_of(("a", HOUR_MS, 1.0), ("b", HOUR_MS, 1.0))
    fold(state, replace(ahead, arrived_ms=ahead.event_time_ms - HOUR_MS))
    assert state.clock_ms == START_MS


def test_an_empty_batch_changes_nothing() -> None:
    """No rows in, no rows out."""
    state = FeatureState(DEFAULT, cards_max=1)
    matrix, late = fold(state, columns_of())
    assert matrix.shape == (0, len(DEFAULT.features))
    assert late.shape == (0,)
    assert state.cards == 0


def assert_same_state(one: FeatureState, other: FeatureState) -> None:
    """Every array of the two, bit for bit."""
    arrays, others = one.to_arrays(), other.to_arrays()
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert array.tobytes() == others[name].tobytes(), name
