"""What a model says of a batch."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Scores(NamedTuple):
    """Three columns, float32[n]: probability 0 to 1, error >= 0, percentile 0 to 100. The names are the graph's outputs."""

    probability: NDArray[np.float32]
    reconstruction_error: NDArray[np.float32]
    anomaly_percentile: NDArray[np.float32]
