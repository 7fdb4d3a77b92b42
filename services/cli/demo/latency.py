"""Latencies as a histogram of whole milliseconds, since Kafka's timestamps are no finer."""

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

LATENCY_MS_MAX = 60_000
"""Longer ones count as this."""


class Latencies:
    """All latencies, and those of the last few periods. `turn` ends a period."""

    def __init__(self, periods_max: int = 5) -> None:
        self._all = _empty()
        self._periods: deque[NDArray[np.int64]] = deque([_empty()], maxlen=periods_max)

    def add(self, latencies_ms: Iterable[int]) -> None:
        """Count latencies; negative ones (clocks differ) as 0."""
        clipped = np.clip(np.fromiter(latencies_ms, np.int64), 0, LATENCY_MS_MAX)
        np.add.at(self._all, clipped, 1)
        np.add.at(self._periods[-1], clipped, 1)

    def turn(self) -> None:
        """Begin the next period; the oldest is forgotten."""
        self._periods.append(_empty())

    def percentile_ms(self, percent: float) -> int | None:
        """Over everything: the least latency that `percent` of all do not exceed. None without any."""
        return _percentile_ms(self._all, percent)

    def recent_percentile_ms(self, percent: float) -> int | None:
        """The same over the last periods."""
        return _percentile_ms(np.sum(self._periods, axis=0), percent)


def _empty() -> NDArray[np.int64]:
    return np.zeros(LATENCY_MS_MAX + 1, np.int64)


def _percentile_ms(counts: NDArray[np.int64], percent: float) -> int | None:
    whole = counts.sum()
    if not whole:
        return None
    return int(np.searchsorted(np.cumsum(counts), np.ceil(whole * percent / 100.0)))
