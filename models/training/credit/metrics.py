"""What a credit model is worth on its test part: the figures of the manifest."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models.scoring.scores import Scores
from schemas.manifest import Thresholds


def credit_metrics(
    defaulted: NDArray[np.bool_], scores: Scores, thresholds: Thresholds, error_unit: Literal["mse", "nats"] = "mse"
) -> dict[str, float]:
    """Every figure by name. Declined: at or above the probability threshold; referred: of the others, by the anomaly.

    error_unit: what the reconstruction error is, a mean squared error or nats.
    """
    probability, error = scores.probability, scores.reconstruction_error
    declined = probability >= np.float32(thresholds.probability)
    referred = ~declined & (scores.anomaly_percentile >= np.float32(thresholds.anomaly_percentile))
    approved = ~declined & ~referred
    hits, declines = float((declined & defaulted).sum()), float(declined.sum())
    precision, recall = hits / max(1.0, declines), hits / float(defaulted.sum())
    figures = {
        "roc_auc": roc_auc_score(defaulted, probability),
        "gini": 2.0 * roc_auc_score(defaulted, probability) - 1.0,
        "kolmogorov_smirnov": kolmogorov_smirnov(defaulted, probability),
        "average_precision": average_precision_score(defaulted, probability),
        "brier": brier_score_loss(defaulted, probability),
        "cross_entropy": log_loss(defaulted, probability.astype(np.float64)),
        "calibration_error": calibration_error(defaulted, probability),
        "anomaly_roc_auc": roc_auc_score(defaulted, error),
        f"reconstruction_{error_unit}_repaid": error[~defaulted].mean(dtype=np.float64),
        f"reconstruction_{error_unit}_default": error[defaulted].mean(dtype=np.float64),
        "default_share": defaulted.mean(),
        "declined_share": declined.mean(),
        "referred_share": referred.mean(),
        "approved_share": approved.mean(),
        "default_share_of_approved": defaulted[approved].mean() if approved.any() else 0.0,
        "default_share_of_referred": defaulted[referred].mean() if referred.any() else 0.0,
        "accuracy_declined": float(np.mean(declined == defaulted)),
        "precision_declined": precision,
        "recall_declined": recall,
        "f1_declined": 2.0 * precision * recall / (precision + recall) if hits else 0.0,
    }
    return {name: float(value) for name, value in figures.items()}


def kolmogorov_smirnov(defaulted: NDArray[np.bool_], probability: NDArray[np.float32]) -> float:
    """The largest distance between the two classes' distributions of the probability, as credit scorecards report it."""
    levels = np.unique(probability)
    shares = [
        np.searchsorted(np.sort(probability[rows]), levels, "right") / np.count_nonzero(rows)
        for rows in (defaulted, ~defaulted)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def calibration_error(defaulted: NDArray[np.bool_], probability: NDArray[np.float32], bins: int = 10) -> float:
    """Mean distance between probability and share of defaults over bins of equally many applications."""
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    distances = [abs(float(probability[part].mean()) - float(defaulted[part].mean())) * len(part) for part in parts]
    return sum(distances) / len(probability)
