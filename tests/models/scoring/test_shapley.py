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
from models.scoring.shapley import (
    COALITIONS,
    EXACT_FEATURES_MAX,
    REASONS_MAX,
    coalitions_max,
    contributions,
    design,
    explain,
    gains,
    rows_max,
    shapley_values,
)
from schemas.alert import Trigger

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
    function: Function, row: NDArray[np.float64], background: NDArray[np.float64], coalitions: int | None = None
) -> NDArray[np.float64]:
    """Shapley values as `explain` finds them, in float64."""
    plan = design(len(row), coalitions)
    inputs = np.where(plan.masks[:, None, :], row, background[None]).reshape(-1, len(row))
    return shapley_values(plan, gains(function(inputs), function(row[None])[0], function(background)))


def tangled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """A function with effects of every order."""
    return np.tanh(rows[:, 0] * rows[:, 1] + rows[:, 2]) + np.prod(rows[:, 2:], axis=1)


@pytest.mark.parametrize("background_rows", [1, 3])
def test_all_coalitions_give_the_values_of_the_definition(background_rows: int) -> None:
    """Five features, 30 coalitions, against a plain sum over all subsets."""
    random = np.random.default_rng(0)
    row, background = random.normal(size=5), random.normal(size=(background_rows, 5))
    expected = by_definition(tangled, row, background)
    np.testing.assert_allclose(estimated(tangled, row, background), expected, atol=1e-12)


def test_effects_of_pairs_are_exact_with_the_bounded_coalitions_too() -> None:
    """20 features, few coalitions in complementary pairs, a function of single and pairwise effects."""
    random = np.random.default_rng(1)
    linear, pairs = random.normal(size=20), np.triu(random.normal(size=(20, 20)), 1)
    row, background = random.normal(size=20), np.zeros((1, 20))

    def function(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows @ linear + np.einsum("ni,ij,nj->n", rows, pairs, rows)

    products = pairs * np.outer(row, row)
    expected = linear * row + (products.sum(axis=0) + products.sum(axis=1)) / 2
    np.testing.assert_allclose(estimated(function, row, background, 64), expected, atol=1e-9)


def test_the_values_always_sum_to_the_difference_from_the_background() -> None:
    """Exactly, although the coalitions are a sample."""
    random = np.random.default_rng(2)
    row, background = random.normal(size=20), random.normal(size=(2, 20))
    whole = float(tangled(row[None])[0] - tangled(background).mean())
    assert estimated(tangled, row, background, 64).sum() == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("features", [0, 1, 2, 3, 8, 9, 20, 100, 512])
def test_rows_per_alert_are_bounded(features: int) -> None:
    """Up to 8 features all coalitions, then 128, then four a feature; and the values are determined by them."""
    plan = design(features)
    assert len(plan.masks) <= coalitions_max(features) <= max(254, COALITIONS, 4 * features)
    assert not plan.masks.all(axis=1).any()
    assert plan.masks.any(axis=1).all() or not len(plan.masks)
    linear = np.arange(1.0, features + 1)
    gain = np.append(plan.masks @ linear, linear.sum())
    np.testing.assert_allclose(shapley_values(plan, gain), linear, rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bundles_own_scores_are_explained_exactly_where_few_features_differ(seed: int) -> None:
    """Six features unlike the typical payment's: both scores' values are the definition's, the other twenty count 0."""
    session = ModelSession(BUNDLE, "cpu")
    background = np.array(BUNDLE.reference.background, np.float32)
    random = np.random.default_rng(seed)
    different = np.sort(random.choice(FEATURES, 6, replace=False))
    row = background[0].copy()
    row[different] = row[different] * 3 + 5
    values = contributions(session.run, row[None], background)

    def at_different(column: str, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.tile(background[0], (len(rows), 1))
        whole[:, different] = rows
        return np.asarray(getattr(session.run(whole), column), np.float64)

    args = row[different].astype(np.float64), background[:, different].astype(np.float64)
    expected = by_definition(lambda rows: at_different("probability", rows), *args)
    np.testing.assert_allclose(values["probability"][0, different], expected, atol=1e-9)
    errors = by_definition(lambda rows: at_different("reconstruction_error", rows), *args)
    percentile = session.run(np.stack([row, background[0]])).anomaly_percentile.astype(np.float64)
    scaled = errors / errors.sum() * (percentile[0] - percentile[1])
    np.testing.assert_allclose(values["anomaly_percentile"][0, different], scaled, rtol=1e-6, atol=1e-9)
    for column in values.values():
        assert np.count_nonzero(column) <= EXACT_FEATURES_MAX
        assert set(np.flatnonzero(column[0])) <= set(different)


def test_features_that_count_alike_get_the_same_value_where_all_coalitions_are_tried() -> None:
    """Symmetry: a tie is a tie to the last digits, so its order is the spec's, not the rounding's."""
    random = np.random.default_rng(3)
    level = np.zeros((1, EXACT_FEATURES_MAX))

    def alike(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.tanh(rows.sum(axis=1)) ** 3

    row = np.full(EXACT_FEATURES_MAX, random.uniform(0.1, 0.4))
    values = estimated(alike, row, level)
    assert np.ptp(values) < 1e-12
    assert values.sum() == pytest.approx(float(alike(row[None])[0]), abs=1e-12)


class Counting:
    """The committed bundle on the CPU, counting runs and rows."""

    def __init__(self) -> None:
        self.bundle, self.runs, self.rows, self._session = BUNDLE, 0, 0, ModelSession(BUNDLE, "cpu")
        self.trees = self._session.trees

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score and count."""
        self.runs += 1
        self.rows += len(matrix)
        return self._session.run(matrix)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same."""
        self.runs += 1
        self.rows += len(matrix)
        return self._session.probability(matrix)


def alerts(count: int) -> NDArray[np.float32]:
    """Rows that differ from the background in every feature."""
    background = np.array(BUNDLE.reference.background[0], np.float32)
    return (background * np.random.default_rng(4).uniform(1.0, 9.0, (count, FEATURES)) + 1.0).astype(np.float32)


def test_all_alerts_of_a_batch_are_explained_in_one_run_each_way_with_the_same_bits_as_alone() -> None:
    """A replay in other batches must write the same alerts."""
    session, rows = Counting(), alerts(9)
    triggers = [("probability",), ("anomaly_percentile",), ("probability", "anomaly_percentile")] * 3
    together = explain(session, rows, triggers)
    assert session.runs == 2
    assert session.rows == rows_max(BUNDLE, 9)
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
    background = np.array(BUNDLE.reference.background, np.float32)
    values = contributions(session.run, rows, background)["anomaly_percentile"][0]
    percentiles = session.run(np.concatenate([rows, background])).anomaly_percentile
    assert values.sum() == pytest.approx(float(percentiles[0]) - float(percentiles[1]), rel=1e-5)
    reasons = explain(session, rows, [("anomaly_percentile",)])[0]
    assert sum(reason.contribution for reason in reasons) == pytest.approx(values[values > 5e-5].sum(), rel=1e-3)


class Tied:
    """A model in which every feature counts the same."""

    bundle, trees = BUNDLE, None

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """How many features are not the background's."""
        changed = (matrix != np.array(BUNDLE.reference.background[0], np.float32)).sum(axis=1).astype(np.float32)
        return Scores(changed / FEATURES, changed, changed)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of these."""
        return self.run(matrix).probability


def test_reasons_of_the_probability_are_those_of_the_whole_graph() -> None:
    """To the bit: what the part for it leaves out has no part in them."""
    session, rows = Counting(), alerts(9)
    background = np.array(BUNDLE.reference.background, np.float32)
    asked: list[tuple[Trigger, ...]] = [("probability",)] * 9
    whole = contributions(session.run, rows, background)["probability"]
    part = contributions(session.run, rows, background, triggers=asked, probability=session.probability)
    assert part["probability"].tobytes() == whole.tobytes()
    assert not part["anomaly_percentile"].any()


def test_ties_go_to_the_earlier_feature() -> None:
    """Equal contributions of all features: the spec's first four, the same share each."""
    reasons = explain(Tied(), alerts(1), [("probability",)])[0]
    assert [reason.contribution for reason in reasons] == pytest.approx([1 / FEATURES] * REASONS_MAX, abs=1e-6)
    assert [reason.feature for reason in reasons] == list(BUNDLE.manifest.feature_spec.names[:REASONS_MAX])


def test_no_alerts_need_no_run() -> None:
    """Most batches have none."""
    session = Counting()
    assert explain(session, alerts(0), []) == []
    assert session.runs == 0


def test_a_row_like_the_background_has_no_reasons_and_one_that_differs_in_one_feature_has_that_one() -> None:
    """Nothing is blamed that is as usual."""
    session, background = Counting(), np.array(BUNDLE.reference.background, np.float32)
    one = background.copy()
    one[0, 0] = 5000.0
    both = ("probability", "anomaly_percentile")
    usual, unusual = explain(session, np.concatenate([background, one]), [both, both])
    assert usual == ()
    assert {reason.feature for reason in unusual} == {BUNDLE.manifest.feature_spec.names[0]}
    assert unusual[0].text.startswith("amount: 5,000 (typical: ")
