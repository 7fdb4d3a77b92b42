"""What a model says of a batch."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import Thresholds


class Scores(NamedTuple):
    """Three columns, float32[n]: probability 0 to 1, error >= 0, percentile 0 to 100. The names are the graph's outputs."""

    probability: NDArray[np.float32]
    reconstruction_error: NDArray[np.float32]
    anomaly_percentile: NDArray[np.float32]


def crossed(scores: Scores, thresholds: Thresholds) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the probability crosses its threshold, and where the percentile does.

    Compared in float32, the scores' own precision, so that every reader of the score finds the same.
    """
    by_probability = scores.probability >= np.float32(thresholds.probability)
    by_anomaly = scores.anomaly_percentile >= np.float32(thresholds.anomaly_percentile)
    return by_probability, by_anomaly
