"""From which scores on to alert: for an alert budget, a floor of precision, or the least cost."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import Thresholds

NEVER_PERCENTILE = 100.0
"""Only errors far beyond any legitimate one reach it: where the anomaly score may raise no alert of its own."""


class ObjectiveError(ValueError):
    """An objective that cannot be read or met: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class AlertBudget:
    """Alerts as a share of transactions, and the part of them that the anomaly score may raise alone."""

    share: float = 0.005
    anomaly_part: float = 0.1

    def __post_init__(self) -> None:
        if not (0.0 < self.share <= 1.0 and 0.0 <= self.anomaly_part < 1.0):
            raise ObjectiveError(f"An alert budget of {self.share} is not a share: write for example budget:0.005.")


@dataclass(frozen=True, slots=True)
class PrecisionFloor:
    """As many alerts as possible of which at least this share is right: the classifier's, and all of them together."""

    floor: float

    def __post_init__(self) -> None:
        if not 0.0 < self.floor < 1.0:
            raise ObjectiveError(f"A precision of {self.floor} is no floor: write for example precision:0.9.")


@dataclass(frozen=True, slots=True)
class CostMatrix:
    """What a missed fraud and a false alarm cost, in one unit of money; what is decided rightly costs nothing."""

    false_negative: float
    false_positive: float

    def __post_init__(self) -> None:
        if not (0.0 < self.false_negative < math.inf and 0.0 < self.false_positive < math.inf):
            raise ObjectiveError("Both costs must be above 0: write for example cost:FN=100,FP=1.")


@dataclass(frozen=True, slots=True)
class AmountCosts:
    """A missed fraud costs its amount, a false alarm so much, in the same currency."""

    false_positive: float

    def __post_init__(self) -> None:
        if not 0.0 < self.false_positive < math.inf:
            raise ObjectiveError("A false alarm must cost more than 0: write for example cost:FN=amount,FP=5.")


@dataclass(frozen=True, slots=True)
class RecallFloor:
    """The fewest alerts of the classifier that find at least this share of the frauds."""

    recall: float
    """Named apart from `PrecisionFloor.floor`: settings in a manifest are told apart by their names."""

    def __post_init__(self) -> None:
        if not 0.0 < self.recall <= 1.0:
            raise ObjectiveError(f"A recall of {self.recall} is no floor: write for example recall:0.8.")


@dataclass(frozen=True, slots=True)
class AlertsPerDay:
    """So many alerts a day, at most, in the mean, and the part of them that the anomaly score may raise alone."""

    count: float
    anomaly_part: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.count < math.inf:
            raise ObjectiveError(f"{self.count} alerts a day are no budget: write for example alerts:20.")


Objective = AlertBudget | PrecisionFloor | CostMatrix | AmountCosts | RecallFloor | AlertsPerDay


def parse_objective(text: str) -> Objective:
    """`budget:0.005`, `precision:0.9`, `cost:FN=100,FP=1` or `cost:FN=amount,FP=5`. Raises ObjectiveError."""
    kind, _, value = text.partition(":")
    try:
        match kind:
            case "budget":
                return AlertBudget(float(value))
            case "precision":
                return PrecisionFloor(float(value))
            case "recall":
                return RecallFloor(float(value))
            case "alerts":
                return AlertsPerDay(float(value))
            case "cost":
                costs = dict(part.split("=") for part in value.split(","))
                missed, alarm = costs["FN"], float(costs["FP"])
                return AmountCosts(alarm) if missed == "amount" else CostMatrix(float(missed), alarm)
    except (KeyError, ObjectiveError, ValueError) as error:
        if isinstance(error, ObjectiveError):
            raise
    raise ObjectiveError(
        f"{text!r} is no objective: write budget:0.005 (share of payments), alerts:20 (a day), precision:0.9, recall:0.8, "
        "cost:FN=100,FP=1 or cost:FN=amount,FP=5."
    )


def choose_thresholds(
    probability: NDArray[np.float32],
    anomaly_percentile: NDArray[np.float32],
    objective: Objective,
    is_fraud: NDArray[np.bool_] | None = None,
    days: int | None = None,
    amounts: NDArray[np.float64] | None = None,
) -> Thresholds:
    """Thresholds that meet the objective on these rows, float32[n] each: the classifier's first, then the anomaly's.

    The anomaly threshold counts only rows that the classifier does not alert on: it is there to find what that one misses.
    is_fraud: bool[n]; a budget needs none. days: how many the rows cover, where they have some. amounts: float64[n], where the
    objective counts money. Raises ObjectiveError where no threshold reaches the floor.
    """
    if isinstance(objective, AlertBudget):
        return _by_budget(probability, anomaly_percentile, objective)
    if isinstance(objective, AlertsPerDay):
        if not days:
            raise ObjectiveError("Alerts a day need rows with days, which these have not: write budget:SHARE instead.")
        share = min(1.0, objective.count * days / len(probability))
        chosen = _by_budget(probability, anomaly_percentile, AlertBudget(share, objective.anomaly_part))
        words = f"{objective.count:g} alerts a day on validation, at most; {objective.anomaly_part:.0%} of them by the "
        return chosen.model_copy(update={"objective": f"{words}anomaly percentile alone"})
    if is_fraud is None:
        raise ObjectiveError("A precision floor or a cost needs the labels of the rows: give is_fraud.")
    if isinstance(objective, PrecisionFloor):
        return _by_precision(probability, anomaly_percentile, objective, is_fraud)
    if isinstance(objective, RecallFloor):
        return _by_recall(probability, objective, is_fraud)
    return _by_cost(probability, anomaly_percentile, objective, is_fraud, amounts)


def classifier_thresholds(
    probability: NDArray[np.float32],
    objective: Objective,
    is_fraud: NDArray[np.bool_],
    days: int | None = None,
    amounts: NDArray[np.float64] | None = None,
) -> Thresholds:
    """`choose_thresholds` where there is no anomaly score: its threshold is one that a percentile of 0 never reaches."""
    if isinstance(objective, AlertBudget | AlertsPerDay):
        objective = replace(objective, anomaly_part=0.0)
    found = choose_thresholds(probability, np.zeros_like(probability), objective, is_fraud, days, amounts)
    words = found.objective.partition(";")[0]
    return found.model_copy(update={"anomaly_percentile": NEVER_PERCENTILE, "objective": words})


def _by_recall(probability: NDArray[np.float32], objective: RecallFloor, is_fraud: NDArray[np.bool_]) -> Thresholds:
    scores, right, _ = _alerts_from(probability, is_fraud)
    if not len(right) or not right[-1]:
        raise ObjectiveError("There is no fraud on validation to find: ask for a budget.")
    first = int(np.argmax(right >= objective.recall * right[-1]))
    return Thresholds(
        probability=float(scores[first]),
        anomaly_percentile=NEVER_PERCENTILE,
        objective=f"the fewest alerts by the probability that find {objective.recall:.0%} of the frauds, on validation",
    )


def _by_budget(
    probability: NDArray[np.float32], anomaly_percentile: NDArray[np.float32], budget: AlertBudget
) -> Thresholds:
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


def _by_precision(
    probability: NDArray[np.float32],
    anomaly_percentile: NDArray[np.float32],
    objective: PrecisionFloor,
    is_fraud: NDArray[np.bool_],
) -> Thresholds:
    scores, right, wrong = _alerts_from(probability, is_fraud)
    met = np.flatnonzero(right >= objective.floor * (right + wrong))
    if not len(met):
        raise ObjectiveError(
            f"No threshold reaches a precision of {objective.floor:.0%} on validation: ask for less, or for a budget."
        )
    threshold, rest = scores[met[-1]], probability < scores[met[-1]]
    scores, more_right, more_wrong = _alerts_from(anomaly_percentile[rest], is_fraud[rest])
    rights, alerts = right[met[-1]] + more_right, right[met[-1]] + wrong[met[-1]] + more_right + more_wrong
    also_met = np.flatnonzero((rights >= objective.floor * alerts) & (more_right > 0))
    return Thresholds(
        probability=float(threshold),
        anomaly_percentile=float(scores[also_met[-1]]) if len(also_met) else NEVER_PERCENTILE,
        objective=f"the most alerts with a precision of {objective.floor:.0%} at least, on validation",
    )


def _by_cost(
    probability: NDArray[np.float32],
    anomaly_percentile: NDArray[np.float32],
    objective: CostMatrix | AmountCosts,
    is_fraud: NDArray[np.bool_],
    amounts: NDArray[np.float64] | None,
) -> Thresholds:
    missed, words = _missed(objective, amounts)
    saved_by_alert = np.where(is_fraud, missed, -objective.false_positive)
    threshold, _ = _cheapest(probability, saved_by_alert)
    rest = probability < threshold
    percentile, saved = _cheapest(anomaly_percentile[rest], saved_by_alert[rest])
    return Thresholds(
        probability=float(threshold),
        anomaly_percentile=float(percentile) if saved > 0.0 else NEVER_PERCENTILE,
        objective=(
            f"the least cost on validation, a missed fraud at {words} and a false alarm at {objective.false_positive:g}"
        ),
    )


def _missed(objective: CostMatrix | AmountCosts, amounts: NDArray[np.float64] | None) -> tuple[Any, str]:
    """What missing each row would cost, were it a fraud: one number, or float64[n]; and in words."""
    if isinstance(objective, CostMatrix):
        return objective.false_negative, f"{objective.false_negative:g}"
    if amounts is None:
        raise ObjectiveError("These rows have no amounts that a missed fraud could cost: write cost:FN=100,FP=1.")
    return amounts, "its amount"


def _cheapest(score: NDArray[np.float32], saved_by_alert: NDArray[np.float64]) -> tuple[float, float]:
    """The threshold that saves most against no alert at all, and how much; 1.0 and nothing where every alert costs more."""
    order, last = _falling(score)
    saved = np.cumsum(saved_by_alert[order], dtype=np.float64)[last]
    best = int(np.argmax(saved)) if len(saved) else -1
    if best < 0 or saved[best] <= 0.0:
        return 1.0, 0.0
    return float(score[order][last][best]), float(saved[best])


def _falling(score: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of falling scores, and in it the last place of each distinct one."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, np.int64)
    return order, last


def _alerts_from(
    score: NDArray[np.float32], is_fraud: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Each distinct score, falling, with the frauds and the others that reach it."""
    order, last = _falling(score)
    right = np.cumsum(is_fraud[order], dtype=np.int64)[last]
    return score[order][last], right, last + 1 - right


def _lowest_of_top(scores: NDArray[np.float32], count: int) -> np.float32:
    """The threshold that at most `count` scores reach, except ties at the very highest score, which all reach it."""
    ordered = np.sort(scores)[::-1]
    if count >= len(ordered):
        return np.float32(ordered[-1])
    above = ordered[ordered > ordered[count]]
    return np.float32(above[-1]) if len(above) else np.float32(ordered[0])
