"""Each objective is met on the rows that it was chosen on, and never by accident."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from models.training.thresholds import (
    NEVER_PERCENTILE,
    AlertBudget,
    AlertsPerDay,
    AmountCosts,
    CostMatrix,
    Objective,
    ObjectiveError,
    PrecisionFloor,
    RecallFloor,
    choose_thresholds,
    parse_objective,
)


def rows() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """A probability that is right on the average, and a percentile that knows some frauds that it misses."""
    random = np.random.default_rng(0)
    probability = random.beta(0.3, 3.0, 20_000).astype(np.float32)
    truth = random.random(20_000) < probability
    hidden = random.random(20_000) < 0.002
    percentile = np.where(hidden, 99.95, 99.0 * random.random(20_000)).astype(np.float32)
    return probability, percentile, truth | hidden


def test_the_thresholds_spend_the_alert_budget_and_no_more() -> None:
    """1 % of 10,000: 90 by the classifier, 10 more by the anomaly score alone."""
    random = np.random.default_rng(0)
    probability = random.random(10_000, dtype=np.float32)
    percentile = random.random(10_000, dtype=np.float32) * 100
    chosen = choose_thresholds(probability, percentile, AlertBudget(share=0.01, anomaly_part=0.1))
    by_classifier = probability >= chosen.probability
    assert by_classifier.sum() == 90
    assert (by_classifier | (percentile >= chosen.anomaly_percentile)).sum() == 100


def test_ties_at_the_edge_of_the_budget_raise_the_threshold() -> None:
    """Ten scores of 0.9 and a thousand of 0.5, budget for 50: only the ten."""
    probability = np.array([0.9] * 10 + [0.5] * 1000, np.float32)
    chosen = choose_thresholds(probability, np.linspace(0, 99, 1010, dtype=np.float32), AlertBudget(50 / 1010, 0.0))
    assert (probability >= chosen.probability).sum() == 10


def test_a_precision_floor_holds_for_the_classifier_and_for_all_alerts() -> None:
    """And one step further down either score it would not."""
    probability, percentile, truth = rows()
    chosen = choose_thresholds(probability, percentile, PrecisionFloor(0.7), truth)
    by_classifier = probability >= chosen.probability
    alerts = by_classifier | (percentile >= chosen.anomaly_percentile)
    assert truth[by_classifier].mean() >= 0.7
    assert truth[alerts].mean() >= 0.7
    assert alerts.sum() > by_classifier.sum()
    for lower in np.unique(probability[probability < chosen.probability])[-3:]:
        assert truth[probability >= lower].mean() < 0.7


def test_the_least_cost_in_money_is_the_least_of_all_thresholds() -> None:
    """A missed fraud at its own amount: against every threshold of the probability, one by one."""
    random = np.random.default_rng(3)
    probability = np.round(random.beta(0.3, 3.0, 2_000), 3).astype(np.float32)
    truth, amounts = random.random(2_000) < probability, random.gamma(2.0, 40.0, 2_000)

    def cost(threshold: float) -> float:
        alerts = probability >= np.float32(threshold)
        return float(amounts[truth & ~alerts].sum() + 30.0 * (alerts & ~truth).sum())

    costs = AmountCosts(30.0)
    chosen = choose_thresholds(probability, np.zeros_like(probability), costs, truth, amounts=amounts)
    assert cost(chosen.probability) == pytest.approx(min(cost(t) for t in (*np.unique(probability), 1.1)))
    assert chosen.anomaly_percentile == NEVER_PERCENTILE
    assert "a missed fraud at its amount and a false alarm at 30" in chosen.objective
    assert parse_objective("cost:FN=amount,FP=30") == costs
    with pytest.raises(ObjectiveError, match="have no amounts"):
        choose_thresholds(probability, np.zeros_like(probability), costs, truth)


def test_the_least_cost_is_the_least_of_all_thresholds() -> None:
    """Against every threshold tried; near cost of an alarm / (both costs), as theory has it for calibrated scores."""
    probability, percentile, truth = rows()
    costs = CostMatrix(false_negative=9.0, false_positive=1.0)
    chosen = choose_thresholds(probability, percentile, costs, truth)

    def cost(threshold: float) -> float:
        alerts = probability >= threshold
        return float(9.0 * (truth & ~alerts).sum() + (alerts & ~truth).sum())

    assert cost(chosen.probability) == min(cost(t) for t in np.linspace(0.0, 1.0, 501)) or cost(
        chosen.probability
    ) < min(cost(t) for t in np.linspace(0.0, 1.0, 501))
    assert chosen.probability == pytest.approx(0.1, abs=0.04)
    assert chosen.anomaly_percentile == pytest.approx(99.95)


def test_an_anomaly_score_that_only_costs_raises_no_alert_of_its_own() -> None:
    """A percentile that knows nothing, and false alarms that cost more than frauds."""
    probability, _, truth = rows()
    nothing = np.full(len(truth), 50.0, np.float32)
    for objective in (PrecisionFloor(0.7), CostMatrix(1.0, 5.0)):
        chosen = choose_thresholds(probability, nothing, objective, truth)
        assert chosen.anomaly_percentile == NEVER_PERCENTILE


def test_objectives_are_read_from_words() -> None:
    """The three kinds."""
    assert parse_objective("budget:0.01") == AlertBudget(0.01)
    assert parse_objective("precision:0.9") == PrecisionFloor(0.9)
    assert parse_objective("cost:FN=100,FP=1") == CostMatrix(100.0, 1.0)


@pytest.mark.parametrize(
    "text", ["", "budget", "budget:2", "precision:1.5", "cost:FN=1", "cost:FN=-1,FP=1", "cost:FN=amount,FP=0", "luck:7"]
)
def test_an_objective_that_is_none_is_refused_with_an_example(text: str) -> None:
    """One sentence that shows how to write it."""
    with pytest.raises(ObjectiveError, match="write"):
        parse_objective(text)


def test_a_floor_out_of_reach_is_said() -> None:
    """Labels that the score knows nothing of."""
    scores = np.linspace(0.0, 1.0, 100, dtype=np.float32)
    with pytest.raises(ObjectiveError, match="No threshold reaches a precision of 90%"):
        choose_thresholds(scores, scores, PrecisionFloor(0.9), scores < 0.5)


@pytest.mark.parametrize(
    "objective",
    [AlertBudget(), AlertsPerDay(4.0), PrecisionFloor(0.5), RecallFloor(0.5), CostMatrix(3.0, 5.0), AmountCosts(5.0)],
)
def test_an_objective_comes_back_from_a_manifest_as_what_it_was(objective: Objective) -> None:
    """They have no tag: their fields tell them apart."""
    kinds: TypeAdapter[Objective] = TypeAdapter(Objective)
    assert kinds.validate_json(kinds.dump_json(objective)) == objective
