"""Scores to outcomes. Pure."""

from models.scoring.scores import Scores, crossed
from schemas.alert import Trigger
from schemas.credit import CreditOutcome
from schemas.manifest import Thresholds

TRIGGERS: dict[CreditOutcome, Trigger] = {"decline": "probability", "refer": "anomaly_percentile"}
"""The score behind each outcome that needs reasons."""


def outcomes(scores: Scores, thresholds: Thresholds) -> list[CreditOutcome]:
    """Of each application."""
    declined, unusual = crossed(scores, thresholds)
    return [
        "decline" if decline else "refer" if refer else "approve"
        for decline, refer in zip(declined.tolist(), unusual.tolist(), strict=True)
    ]
