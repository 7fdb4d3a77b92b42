"""Two binned distributions compared. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.monitor import Drift

PRIOR = 0.5
"""Added to each bin, so that an empty one does not make the index infinite (Jeffreys' prior)."""

Counts = Sequence[int]


def psi(expected: Counts, actual: Counts) -> float:
    """Population stability index, sum of (a - e) ln(a / e) over bins of shares: 0 for the same distribution.

    Without drift it is about (bins - 1) (1 / n + 1 / m) for n and m observations (Yurdakul 2018).
    """
    e, a = _shares(expected), _shares(actual)
    return float(np.sum((a - e) * np.log(a / e)))


def ks(expected: Counts, actual: Counts) -> float:
    """Kolmogorov-Smirnov distance of the binned distributions: the largest difference between their sums up to a bin."""
    e, a = (np.cumsum(counts) / max(1, np.sum(counts)) for counts in (expected, actual))
    return float(min(1.0, np.max(np.abs(e - a))))


def compare(name: str, expected: Counts, actual: Counts, psi_max: float) -> Drift:
    """One distribution against its reference."""
    index = psi(expected, actual)
    return Drift(name=name, psi=index, ks=ks(expected, actual), drifted=index > psi_max)


def _shares(counts: Counts) -> NDArray[np.float64]:
    smoothed = np.asarray(counts, np.float64) + PRIOR
    shares: NDArray[np.float64] = smoothed / smoothed.sum()
    return shares
