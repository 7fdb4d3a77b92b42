"""Reasons are Shapley values: exact where all coalitions are tried, and always summing to the whole difference."""

from collections.abc import Callable
from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.load import load_bundle
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from models.scoring.shapley import COALITIONS_MAX, REASONS_MAX, design, explain, shapley_values

BUNDLE = load_bundle(Path("deploy/bundles/fraud"))
FEATURES = len(BUNDLE.manifest.feature_spec.names)
Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def by_definition(function: Function, row: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shapley values by their definition: the mean gain over all orders in which features arrive."""
    count = len(row)

    def value(members: tuple[int, ...]) -> float:
        rows = background.copy()
        rows[:, members] = row[list(members)]
        return float(function(rows).mean())

    values = np.zeros(count)
    for feature in range(count):
        others = [f for f in range(count) if f != feature]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for members in combinations(others, size):
                values[feature] += weight * (value((*members, feature)) - value(members))
    return values


def estimated(
    function: Function, row: NDArray[np.float64], background: NDArray[np.float64], coalitions_max: int
) -> NDArray[np.float64]:
    """Shapley values as `explain` finds them."""
    plan = design(len(row), coalitions_max)
    inputs = np.where(plan.masks[:, None, :], row, background[None]).reshape(-1, len(row))
    score = function(np.concatenate([inputs, row[None], background]))
    values, _ = shapley_values(plan, score, 1, len(background))
    return values[0]


def tangled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """A function with effects of every order."""
    return np.tanh(rows[:, 0] * rows[:, 1] + rows[:, 2]) + np.prod(rows[:, 2:], axis=1)


@pytest.mark.parametrize("background_rows", [1, 3])
def test_all_coalitions_give_the_values_of_the_definition(background_rows: int) -> None:
    """Five features, 30 coalitions, against a plain sum over all subsets."""
    random = np.random.default_rng(0)
    row, background = random.normal(size=5), random.normal(size=(background_rows, 5))
    expected = by_definition(tangled, row, background)
    np.testing.assert_allclose(estimated(tangled, row, background, 30), expected, atol=1e-12)


def test_effects_of_pairs_are_exact_with_the_bounded_coalitions_too() -> None:
    """20 features, few coalitions in complementary pairs, a function of single and pairwise effects."""
    random = np.random.default_rng(1)
    linear, pairs = random.normal(size=20), np.triu(random.normal(size=(20, 20)), 1)
    row, background = random.normal(size=20), np.zeros((1, 20))

    def function(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows @ linear + np.einsum("ni,ij,nj->n", rows, pairs, rows)

    products = pairs * np.outer(row, row)
    expected = linear * row + (products.sum(axis=0) + products.sum(axis=1)) / 2
    np.testing.assert_allclose(estimated(function, row, background, COALITIONS_MAX), expected, atol=1e-9)


def test_the_values_always_sum_to_the_difference_from_the_background() -> None:
    """Exactly, although the coalitions are a sample."""
    random = np.random.default_rng(2)
    row, background = random.normal(size=20), random.normal(size=(2, 20))
    whole = float(tangled(row[None])[0] - tangled(background).mean())
    assert estimated(tangled, row, background, COALITIONS_MAX).sum() == pytest.approx(whole, abs=1e-9)


def test_rows_per_alert_are_bounded() -> None:
    """Whatever the number of features."""
    for features in (2, 3, 8, 20, 100):
        masks = design(features).masks
        assert len(masks) <= COALITIONS_MAX
        assert not masks.all(axis=1).any()
        assert masks.any(axis=1).all()


class Counting:
    """The committed bundle on the CPU, counting runs."""

    def __init__(self) -> None:
        self.bundle, self.runs, self._session = BUNDLE, 0, ModelSession(BUNDLE, "cpu")

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score and count."""
        self.runs += 1
        return self._session.run(matrix)


def alerts(count: int) -> NDArray[np.float32]:
    """Rows that differ from the background in every feature."""
    background = np.array(BUNDLE.reference.background[0], np.float32)
    return (background * np.random.default_rng(4).uniform(1.0, 9.0, (count, FEATURES)) + 1.0).astype(np.float32)


def test_all_alerts_of_a_batch_are_explained_in_one_run_with_the_same_bits_as_alone() -> None:
    """A replay in other batches must write the same alerts."""
    session, rows = Counting(), alerts(9)
    triggers = [("probability",), ("anomaly_percentile",), ("probability", "anomaly_percentile")] * 3
    together = explain(session, rows, triggers)
    assert session.runs == 1
    assert together == [explain(session, rows[i : i + 1], triggers[i : i + 1])[0] for i in range(9)]


def test_reasons_are_of_the_triggers_alone_at_most_four_strongest_first() -> None:
    """Each with the feature's name and value, and both in words."""
    rows = alerts(3)
    for trigger in ("probability", "anomaly_percentile"):
        for row, reasons in zip(rows, explain(Counting(), rows, [(trigger,)] * 3), strict=True):
            contributions = [reason.contribution for reason in reasons]
            assert 1 <= len(reasons) <= REASONS_MAX
            assert contributions == sorted(contributions, reverse=True)
            assert min(contributions) > 0
            for reason in reasons:
                feature = BUNDLE.manifest.feature_spec.names.index(reason.feature)
                assert reason.score == trigger
                assert reason.value == float(row[feature])
                assert reason.text.startswith(BUNDLE.manifest.feature_spec.descriptions[feature])


def test_contributions_to_the_percentile_sum_to_its_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the percentile's own unit, with all features' contributions shown that raise it and no other."""
    monkeypatch.setattr("models.scoring.shapley.REASONS_MAX", FEATURES)
    session, rows = Counting(), alerts(1)
    plan, background = design(FEATURES), np.array(BUNDLE.reference.background, np.float32)
    inputs = np.where(plan.masks, rows, background)
    scores = session.run(np.concatenate([inputs, rows, background]))
    errors, _ = shapley_values(plan, scores.reconstruction_error, 1, 1)
    gain = float(scores.anomaly_percentile[-2]) - float(scores.anomaly_percentile[-1])
    raised = errors[0][errors[0] > 0].sum() * gain / errors[0].sum()
    reasons = explain(session, rows, [("anomaly_percentile",)])[0]
    assert sum(reason.contribution for reason in reasons) == pytest.approx(raised, rel=1e-3)


class Tied:
    """A model in which every feature counts the same."""

    bundle = BUNDLE

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """How many features are not the background's."""
        changed = (matrix != np.array(BUNDLE.reference.background[0], np.float32)).sum(axis=1).astype(np.float32)
        return Scores(changed / FEATURES, changed, changed)


def test_ties_go_to_the_earlier_feature() -> None:
    """Twenty equal contributions: the spec's first four, contribution 1/20 each."""
    reasons = explain(Tied(), alerts(1), [("probability",)])[0]
    assert [reason.contribution for reason in reasons] == pytest.approx([1 / FEATURES] * REASONS_MAX, abs=1e-6)
    assert [reason.feature for reason in reasons] == list(BUNDLE.manifest.feature_spec.names[:REASONS_MAX])


def test_no_alerts_need_no_run() -> None:
    """Most batches have none."""
    session = Counting()
    assert explain(session, alerts(0), []) == []
    assert session.runs == 0
