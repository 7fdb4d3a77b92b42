"""The bootstrap's figures are scikit-learn's, and its intervals pair and narrow as they must."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from models.training.bootstrap import CardDays, Ranking, bootstrap, differences, estimate
from models.training.data import Dataset


def payments(rows: int, cards: int, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Random payments of some cards over five days, and a score that says something of them."""
    random = np.random.default_rng(seed)
    truth = random.random(rows) < 0.1
    score = (random.random(rows) + 0.5 * truth).round(2).astype(np.float32)
    data = Dataset(
        np.zeros((rows, 1), np.float32),
        random.integers(0, cards, rows),
        np.sort(random.integers(0, 5, rows)),
        truth,
        truth.astype(np.int8),
    )
    return data, score


@pytest.mark.parametrize("seed", range(3))
def test_weighted_figures_are_scikit_learns_ties_included(seed: int) -> None:
    """Scores of two digits tie often; weights of 0 leave rows out."""
    data, score = payments(500, 40, seed)
    weights = np.random.default_rng(seed).integers(0, 4, 500).astype(np.float64)
    roc_auc, precision = Ranking.of(score, data.is_fraud).roc_auc_and_average_precision(weights)
    assert roc_auc == pytest.approx(roc_auc_score(data.is_fraud, score, sample_weight=weights))
    assert precision == pytest.approx(average_precision_score(data.is_fraud, score, sample_weight=weights))


def test_a_card_drawn_twice_fills_two_places_and_is_found_twice() -> None:
    """Two places a day: card 1, drawn twice, takes both; undrawn cards take none."""
    data = Dataset(
        np.zeros((3, 1), np.float32),
        np.array([1, 2, 3]),
        np.zeros(3, np.int64),
        np.array([True, True, False]),
        np.ones(3),
    )
    days = CardDays(data, np.array([0.9, 0.8, 0.7], np.float32))
    assert days.precision(2) == 1.0
    assert days.precision(2, np.array([2.0, 1.0, 0.0])) == 1.0
    assert days.precision(2, np.array([1.0, 0.0, 2.0])) == 0.5


def test_the_first_value_is_the_measured_one_and_lies_in_its_interval() -> None:
    """For each figure; and another seed gives another interval round the same value."""
    data, score = payments(2000, 300)
    figures = bootstrap(data, {"a": score}, seed=1, draws=50)["a"]
    assert figures["average_precision"][0] == pytest.approx(average_precision_score(data.is_fraud, score))
    for values in figures.values():
        found = estimate(values)
        assert found.low <= found.value <= found.high
        assert found.low < found.high
    again = bootstrap(data, {"a": score}, seed=1, draws=50)["a"]
    assert all(np.array_equal(again[name], values) for name, values in figures.items())


def test_a_model_beside_itself_differs_by_nothing_and_a_better_one_by_more() -> None:
    """Paired draws: the difference's interval is narrower than either figure's."""
    data, score = payments(2000, 300)
    better = score + 0.2 * data.is_fraud.astype(np.float32)
    drawn = bootstrap(data, {"a": score, "same": score.copy(), "better": better}, seed=1, draws=50)
    same = differences(drawn["a"], drawn["same"])["average_precision"]
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)
    gain = differences(drawn["better"], drawn["a"])["average_precision"]
    assert gain.low > 0.0


def test_payments_of_one_card_make_an_interval_wider_than_as_many_cards() -> None:
    """Cards are drawn, not payments: copies of a payment on its card add no certainty."""
    data, score = payments(300, 300)
    copies = np.repeat(np.arange(300), 5)
    many = Dataset(*(getattr(data, name)[copies] for name in ("features", "card", "day", "is_fraud", "scenario")))
    once, repeated = (
        estimate(bootstrap(part, {"a": values}, seed=1, draws=100)["a"]["average_precision"])
        for part, values in ((data, score), (many, score[copies]))
    )
    assert repeated.high - repeated.low == pytest.approx(once.high - once.low, rel=0.05)
