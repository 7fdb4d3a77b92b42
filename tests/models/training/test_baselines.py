"""Rivals: ECOD against a count by hand, and a forest that is grown in parts."""

from typing import Any

import numpy as np
import pytest

from models.training.baselines import (
    ECOD,
    FOREST,
    FOREST_PARTS,
    ISOLATION_FOREST,
    LOGISTIC,
    baseline_works,
    baselines,
    ecod,
    of_parts,
    unsupervised_scores,
)
from models.training.data import Dataset
from models.training.progress import silent

pytestmark = pytest.mark.train


def payments(count: int) -> Dataset:
    """Of three features, the first of which says most about fraud."""
    random = np.random.default_rng(1)
    features = random.normal(size=(count, 3)).astype(np.float32)
    fraud = features[:, 0] + random.normal(size=count) > 1.5
    zeros = np.zeros(count, np.int64)
    return Dataset(features, np.arange(count), zeros, fraud, zeros.astype(np.int8))


def by_hand(train: np.ndarray, row: np.ndarray) -> float:
    """Three sums of -log tail shares, one feature after the other."""
    low, high, skewed = [], [], []
    for known, value in zip(train.T, row, strict=True):
        low.append(-np.log(max(1, sum(known <= value)) / len(known)))
        high.append(-np.log(max(1, sum(known >= value)) / len(known)))
        third = np.mean((known.astype(np.float64) - known.mean(dtype=np.float64)) ** 3)
        skewed.append(low[-1] if third < 0 else high[-1])
    return float(max(sum(low), sum(high), sum(skewed)))


def test_ecod_is_the_largest_of_three_sums_of_tail_shares() -> None:
    """On skewed columns, ties, and rows beyond all that is known."""
    random = np.random.default_rng(0)
    train = np.column_stack([random.gamma(1.0, 9.0, 300), -random.gamma(1.0, 9.0, 300), random.integers(0, 3, 300)])
    train = train.astype(np.float32)
    test = np.concatenate([train[:20], [[1e6, 0.0, 1.0], [5.0, -1e6, 0.0], [-1.0, 1.0, 7.0]]]).astype(np.float32)
    np.testing.assert_allclose(ecod(train, test), [by_hand(train, row) for row in test])


def test_unsupervised_rivals_rank_what_lies_far_out_first() -> None:
    """Both, and with the same seed the same scores."""
    random = np.random.default_rng(0)
    train, test = random.normal(size=(2000, 4)).astype(np.float32), random.normal(size=(100, 4)).astype(np.float32)
    test[:5] += 6.0
    scores = unsupervised_scores(train, test, seed=1)
    assert set(scores) == {ISOLATION_FOREST, ECOD}
    for name, score in scores.items():
        assert set(np.argsort(-score)[:5].tolist()) == {0, 1, 2, 3, 4}, name
        np.testing.assert_array_equal(score, unsupervised_scores(train, test, seed=1)[name])


def test_a_forest_in_parts_has_the_trees_of_a_whole_one() -> None:
    """Each at its place: the same probabilities as of scikit-learn's forest of that seed."""
    data, seed = payments(600), 5
    works = baseline_works(data, data, seed)
    found = {name: works[name](silent) for name in (*FOREST_PARTS, LOGISTIC)}
    whole: Any = baselines(seed)[FOREST]
    expected = whole.fit(data.features, data.is_fraud).predict_proba(data.features)[:, 1]
    joined = of_parts(found)
    assert set(joined) == {FOREST, LOGISTIC}
    np.testing.assert_allclose(joined[FOREST], expected, rtol=0, atol=1e-7)
    assert len({found[name].tobytes() for name in FOREST_PARTS}) == len(FOREST_PARTS)
