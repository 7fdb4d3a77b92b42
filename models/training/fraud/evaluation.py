"""What a model is worth on a cut: the figures of the manifest and of docs/results.md."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from models.scoring.scores import Scores
from models.training.bootstrap import CARDS_PER_DAY, CardDays
from models.training.data import Dataset
from schemas.manifest import Thresholds

OF_ANOMALY = ("anomaly", "reconstruction")
"""Words in the names of figures that are of the anomaly score."""

ErrorUnit = Literal["mse", "nats"]


def error_unit(figures: Mapping[str, float]) -> ErrorUnit:
    """What the reconstruction error of a bundle with these figures is: a mean squared error, or nats."""
    return "nats" if "reconstruction_nats_legitimate" in figures else "mse"


def evaluate(
    data: Dataset, scores: Scores, thresholds: Thresholds, *, has_anomaly: bool = True, error: ErrorUnit = "mse"
) -> dict[str, float]:
    """Every figure by name; none of the anomaly score where there is none. error: what the reconstruction error is.

    `_combined` is the decision as taken: an alert by either score. `_scenario_k`: frauds of that scenario alone.
    """
    probability, reconstruction_error = scores.probability, scores.reconstruction_error
    truth = data.is_fraud
    by_classifier = probability >= thresholds.probability
    by_anomaly = scores.anomaly_percentile >= thresholds.anomaly_percentile
    combined = by_classifier | by_anomaly
    figures = {
        "roc_auc": roc_auc_score(truth, probability),
        "average_precision": average_precision_score(truth, probability),
        "card_precision_at_100": card_precision(data, probability, CARDS_PER_DAY),
        "brier": brier_score_loss(truth, probability),
        "cross_entropy": log_loss(truth, probability.astype(np.float64)),
        "anomaly_roc_auc": roc_auc_score(truth, reconstruction_error),
        "anomaly_average_precision": average_precision_score(truth, reconstruction_error),
        f"reconstruction_{error}_legitimate": reconstruction_error[~truth].mean(dtype=np.float64),
        f"reconstruction_{error}_fraud": reconstruction_error[truth].mean(dtype=np.float64),
        "fraud_share": truth.mean(),
    }
    kinds = [kind for kind in np.unique(data.scenario[truth]) if kind]  # 0: of no known kind
    for scenario in kinds:
        rows = ~truth | (data.scenario == scenario)
        figures |= {
            f"average_precision_scenario_{scenario}": average_precision_score(truth[rows], probability[rows]),
            f"anomaly_average_precision_scenario_{scenario}": average_precision_score(
                truth[rows], reconstruction_error[rows]
            ),
        }
    for name, alerts in (("classifier", by_classifier), ("anomaly", by_anomaly), ("combined", combined)):
        figures |= {
            f"alert_share_{name}": alerts.mean(),
            f"accuracy_{name}": accuracy_score(truth, alerts),
            f"precision_{name}": precision_score(truth, alerts, zero_division=0.0),
            f"recall_{name}": recall_score(truth, alerts),
            f"f1_{name}": f1_score(truth, alerts),
        }
        for scenario in kinds:
            figures[f"recall_{name}_scenario_{scenario}"] = alerts[data.scenario == scenario].mean()
    others = () if has_anomaly else OF_ANOMALY
    return {name: float(value) for name, value in figures.items() if not any(word in name for word in others)}


def card_precision(data: Dataset, score: NDArray[np.float32], cards: int) -> float:
    """Card precision@k of the handbook, mean over the days: see `CardDays.precision`."""
    return CardDays(data, score).precision(cards)
