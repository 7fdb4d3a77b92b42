"""Synthetic frauds beside the real rows of a training cut."""

import numpy as np
from numpy.typing import NDArray

from models.training.data import Dataset

NO_CARD = -1
"""The card of a synthetic row: it is nobody's."""


def with_frauds(data: Dataset, frauds: NDArray[np.float32]) -> Dataset:
    """`data` and then `frauds`, float32[n, F], on its last day."""
    count = len(frauds)
    return Dataset(
        np.concatenate([data.features, frauds]),
        np.append(data.card, np.full(count, NO_CARD)),
        np.append(data.day, np.full(count, data.day.max())),
        np.append(data.is_fraud, np.ones(count, np.bool_)),
        np.append(data.scenario, np.zeros(count, np.int8)),
    )
