"""Rivals without labels: ECOD against a count by hand."""

import numpy as np
import pytest

from models.training.baselines import ECOD, ISOLATION_FOREST, ecod, unsupervised_scores

pytestmark = pytest.mark.train


def by_hand(train: np.ndarray, row: np.ndarray) -> float:
    """Three sums of -log tail shares, one feature after the other."""
    low, high, skewed = [], [], []
    for known, value in zip(train.T, row, strict=True):
        low.append(-np.log(max(1, sum(known <= value)) / len(known)))
        high.append(-np.log(max(1, sum(known >= value)) / len(known)))
        third = np.mean((known.astype(np.float64) - known.mean(dtype=np.float64)) ** 3)
        skewed.append(low[-1] if third < 0 else high[-1])
    return max(sum(low), sum(high), sum(skewed))


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
