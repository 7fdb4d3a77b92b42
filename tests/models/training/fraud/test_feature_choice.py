"""The features that a reference network reads are those that tell most, each beside those already chosen."""

import numpy as np

from models.training.data import Dataset
from models.training.fraud.feature_choice import choose_features


def rows(count: int, seed: int) -> Dataset:
    """Six features: the sum of 1 and 4 decides, 2 repeats 1, the rest is noise."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 6)).astype(np.float32)
    features[:, 2] = features[:, 1]
    truth = features[:, 1] + features[:, 4] > 2.0
    return Dataset(features, np.arange(count), np.zeros(count, np.int64), truth, truth.astype(np.int8))


def test_it_chooses_what_adds_and_not_what_repeats() -> None:
    """1 (or its copy) and 4, never both copies."""
    chosen = choose_features(rows(3000, 0), rows(2000, 1), 2, seed=1)
    assert set(chosen) in ({1, 4}, {2, 4})


def test_all_are_taken_where_there_are_no_more() -> None:
    """Six of six, and of eight."""
    assert choose_features(rows(10, 0), rows(10, 1), 8, seed=1) == (0, 1, 2, 3, 4, 5)
