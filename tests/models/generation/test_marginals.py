"""Columns to uniform numbers and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.generation.marginals import LEVELS, MarginalError, fit_marginals, from_uniform, to_uniform


def mixed_rows(count: int, seed: int) -> NDArray[np.float32]:
    """An amount, a rate that is mostly 0, a flag, a count with many values, a constant."""
    random = np.random.default_rng(seed)
    rate = random.random(count) * (random.random(count) < 0.2)
    columns = (
        random.gamma(1.0, 50.0, count),
        rate,
        random.random(count) < 0.3,
        random.poisson(400, count),
        np.full(count, 7),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def test_every_column_becomes_uniform_and_comes_back() -> None:
    """Atoms and flags exactly, continuous values to a quantile's width."""
    rows = mixed_rows(20_000, 0)
    marginals = fit_marginals(rows)
    levels = to_uniform(marginals, rows, np.random.default_rng(1))
    for column in levels.T:
        at = np.linspace(0.05, 0.95, 19)
        assert np.abs(np.quantile(column, at) - at).max() < 0.02
    back = from_uniform(marginals, levels)
    assert np.array_equal(back[:, 2:], rows[:, 2:])
    assert np.array_equal(back[:, 1] == 0.0, rows[:, 1] == 0.0)
    assert np.abs(back - rows).max(axis=0)[0] < rows[:, 0].std() * 0.01


def test_any_levels_give_values_of_the_columns_kind_and_range() -> None:
    """Flags stay flags, counts whole, nothing beyond what was seen; the share of an atom is kept."""
    rows = mixed_rows(5_000, 2)
    drawn = from_uniform(fit_marginals(rows), np.random.default_rng(3).random((50_000, 5), np.float32))
    assert set(np.unique(drawn[:, 2])) == {0.0, 1.0}
    assert np.array_equal(drawn[:, 3], np.round(drawn[:, 3]))
    assert np.all(drawn.min(axis=0) >= rows.min(axis=0))
    assert np.all(drawn.max(axis=0) <= rows.max(axis=0))
    assert (drawn[:, 1] == 0.0).mean() == pytest.approx((rows[:, 1] == 0.0).mean(), abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    column=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=600),
    level=st.floats(0.0, 1.0, width=32),
    seed=st.integers(0, 99),
)
def test_the_quantile_function_never_falls_and_the_way_back_is_within_0_and_1(
    column: list[float], level: float, seed: int
) -> None:
    """For any column."""
    rows = np.array(column, np.float32)[:, None]
    (marginal,) = fit_marginals(rows)
    assert np.all(np.diff(marginal.levels) >= 0)
    assert np.all(np.diff(marginal.values) >= 0)
    assert len(marginal.levels) <= 4 * LEVELS + 4
    levels = marginal.uniform(rows[:, 0], np.random.default_rng(seed))
    assert np.all((levels >= 0) & (levels <= 1))
    low, high = marginal.quantile(np.array([0.0, level], np.float32))
    assert low <= high
    if len(np.unique(rows)) <= LEVELS:
        assert np.array_equal(marginal.quantile(levels), rows[:, 0])


def test_one_row_is_refused() -> None:
    """It has no distribution."""
    with pytest.raises(MarginalError, match="give two"):
        fit_marginals(np.zeros((1, 3), np.float32))
