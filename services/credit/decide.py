"""Scores to outcomes. Pure."""

import numpy as np

from models.scoring.scores import Scores
from schemas.alert import Trigger
from schemas.credit import CreditOutcome
from schemas.manifest import Thresholds

TRIGGERS: dict[CreditOutcome, Trigger] = {"decline": "probability", "refer": "anomaly_percentile"}
"""The score behind each outcome that needs reasons."""


def outcomes(scores: Scores, thresholds: Thresholds) -> list[CreditOutcome]:
    """Of each application. Compared in float32, the scores' own precision, so that every reader finds the same."""
    declined = scores.probability >= np.float32(thresholds.probability)
    unusual = scores.anomaly_percentile >= np.float32(thresholds.anomaly_percentile)
    return [
        "decline" if decline else "refer" if refer else "approve"
        for decline, refer in zip(declined.tolist(), unusual.tolist(), strict=True)
    ]
