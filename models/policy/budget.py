"""The thresholds that a budget may choose from, by steps, the step that a score reaches, and which day it is. Pure."""

from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from models.features.local_time import local_ms
from models.scoring.scores import Scores
from schemas.budget import STEPS, Budget, BudgetState, KeptDay, PercentileBounds, ProbabilityBounds
from schemas.control import MovedThresholds

DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1).toordinal()
NEAREST = 1e-6
"""So near to 0 and to 1 the steps come."""

Steps = NDArray[np.intp]


class Local(NamedTuple):
    """Where a moment lies in its day."""

    day: int
    hour: int
    of_hour: float
    """Share of the hour that is over."""


def local(event_time_ms: int, time_zone: str) -> Local:
    """A moment in a time zone."""
    at = datetime.fromtimestamp(event_time_ms / 1000, ZoneInfo(time_zone))
    return Local(at.toordinal() - EPOCH, at.hour, (at.minute * 60 + at.second) / 3600)


def today_of(state: BudgetState) -> KeptDay | None:
    """The day of the payments' clock; None where nothing was counted of it. Payments that are dated ahead begin no day."""
    day = local(state.clock_ms, state.sums.budget.time_zone).day
    return next((kept for kept in state.days if kept.counted.day == day), None)


class Ladder:
    """Thresholds between the bounds, evenly in log-odds, so that each step leaves out a like share of what is left."""

    def __init__(self, budget: Budget) -> None:
        self._probability = _rungs(budget.probability, 1.0)
        self._percentile = _rungs(budget.anomaly_percentile, 100.0)

    def thresholds(self, step: int) -> MovedThresholds:
        """Those of a step, 0 to STEPS."""
        one, other = self._probability, self._percentile
        return MovedThresholds(
            probability=None if one is None else float(one[step]),
            anomaly_percentile=None if other is None else float(other[step]),
        )

    def reached(self, scores: Scores) -> Steps:
        """intp[n]: the strictest step at which each score still crosses a threshold; -1 where it crosses none."""
        found = np.full(len(scores.probability), -1, np.intp)
        for rungs, values in ((self._probability, scores.probability), (self._percentile, scores.anomaly_percentile)):
            if rungs is None:
                continue
            bounds = rungs.astype(np.float32)  # as thresholds are compared
            rows = np.flatnonzero(values >= bounds[0])
            if len(rows):
                found[rows] = np.maximum(found[rows], np.searchsorted(bounds, values[rows], side="right") - 1)
        return found

    def nearest(self, probability: float, anomaly_percentile: float) -> int:
        """The step that is most like these thresholds: the first that is as strict in each that moves."""
        wanted = [
            int(np.searchsorted(rungs, value))
            for rungs, value in ((self._probability, probability), (self._percentile, anomaly_percentile))
            if rungs is not None
        ]
        return min(STEPS, max(wanted))


@lru_cache(maxsize=16)
def ladder_of(budget: Budget) -> Ladder:
    """The same for the same budget."""
    return Ladder(budget)


def local_days(event_time_ms: NDArray[np.int64], time_zone: str) -> NDArray[np.int64]:
    """int64[n]: days since 1970-01-01 in a time zone."""
    found: NDArray[np.int64] = local_ms(event_time_ms, time_zone) // DAY_MS
    return found


def warm(budget: Budget) -> None:
    """So that no batch waits for the tables behind it, of which that of a time zone takes a second."""
    ladder_of(budget)
    local_days(np.zeros(1, np.int64), budget.time_zone)


def _rungs(bounds: ProbabilityBounds | PercentileBounds | None, top: float) -> NDArray[np.float64] | None:
    if bounds is None:
        return None
    low, high = (min(max(end / top, NEAREST), 1.0 - NEAREST) for end in (bounds.lowest, bounds.highest))
    odds = np.linspace(np.log(low / (1.0 - low)), np.log(high / (1.0 - high)), STEPS + 1)
    rungs = np.clip(top / (1.0 + np.exp(-odds)), bounds.lowest, bounds.highest)
    rungs[0], rungs[-1] = bounds.lowest, bounds.highest
    return rungs
