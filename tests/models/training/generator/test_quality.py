"""The quality figures against data whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp, wasserstein_distance

from models.training.generator.quality import (
    correlations,
    detection_auc,
    marginal_distances,
    nearest_distances,
    quality,
)


def rows(count: int, seed: int, correlation: float = 0.9, shift: float = 0.0) -> NDArray[np.float32]:
    """Two correlated normal columns and a constant."""
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(2, count))
    second = correlation * first + np.sqrt(1 - correlation**2) * second
    return np.stack([first + shift, second, np.full(count, 3.0)], axis=1).astype(np.float32)


def test_rows_of_the_same_kind_cannot_be_told_apart_and_shifted_ones_can() -> None:
    """0.5 against nearly 1."""
    assert detection_auc(rows(1_000, 1), rows(1_000, 2), 0) == pytest.approx(0.5, abs=0.06)
    assert detection_auc(rows(1_000, 1), rows(1_000, 2, shift=5.0), 0) > 0.98


def test_the_marginal_distances_are_scipys() -> None:
    """Kolmogorov-Smirnov, and Wasserstein in standard deviations."""
    real, other = rows(500, 1), rows(700, 2, shift=0.4)
    ks, wasserstein = marginal_distances(real, other)
    for column in range(3):
        a, b = real[:, column].astype(np.float64), other[:, column].astype(np.float64)
        assert ks[column] == pytest.approx(ks_2samp(a, b).statistic)
        assert wasserstein[column] == pytest.approx(wasserstein_distance(a, b) / (a.std() or 1.0))


def test_correlations_are_pearsons_and_a_constant_has_none() -> None:
    """Against numpy's own."""
    real = rows(500, 1)
    expected = np.corrcoef(real[:, :2].T.astype(np.float64))
    assert correlations(real)[:2, :2] == pytest.approx(expected, abs=1e-6)
    assert np.all(correlations(real)[2] == 0.0)


@pytest.mark.slow
def test_rows_learnt_by_heart_show_in_the_distances() -> None:
    """New rows lie as far from the training rows as unseen ones do; copies lie on them."""
    real, unseen = rows(800, 1), rows(800, 2)
    honest = quality(real, unseen, rows(800, 3), 0)
    copied = quality(real, unseen, real[:400], 0)
    assert honest["nearest_distance_ratio"] == pytest.approx(1.0, abs=0.2)
    assert honest["copied_share"] == 0.0
    assert copied["nearest_distance_ratio"] < 0.01
    assert copied["copied_share"] == 1.0
    assert nearest_distances(real, real).max() == pytest.approx(0.0, abs=1e-4)


def test_lost_dependence_shows_in_the_correlations_and_to_the_detector() -> None:
    """Perfect marginals without it are the yardstick `independent`."""
    found = quality(rows(1_500, 1), rows(1_500, 2), rows(1_500, 3, correlation=0.0), 0)
    assert found["correlation_difference_max"] > 0.7
    assert found["detection_auc"] > 0.7
    assert found["detection_auc_independent"] > 0.7
    assert found["detection_auc_held_out"] < 0.6
