"""What a report is made of: any bundle's test rows with their truth, and what the trainer knows beside the manifest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.scoring.scores import Scores
from models.scoring.tree_reasons import LeafBoxes
from schemas.feature_kinds.base import number_words
from schemas.manifest import Manifest, Thresholds
from schemas.reference import Reference

Rows = NDArray[np.bool_]

DECISIONS = ("classifier", "anomaly", "combined")
"""The two triggers and the decision as taken: an alert by either."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the product's rows, classes and decisions are called.

    are: the words for positives. reference: which rows the bundle's reference describes.
    """

    event: str
    events: str
    positive: str
    positives: str
    negative: str
    negatives: str
    are: str
    alert: str
    alerts: str
    left: str
    reference: str


FRAUD = Words(
    event="payment",
    events="payments",
    positive="fraud",
    positives="frauds",
    negative="legitimate payment",
    negatives="legitimate payments",
    are="are fraud",
    alert="alert",
    alerts="alerts",
    left="no alert",
    reference="legitimate payments",
)
CREDIT = Words(
    event="application",
    events="applications",
    positive="default",
    positives="defaults",
    negative="repaid credit",
    negatives="repaid credits",
    are="ended in default",
    alert="not approved",
    alerts="applications not approved",
    left="approved",
    reference="approved applications",
)


@dataclass(frozen=True, slots=True)
class Tested:
    """n rows that the model was not trained on, in order of time where they have one.

    truth: bool[n]. features: float32[n, F]. latent: float32[n, L], the autoencoder's latent means. day: int64[n], from any
    first day. scenario: int8[n], 0 where there is none. card: int64[n], numbered. amount: float64[n].
    """

    truth: NDArray[np.bool_]
    features: NDArray[np.float32]
    scores: Scores
    latent: NDArray[np.float32] | None = None
    day: NDArray[np.int64] | None = None
    scenario: NDArray[np.int8] | None = None
    card: NDArray[np.int64] | None = None
    amount: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.truth)


def _plain(_feature: int, value: float) -> str:
    return number_words(value)


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything in a report.

    descriptions: each feature in words. run: scores float32[n, F] as the bundle does. value_words: a feature's number and a
    value of it, in words. scenarios: number to words. graph_digest: SHA-256 (hex) of the graph. Intervals and other models
    are taken from the manifest's evaluation, where it has one. trees: those that alone make the probability.
    """

    manifest: Manifest
    reference: Reference
    descriptions: tuple[str, ...]
    run: Callable[[NDArray[np.float32]], Scores]
    test: Tested
    words: Words
    graph_digest: str
    intended_use: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    value_words: Callable[[int, float], str] = _plain
    scenarios: Mapping[int, str] = field(default_factory=dict)
    trees: LeafBoxes | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Column names of the features, in order."""
        return tuple(histogram.name for histogram in self.reference.features)

    @property
    def like_reference(self) -> Rows:
        """The test's rows that the bundle's reference describes: for payments the legitimate, for credit the approved ones."""
        if self.manifest.product == "fraud":
            return ~self.test.truth
        return ~decide(self.test.scores, self.manifest.thresholds)["combined"]


def decide(scores: Scores, thresholds: Thresholds) -> dict[str, Rows]:
    """Alerts, bool[n], by each of DECISIONS."""
    by_classifier = scores.probability >= thresholds.probability
    by_anomaly = scores.anomaly_percentile >= thresholds.anomaly_percentile
    return {"classifier": by_classifier, "anomaly": by_anomaly, "combined": by_classifier | by_anomaly}


def share(part: Rows, of: Rows) -> float | None:
    """The share of the rows `of` that are in `part` too; None if there are none."""
    return float(part[of].mean()) if of.any() else None


def scenarios_of(data: ReportInput) -> list[tuple[str, Rows]]:
    """The scenarios that the rows hold: in words, and which rows they are."""
    column = data.test.scenario
    if column is None:
        return []
    numbers = [int(number) for number in np.unique(column[data.test.truth]) if number]
    return [(data.scenarios.get(number, f"scenario {number}"), column == number) for number in numbers]
