"""From which scores on to alert: an alert budget, shared between the two triggers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import Thresholds


@dataclass(frozen=True, slots=True)
class AlertBudget:
    """Alerts as a share of transactions, and the part of them that the anomaly score may raise alone."""

    share: float = 0.005
    anomaly_part: float = 0.1


def choose_thresholds(
    probability: NDArray[np.float32], anomaly_percentile: NDArray[np.float32], budget: AlertBudget
) -> Thresholds:
    """Thresholds that spend the budget on these rows, float32[n] each: first the classifier's part, then the anomaly's.

    The anomaly threshold counts only rows that the classifier does not alert on: it is there to find what that one misses.
    """
    by_classifier = round(len(probability) * budget.share * (1.0 - budget.anomaly_part))
    by_anomaly = round(len(probability) * budget.share * budget.anomaly_part)
    probability_threshold = _lowest_of_top(probability, by_classifier)
    rest = anomaly_percentile[probability < probability_threshold]
    return Thresholds(
        probability=float(probability_threshold),
        anomaly_percentile=float(_lowest_of_top(rest, by_anomaly)),
        objective=(
            f"{budget.share:.2%} of all transactions on validation, at most; {budget.anomaly_part:.0%} of these alerts "
            "by the anomaly percentile alone"
        ),
    )


def _lowest_of_top(scores: NDArray[np.float32], count: int) -> np.float32:
    """The threshold that at most `count` scores reach, but for ties at the very highest score, which all reach it."""
    ordered = np.sort(scores)[::-1]
    if count >= len(ordered):
        return np.float32(ordered[-1])
    above = ordered[ordered > ordered[count]]
    return np.float32(above[-1]) if len(above) else np.float32(ordered[0])
