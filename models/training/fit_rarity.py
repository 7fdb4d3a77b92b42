"""Fits the curves from features' errors to nats of rarity, on legitimate traffic that the autoencoder has not seen."""

import numpy as np
from numpy.typing import NDArray

from models.networks.rarity import RarityCurves

TAIL_ROWS_MIN = 10
"""Of the last share that is estimated by itself: a quantile of fewer rows is chance."""

BEYOND, BEYOND_NATS = 3.0, float(np.log(10.0))
"""The largest error of n rows counts log n nats; `BEYOND` times that error and more, so many more: worse ones still rank."""

ROOT_RISE = 0.01
"""A nat takes so much of an error's root, at least: less is a float32's last digits, and an error that says nothing."""


def fit_rarity(errors: NDArray[np.float32]) -> RarityCurves:
    """The curves of features' errors, float32[n, F] of legitimate rows: 0 nats up to the median, log 2 for each half above."""
    halvings = max(1, int(np.log2(max(2.0, len(errors) / TAIL_ROWS_MIN))))
    shares = 0.5 ** np.arange(1, halvings + 1)
    knots = np.quantile(errors.astype(np.float64), 1.0 - shares, axis=0)
    largest = errors.max(axis=0).astype(np.float64)
    roots = np.sqrt(np.concatenate([knots, [largest], [BEYOND * largest]]))
    last = max(float(np.log(len(errors) / 2.0)), -float(np.log(2.0 * shares[-1])) + 0.1)
    nats = np.concatenate([-np.log(2.0 * shares), [last, last + BEYOND_NATS]])
    for place in range(1, len(roots)):
        least = roots[place - 1] + ROOT_RISE * (nats[place] - nats[place - 1])
        roots[place] = np.maximum(roots[place], least)
    return RarityCurves((roots.T**2).astype(np.float32), nats.astype(np.float32))
