"""Logits to probabilities, fitted on rows that the classifier was not fitted on, and folded into the graph."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.networks.fused import Calibration, CalibrationCurve

Method = Literal["platt", "temperature", "isotonic"]

KNOT_GAP = 0.05
"""Least distance of two knots, in logits: a steeper curve would amplify the last digits of a float32."""

OUTER_GAP = 4.0
"""The curve continues for so many logits beyond the rows that it was fitted on, so that more extreme scores still rank."""


def fit_calibration(
    logits: NDArray[np.float64], is_positive: NDArray[np.bool_], method: Method = "platt"
) -> Calibration | CalibrationCurve:
    """The calibration of float64[n] logits by what the rows turned out to be, bool[n].

    platt: a line in logits (Platt, "Probabilistic Outputs for Support Vector Machines", 1999). temperature: its slope alone
    (Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017). isotonic: a rising curve (Zadrozny,
    Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", 2002), linear between its steps.
    """
    if method == "platt":
        fit = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(logits[:, None], is_positive)
        return Calibration(slope=float(fit.coef_[0, 0]), intercept=float(fit.intercept_[0]))
    if method == "temperature":
        fit = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000, fit_intercept=False)
        return Calibration(slope=float(fit.fit(logits[:, None], is_positive).coef_[0, 0]), intercept=0.0)
    return _isotonic(logits, is_positive)


def _isotonic(logits: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> CalibrationCurve:
    """Knots at the middle of each step, its probability after Laplace's rule, which is never 0 or 1.

    Steps whose middles are nearer than KNOT_GAP, or that Laplace's rule would put out of order, are one.
    """
    level = IsotonicRegression(y_min=0.0, y_max=1.0).fit(logits, is_positive).predict(logits)
    order = np.argsort(logits, kind="stable")
    logit, positive = logits[order], is_positive[order]
    steps: list[tuple[float, float, float]] = []  # rows, sum of logits, positives
    for rows in np.split(np.arange(len(logit)), np.flatnonzero(np.diff(level[order]) > 0) + 1):
        steps.append((float(len(rows)), float(logit[rows].sum()), float(positive[rows].sum())))
        while len(steps) > 1 and not _apart(steps[-2], steps[-1]):
            later, earlier = steps.pop(), steps.pop()
            steps.append((earlier[0] + later[0], earlier[1] + later[1], earlier[2] + later[2]))
    knots = [total / rows for rows, total, _ in steps]
    levels = [_laplace(step) for step in steps]
    return CalibrationCurve(
        logits=(min(logit[0], knots[0]) - OUTER_GAP, *knots, max(logit[-1], knots[-1]) + OUTER_GAP),
        probabilities=(levels[0] / 2.0, *levels, (1.0 + levels[-1]) / 2.0),
    )


def _apart(earlier: tuple[float, float, float], later: tuple[float, float, float]) -> bool:
    far = later[1] / later[0] - earlier[1] / earlier[0] >= KNOT_GAP
    return far and _laplace(later) > _laplace(earlier)


def _laplace(step: tuple[float, float, float]) -> float:
    return (step[2] + 1.0) / (step[0] + 2.0)
