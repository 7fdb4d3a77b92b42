"""Chooses a few inputs among many: forward selection for a logistic regression, by Rao's score test.

Each candidate enters as piecewise-linear columns, so that a bend in its effect counts. At each step the logistic regression on
the inputs chosen so far is fitted once; how much a candidate would gain is then its score statistic, in closed form (Rao,
"Large sample tests of statistical hypotheses concerning several parameters", 1948), less twice its columns, as in Akaike's
criterion. So a choice of 8 among 30 takes 8 fits, and can be made again on the training rows of every fold.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

BINS = 5
RIDGE = 1e-6
"""Of the largest information: keeps columns that say the same as others from dividing by nothing."""

Matrix = NDArray[np.float64]


def choose_inputs(features: NDArray[np.float32], truth: NDArray[np.bool_], count: int) -> list[int]:
    """Places of the `count` inputs chosen of float32[n, F], in the order in which they were."""
    columns = [_columns(column.astype(np.float64)) for column in features.T]
    chosen: list[int] = []
    while len(chosen) < min(count, len(columns)):
        known = np.hstack([np.ones((len(truth), 1)), *(columns[place] for place in chosen)])
        probability = _fitted(known, truth)
        gains = {
            place: _score_statistic(known, columns[place], probability, truth) - 2 * columns[place].shape[1]
            for place in range(len(columns))
            if place not in chosen
        }
        chosen.append(max(gains, key=lambda place: gains[place]))
    return chosen


def _columns(column: Matrix) -> Matrix:
    """float64[n, up to BINS] in 0 to 1: how far each value has come through each bin of equal share."""
    edges = np.unique(np.quantile(column, np.linspace(0.0, 1.0, BINS + 1)))
    if len(edges) == 1:
        return np.zeros((len(column), 1))
    return np.asarray(np.clip((column[:, None] - edges[:-1]) / np.diff(edges), 0.0, 1.0))


def _fitted(known: Matrix, truth: NDArray[np.bool_]) -> Matrix:
    """Probabilities of the logistic regression on what is known, its first column ones."""
    if known.shape[1] == 1:
        return np.full(len(truth), truth.mean())
    fit = LogisticRegression(C=100.0, solver="newton-cholesky", max_iter=50).fit(known[:, 1:], truth)
    return np.asarray(fit.predict_proba(known[:, 1:])[:, 1])


def _score_statistic(known: Matrix, more: Matrix, probability: Matrix, truth: NDArray[np.bool_]) -> float:
    """How far the likelihood still rises towards `more`, in units of chi squared."""
    weight = probability * (1.0 - probability)
    weighted = more * weight[:, None]
    gradient = more.T @ (truth - probability)
    within = (known * weight[:, None]).T @ known
    across = known.T @ weighted
    within[np.diag_indices_from(within)] += RIDGE * within.max()
    information = more.T @ weighted - across.T @ np.linalg.solve(within, across)
    information[np.diag_indices_from(information)] += RIDGE * within.max()
    return float(gradient @ np.linalg.solve(information, gradient))
