"""The first page: four figures, what the model may be used for, what it does badly."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from models.training.model_report.blocks import count, interval_words, of_hundred, percent
from models.training.model_report.inputs import ReportInput, decide, scenarios_of, share

HUNDRED = 100
POOR_RECALL = 0.5
"""Where less is found, the report says so on its first page."""

PRODUCT_USE = {
    "fraud": "Raising alerts on card payments while they happen, for people to look at, with reasons.",
    "credit": "Estimating the risk of default of an application, as one part of a decision that states its reasons.",
}
STANDING_LIMITS = (
    "The figures are of the test rows named below and of no other time, country or customer group.",
    "Fairness between groups of people was not measured.",
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One headline figure."""

    value: str
    label: str
    note: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the first page says."""

    tiles: tuple[Tile, ...]
    use: tuple[str, ...]
    limits: tuple[str, ...]


def summarise(data: ReportInput) -> Summary:
    """Tiles, intended use and limits; the limits that can be measured are."""
    use = (PRODUCT_USE[data.manifest.product], *data.intended_use, f"Permitted use: {data.manifest.permitted_use}")
    return Summary(_tiles(data), use, (*_measured_limits(data), *data.limits, *STANDING_LIMITS))


def _tiles(data: ReportInput) -> tuple[Tile, ...]:
    truth, words = data.test.truth, data.words
    alerts = decide(data.test.scores, data.manifest.thresholds)["combined"]
    probability = data.test.scores.probability
    precision, recall, alerted = share(truth, alerts), share(alerts, truth) or 0.0, float(alerts.mean())
    return (
        Tile(
            _shown(precision, int(alerts.sum())),
            f"{words.alerts} {words.are}",
            f"precision: {interval_words(int((truth & alerts).sum()), int(alerts.sum()))}; a guess: "
            f"{percent(float(truth.mean()), 2)}",
        ),
        Tile(
            _shown(recall, int(truth.sum())),
            f"{words.positives} are found",
            f"recall: {interval_words(int((truth & alerts).sum()), int(truth.sum()))}",
        ),
        Tile(
            of_hundred(alerted),
            f"{words.events}: {words.alert}",
            f"{count(alerts.sum())} of {count(len(truth))} tested",
        ),
        Tile(
            f"{roc_auc_score(truth, probability):.3f}",
            "ROC AUC of the probability",
            f"average precision {average_precision_score(truth, probability):.3f}",
        ),
    )


def _shown(part: float | None, whole: int) -> str:
    """A percentage where there are a hundred or more, else a count: fourteen are too few for per cent."""
    if part is None:
        return "none"
    return of_hundred(part) if whole >= HUNDRED else f"{round(part * whole)} of {whole}"


def _measured_limits(data: ReportInput) -> tuple[str, ...]:
    truth, words, scores = data.test.truth, data.words, data.test.scores
    decisions = decide(scores, data.manifest.thresholds)
    found = []
    recall = share(decisions["combined"], truth) or 0.0
    alerted, positives = float(decisions["combined"].mean()), float(truth.mean())
    if data.manifest.product == "fraud" and alerted < positives:
        found.append(
            f"It alerts on {percent(alerted, 2)} of the {words.events}, and {percent(positives, 2)} of them {words.are}: no "
            f"more than {percent(alerted / positives, 0)} of the {words.positives} can be found with so few {words.alerts}."
        )
    if recall < POOR_RECALL:
        found.append(f"At the thresholds it misses {of_hundred(1 - recall)} {words.positives}.")
    for label, rows in scenarios_of(data):
        caught = share(decisions["combined"], rows & truth) or 0.0
        if caught < POOR_RECALL:
            found.append(f"Of “{label}” it misses {percent(1 - caught, 0)}.")
    alone = decisions["anomaly"] & ~decisions["classifier"]
    if alone.any():
        right = int((alone & truth).sum())
        found.append(
            f"{count(alone.sum())} {words.alerts} come from the anomaly score alone; {count(right)} of them {words.are}."
        )
    silent = float(np.mean(scores.probability[truth] < 0.05)) if truth.any() else 0.0
    if silent > 0.1:
        found.append(f"{percent(silent, 0)} of the {words.positives} get a probability below 5%.")
    return tuple(found)
