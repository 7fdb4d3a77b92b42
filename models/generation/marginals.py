"""Columns of any kind to uniform numbers and back: the distributional transform, as tables that need no PyTorch.

Rueschendorf, "On the distributional transform, Sklar's theorem, and the empirical copula process", 2009: where a value x has
a share of its own (a flag, a count, a rate that is mostly 0), draw uniformly between P(X < x) and P(X <= x). Any column, atoms
included, becomes exactly uniform, and the quantile function takes it back exactly. So a generator learns only how columns
hang together; flags come back as flags and counts as counts, and no column can leave the range of its data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 256
"""Quantiles kept of a column with more distinct values than this."""


class MarginalError(ValueError):
    """Rows that no column can be learnt from: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class Marginal:
    """One column's quantile function, linear between K knots.

    levels: float64[K], 0 to 1, never falling; values: float64[K], in the column's unit, never falling. Two knots of one value
    are an atom, two of one level a gap that has no values. whole: values are rounded to whole numbers.
    """

    levels: NDArray[np.float64]
    values: NDArray[np.float64]
    whole: bool

    def uniform(self, column: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        """float32[n] in [0, 1]: each value's level, drawn within its atom."""
        exact = column.astype(np.float64)
        low = _interpolated(exact, self.values, self.levels, "left")
        high = _interpolated(exact, self.values, self.levels, "right")
        return (low + random.random(len(column)) * (high - low)).astype(np.float32)

    def quantile(self, uniform: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[n]: the values at these levels."""
        column = _interpolated(uniform.astype(np.float64), self.levels, self.values, "left")
        return (np.round(column) if self.whole else column).astype(np.float32)


def _interpolated(
    at: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], side: str
) -> NDArray[np.float64]:
    """y at `at`, linear between the knots; where x is constant, y's lowest (left) or highest (right) value there."""
    upper = np.clip(np.searchsorted(x, at, "left" if side == "left" else "right"), 0, len(x) - 1)
    lower = np.maximum(upper - 1, 0)
    width = x[upper] - x[lower]
    share = np.clip((at - x[lower]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    on_step = 0.0 if side == "left" else 1.0
    return np.asarray(y[lower] + np.where(width > 0, share, on_step) * (y[upper] - y[lower]))


def fit_marginals(rows: NDArray[np.float32]) -> tuple[Marginal, ...]:
    """One for each column of finite float32[n, F]. Raises MarginalError with fewer than two rows."""
    if len(rows) < 2:
        raise MarginalError(f"{len(rows)} rows say nothing of their columns; give two at least.")
    return tuple(_fit(column.astype(np.float64)) for column in rows.T)


def _fit(column: NDArray[np.float64]) -> Marginal:
    """Every distinct value as an atom, or LEVELS quantiles and the atoms that are wider than one of their steps."""
    distinct, counts = np.unique(column, return_counts=True)
    ends = np.cumsum(counts) / len(column)
    starts = ends - counts / len(column)
    atoms = np.ones(len(distinct), np.bool_) if len(distinct) <= LEVELS else counts > len(column) / LEVELS
    levels = [starts[atoms], ends[atoms]]
    values = [distinct[atoms], distinct[atoms]]
    if not atoms.all():
        between = np.linspace(0.0, 1.0, LEVELS + 1)
        quantiles = np.quantile(column, between)
        loose = ~np.isin(quantiles, distinct[atoms])
        levels.append(between[loose])
        values.append(quantiles[loose])
    at, value = np.concatenate(levels), np.concatenate(values)
    order = np.lexsort((at, value))
    return Marginal(np.maximum.accumulate(at[order]), value[order], bool(np.all(distinct == np.round(distinct))))


def to_uniform(
    marginals: Sequence[Marginal], rows: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float32]:
    """float32[n, F] in the columns' units to float32[n, F] in [0, 1]."""
    if not marginals:
        return np.zeros((len(rows), 0), np.float32)
    return np.stack([m.uniform(column, random) for m, column in zip(marginals, rows.T, strict=True)], axis=1)


def from_uniform(marginals: Sequence[Marginal], uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n, F] in [0, 1] to float32[n, F] in the columns' units."""
    if not marginals:
        return np.zeros((len(uniform), 0), np.float32)
    return np.stack([m.quantile(column) for m, column in zip(marginals, uniform.T, strict=True)], axis=1)
