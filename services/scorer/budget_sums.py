"""What a policy's budget counts of a partition: what it used, and what other thresholds within the bounds would use. Pure."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.policy.budget import ladder_of, local_days
from models.policy.program import CHALLENGE, REVIEW
from models.scoring.scores import Scores
from schemas.budget import DAYS_MAX, STEPS, Budget, BudgetDay, BudgetSums
from schemas.control import BundleRef, MovedThresholds
from services.scorer.decide import BoolArray, Outcomes
from services.scorer.ruling import Ruled


@dataclass(slots=True)
class _Day:
    payments: int = 0
    used: float = 0.0
    fixed: float = 0.0
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(STEPS + 1))


class BudgetCounter:
    """Sums of one policy since the last record, by local day; of the newest days."""

    def __init__(self, group: str, policy: BundleRef, budget: Budget) -> None:
        self._group, self.policy, self._budget = group, policy, budget
        self._ladder = ladder_of(budget)
        self._days: dict[int, _Day] = {}
        self._moved: MovedThresholds | None = None

    def reset(self) -> None:
        """After a record was written."""
        self._days = {}

    def count(
        self,
        event_time_ms: NDArray[np.int64],
        amount: NDArray[np.float64],
        scores: Scores,
        outcomes: Outcomes,
        ruled: Ruled,
        moved: MovedThresholds | None = None,
    ) -> None:
        """Count a batch. moved: where the budget has put the thresholds that judged it."""
        self._moved = moved
        ends = local_days(np.array([event_time_ms.min(), event_time_ms.max()]), self._budget.time_zone).tolist()
        if ends[0] == ends[1]:
            self._count(ends[0], slice(None), amount, scores, outcomes, ruled)
            return
        days = local_days(event_time_ms, self._budget.time_zone)
        for day in np.unique(days)[-DAYS_MAX:].tolist():
            self._count(day, np.flatnonzero(days == day), amount, scores, outcomes, ruled)

    def _count(
        self, day: int, rows: Any, amount: NDArray[np.float64], scores: Scores, outcomes: Outcomes, ruled: Ruled
    ) -> None:
        part = Scores(*(column[rows] for column in scores))
        counted = self._counted(ruled)[rows]
        held = self._days.setdefault(day, _Day())
        held.payments += len(counted)
        reached = self._ladder.reached(part)
        of_interest = np.flatnonzero(counted | (reached >= 0))
        if len(of_interest):
            fixed = self._fixed(outcomes, ruled)[rows][of_interest]
            weight = self._weight(amount[rows][of_interest], part.probability[of_interest])
            counted, reached = counted[of_interest], reached[of_interest]
            held.used += float(weight[counted].sum())
            held.fixed += float(weight[counted & fixed].sum())
            free = ~fixed & (reached >= 0)
            held.weights += np.bincount(reached[free], weight[free], STEPS + 1)
        while len(self._days) > DAYS_MAX:
            del self._days[min(self._days)]

    def _counted(self, ruled: Ruled) -> BoolArray:
        match self._budget.counts:
            case "alerts":
                return ruled.alert
            case "reviews":
                return np.asarray(ruled.ruling.action == REVIEW)
        return np.asarray(ruled.ruling.action == CHALLENGE)

    def _fixed(self, outcomes: Outcomes, ruled: Ruled) -> BoolArray:
        """Of which payments a rule or the threshold without bounds decides, wherever the others are."""
        found = np.zeros(len(ruled.alert), np.bool_)
        found[list(ruled.ruling.rules)] = True
        if self._budget.probability is None:
            found |= outcomes.by_probability
        if self._budget.anomaly_percentile is None:
            found |= outcomes.by_anomaly
        return found

    def _weight(self, amount: NDArray[np.float64], probability: NDArray[np.float32]) -> NDArray[np.float64]:
        if self._budget.counts != "challenged_good":
            return np.ones(len(amount))
        good: NDArray[np.float64] = np.maximum(amount, 0.0) * (1.0 - probability)
        return good

    def sums(self) -> BudgetSums:
        """What the record says."""
        days = []
        for day, held in sorted(self._days.items()):
            steps = np.flatnonzero(held.weights)
            weights = tuple(held.weights[steps].tolist())
            days.append(
                BudgetDay(
                    day=day,
                    payments=held.payments,
                    used=held.used,
                    fixed=held.fixed,
                    steps=tuple(steps.tolist()),
                    weights=weights,
                )
            )
        return BudgetSums(
            group=self._group, policy=self.policy, budget=self._budget, days=tuple(days), moved=self._moved
        )
