"""The breaker: in a storm of alerts the reasons of the most severe only. Pure.

Reasons cost twenty times what a score does. So each partition gives them to so many alerts of a minute of the log; beyond that
to an alert alone that is more severe than these. What is chosen follows from the records' order and timestamps, whatever the
batches are: the state goes with the committed offset, and a restart goes on with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.scoring.scores import Scores

REASONS_PER_MINUTE_MAX = 3000
MINUTE_MS = 60_000
BINS = 64
SHARPNESS = 3.0
"""Bins of severity each time what is left to 1 is halved."""

GIVEN_MAX = 2
"""So many times the limit are given at most, however the severity rises within a minute."""


@dataclass(frozen=True, slots=True)
class ReasonWindow:
    """What was given in the newest minute of the log. alerts: by bin of severity."""

    minute: int = -1
    given: int = 0
    alerts: tuple[int, ...] = (0,) * BINS

    def packed(self) -> list[Any]:
        """For the note of the committed offset."""
        return [self.minute, self.given, [[place, count] for place, count in enumerate(self.alerts) if count]]

    @classmethod
    def unpacked(cls, packed: Sequence[Any]) -> "ReasonWindow":
        """Raises ValueError, TypeError, IndexError where it is none."""
        minute, given, bins = packed
        alerts = [0] * BINS
        for place, count in bins:
            alerts[place] = int(count)
        return cls(int(minute), int(given), tuple(alerts))


NOTHING_GIVEN = ReasonWindow()
"""Where no alert was met."""


def choose(
    window: ReasonWindow, limit: int, timestamps_ms: NDArray[np.int64], severity: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], ReasonWindow]:
    """Which alerts, in the log's order, are given reasons, and the window behind them. severity: bins."""
    minute, given, alerts = window.minute, window.given, list(window.alerts)
    cut, reached = _cut(alerts, limit)
    chosen = np.zeros(len(severity), np.bool_)
    minutes = (timestamps_ms // MINUTE_MS).tolist()
    for row, (of, place) in enumerate(zip(minutes, severity.tolist(), strict=True)):
        if of > minute:  # an older timestamp is of the newest minute: producers' clocks differ
            minute, given, alerts, cut, reached = of, 0, [0] * BINS, -1, 0
        if place > cut and given < GIVEN_MAX * limit:
            chosen[row] = True
            given += 1
        alerts[place] += 1
        if place >= cut:
            reached += 1
            if cut < 0 or reached - alerts[cut] >= limit:
                cut, reached = _cut(alerts, limit)
    return chosen, ReasonWindow(minute, given, tuple(alerts))


def _cut(alerts: Sequence[int], limit: int) -> tuple[int, int]:
    """The highest bin with `limit` alerts in it and above, and how many these are; -1 while there are fewer."""
    reached = 0
    for place in range(BINS - 1, -1, -1):
        reached += alerts[place]
        if reached >= limit:
            return place, reached
    return -1, reached


def severity(scores: Scores) -> NDArray[np.intp]:
    """Bins of how far up the higher of both scores is."""
    left = 1.0 - np.maximum(scores.probability.astype(np.float64), scores.anomaly_percentile.astype(np.float64) / 100.0)
    return np.clip((-np.log2(np.maximum(left, 1e-9)) * SHARPNESS).astype(np.intp), 0, BINS - 1)
