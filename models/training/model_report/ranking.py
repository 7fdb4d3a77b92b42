"""How well the scores put the positives first: ROC and precision-recall curves."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from models.training.model_report.blocks import Figure, Section, Table, figure, of_hundred, percent
from models.training.model_report.inputs import ReportInput, decide, share
from models.training.model_report.svg import Axis, Plot

POINTS = 150
"""Points of a curve: more cannot be seen."""

FALSE_POSITIVE_RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
RECALLS = (0.1, 0.25, 0.5, 0.75, 0.9)

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def ranking_section(data: ReportInput) -> Section:
    """Both curves, for each score that there is."""
    words = data.words
    scores = (
        "the classifier's probability (solid) and the autoencoder's reconstruction error (dashed), which was not told what "
        f"{words.positive} is."
        if data.manifest.has_anomaly
        else "the classifier's probability."
    )
    return Section(
        "ranking",
        f"Does the score put {words.positives} first?",
        (f"A threshold can be moved later; a ranking cannot. These curves show every threshold at once: {scores}",),
        (_roc(data), _precision_recall(data)),
    )


def _roc(data: ReportInput) -> Figure:
    truth, scores, words = data.test.truth, data.test.scores, data.words
    curves = {name: _thin_roc(truth, score) for name, score in _ranked(data).items()}
    auc = {name: float(roc_auc_score(truth, score)) for name, score in _ranked(data).items()}
    plot = Plot(_share_axis(f"false alarms, share of {words.negatives}"), _share_axis(f"{words.positives} found"))
    plot.line((0, 1), (0, 1), "rule")
    for (name, (false, found)), style in zip(curves.items(), ("c1", "c3 dash"), strict=False):
        plot.line(false, found, style)
        plot.key(f"line {style}", f"{name}, AUC {auc[name]:.3f}")
    alerts = decide(scores, data.manifest.thresholds)["classifier"]
    found_now, false_now = share(alerts, truth) or 0.0, share(alerts, ~truth) or 0.0
    plot.marker(false_now, found_now, "c2")
    return Figure(
        "ROC curve",
        f"Taken at random, one of the {words.positives} has a higher probability than one of the {words.negatives} in "
        f"{of_hundred(auc['probability'])} cases (AUC {auc['probability']:.3f}; a coin gives 0.500, the dotted diagonal). "
        f"The dot is the active threshold: {percent(found_now)} found at {percent(false_now, 2)} false alarms.",
        plot.svg(f"ROC curves. Area under the curve: {', '.join(f'{name} {area:.3f}' for name, area in auc.items())}."),
        Table(
            f"{words.positives.capitalize()} found at a given share of false alarms",
            ("false alarms", *auc),
            tuple(
                (
                    percent(rate),
                    *(percent(float(np.interp(rate, *_roc_of(truth, score)))) for score in _ranked(data).values()),
                )
                for rate in FALSE_POSITIVE_RATES
            ),
        ),
    )


def _precision_recall(data: ReportInput) -> Figure:
    truth, words = data.test.truth, data.words
    base = float(truth.mean())
    average = {name: float(average_precision_score(truth, score)) for name, score in _ranked(data).items()}
    plot = Plot(_share_axis(f"{words.positives} found (recall)"), _share_axis("precision"))
    plot.level(base)
    for (name, score), style in zip(_ranked(data).items(), ("c1", "c3 dash"), strict=False):
        grid = np.linspace(0.0, 1.0, POINTS)
        plot.line(grid, _precision_at(truth, score, grid), style)
        plot.key(f"line {style}", f"{name}, AP {average[name]:.3f}")
    alerts = decide(data.test.scores, data.manifest.thresholds)["classifier"]
    plot.marker(share(alerts, truth) or 0.0, share(truth, alerts) or 0.0, "c2")
    return Figure(
        "Precision and recall",
        f"Precision is the share of {words.alerts} that {words.are}. {percent(base, 2)} of all these {words.events} "
        f"{words.are}, so a guess has precision {figure(base, 4)} (dotted); the probability's average precision is "
        f"{figure(average['probability'])}, {average['probability'] / base:.0f} times that. The dot is the active threshold.",
        plot.svg(
            "Precision-recall curves. Average precision: "
            f"{', '.join(f'{name} {value:.3f}' for name, value in average.items())}, guess {base:.4f}."
        ),
        Table(
            f"Precision when a given share of the {words.positives} is found",
            ("found", *average),
            tuple(
                (
                    percent(recall, 0),
                    *(
                        percent(float(_precision_at(truth, score, np.array([recall]))[0]))
                        for score in _ranked(data).values()
                    ),
                )
                for recall in RECALLS
            ),
        ),
    )


def _ranked(data: ReportInput) -> dict[str, NDArray[np.float32]]:
    scores = data.test.scores
    found = {"probability": scores.probability}
    return found | ({"reconstruction error": scores.reconstruction_error} if data.manifest.has_anomaly else {})


def _share_axis(label: str) -> Axis:
    return Axis(label, 0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), lambda value: f"{value:.0%}")


def _roc_of(truth: NDArray[np.bool_], score: NDArray[np.float32]) -> Curve:
    false, found, _ = roc_curve(truth, score)
    return false, found


def _thin_roc(truth: NDArray[np.bool_], score: NDArray[np.float32]) -> Curve:
    """Denser where false alarms are few."""
    grid = np.linspace(0.0, 1.0, POINTS) ** 3
    return grid, np.interp(grid, *_roc_of(truth, score))


def _precision_at(
    truth: NDArray[np.bool_], score: NDArray[np.float32], recalls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Precision at the highest threshold that reaches each recall."""
    precision, recall, _ = precision_recall_curve(truth, score)
    rising, order = recall[-2::-1], precision[-2::-1]  # the last point is a convention, no threshold
    found = np.minimum(np.searchsorted(rising, recalls, side="left"), len(rising) - 1)
    at: NDArray[np.float64] = order[found]
    return at
