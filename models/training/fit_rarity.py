"""Fits the scale of rarity on legitimate traffic that the autoencoder has not seen."""

import numpy as np
from numpy.typing import NDArray

from models.networks.encoding import Encoding
from models.networks.rarity import RarityScale

RIDGE = 0.1
"""Of the mean variance, added to each: a direction in which nothing ever moves must not outweigh all others."""

TAIL_ROWS_MIN = 10
"""Of the last knot: a quantile of fewer rows is chance. Beyond it rows thin out as they do on the average there."""

STEP_MIN = 1e-3
"""Of a squared distance between knots: less is a float32's last digits."""


def columns_of(encoding: Encoding) -> NDArray[np.float64]:
    """float64[B, D]: bins to columns of displacement, a number's bins summed, each value of a category on its own."""
    of_value = np.zeros(len(encoding.feature), np.bool_) if encoding.of_value is None else encoding.of_value
    names = np.where(of_value, encoding.features + np.arange(len(of_value)), encoding.feature)
    return (names[:, None] == np.unique(names)).astype(np.float64)


def fit_rarity(encoding: Encoding, residual: NDArray[np.float32], latent: NDArray[np.float32]) -> RarityScale:
    """The scale of legitimate rows: residuals of their encoding, float32[n, B], and their latents' means, float32[n, Z].

    The nearest of them has 0 nats, one that is farther out than half of them log 2, and so on for each half of the others.
    """
    columns = columns_of(encoding)
    displacement = residual.astype(np.float64) @ columns
    centre = displacement.mean(axis=0)
    covariance = np.atleast_2d(np.cov(displacement.T, bias=True))
    ridge = max(RIDGE * float(np.trace(covariance)) / len(covariance), 1e-12)
    root = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(len(covariance))))
    of_displacement = (((displacement - centre) @ root) ** 2).sum(axis=1)
    of_latent = (latent.astype(np.float64) ** 2).sum(axis=1)
    halvings = max(1, int(np.log2(max(2.0, len(residual) / TAIL_ROWS_MIN))))
    shares = 0.5 ** np.arange(halvings + 1)
    distances, slopes = [], []
    for measured in (of_displacement, of_latent):
        knots = np.quantile(measured, 1.0 - shares)
        for place in range(1, len(knots)):
            knots[place] = max(knots[place], knots[place - 1] + max(STEP_MIN, 1e-3 * knots[place - 1]))
        beyond = measured[measured > knots[-1]] - knots[-1]
        distances.append(knots)
        slopes.append(1.0 / max(float(beyond.mean()) if len(beyond) else 0.0, knots[-1] - knots[-2]))
    return RarityScale(
        whiten=(columns @ root).astype(np.float32),
        centre=(centre @ root).astype(np.float32),
        distances=np.array(distances, np.float32),
        nats=np.abs(np.log(shares)).astype(np.float32),
        slope=np.array(slopes, np.float32),
    )
