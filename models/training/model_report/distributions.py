"""How the two scores are spread, by class."""

import numpy as np
from numpy.typing import NDArray

from models.training.model_report.blocks import Figure, Section, Table, figure, percent
from models.training.model_report.inputs import ReportInput, share
from models.training.model_report.svg import Axis, Plot, even_ticks, log_ticks

BINS = 25
LEAST_SHARE = 1e-4
"""Floor of the logarithmic share axis."""

QUANTILES = (0.5, 0.9, 0.99)


def distributions_section(data: ReportInput) -> Section:
    """Probability and, where there is one, reconstruction error."""
    words = data.words
    return Section(
        "distributions",
        "How far apart are the classes?",
        (
            f"Filled: {words.negatives}. Outlined: {words.positives}. Each adds up to 100%, however few they are. What "
            "overlaps cannot be told apart by that score alone.",
        ),
        (_probability(data), *((_error(data),) if data.manifest.has_anomaly else ())),
    )


def _probability(data: ReportInput) -> Figure:
    truth, score, words = data.test.truth, data.test.scores.probability, data.words
    threshold = data.manifest.thresholds.probability
    edges = np.linspace(0.0, 1.0, BINS + 1)
    y = Axis("share of the class", LEAST_SHARE, 1.0, log_ticks(LEAST_SHARE, 1.0), lambda v: f"{v * 100:g}%", log=True)
    plot = Plot(Axis("probability", 0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), lambda v: f"{v:.1f}"), y)
    _classes(plot, data, edges, score)
    plot.threshold(threshold, words.alert)
    below = share(score < 0.05, truth)
    return Figure(
        "Probability by class",
        f"The upright line is the threshold. {percent(share(score >= threshold, truth))} of the {words.positives} lie to its "
        f"right, and {percent(share(score >= threshold, ~truth), 2)} of the {words.negatives}. {percent(below)} of the "
        f"{words.positives} get less than 5%: those the model does not see. The share axis is logarithmic.",
        plot.svg(f"Distribution of the probability for {words.negatives} and {words.positives}, with the threshold."),
        _quantiles(data, score, 4),
    )


def _error(data: ReportInput) -> Figure:
    truth, score, words = data.test.truth, data.test.scores.reconstruction_error, data.words
    low, high = max(1e-9, float(np.quantile(score, 0.001))), float(score.max())
    high = max(high, low * 1.01)
    edges = np.geomspace(low, high, BINS + 1)
    alerts = data.test.scores.anomaly_percentile >= data.manifest.thresholds.anomaly_percentile
    most = max(float(_shares(edges, score[rows]).max()) for rows in (truth, ~truth) if rows.any())
    y = Axis("share of the class", 0.0, most * 1.05, even_ticks(most * 1.05), lambda v: f"{v:.0%}")
    plot = Plot(Axis("reconstruction error", low, high, log_ticks(low, high), lambda v: f"{v:g}", log=True), y)
    _classes(plot, data, edges, score)
    if alerts.any():
        plot.threshold(float(score[alerts].min()), words.alert)
    return Figure(
        "Reconstruction error by class",
        f"How badly the autoencoder, trained on {words.negatives} alone, draws a row again: mean "
        f"{figure(float(score[~truth].mean()), 4)} for them, {figure(float(score[truth].mean()), 4)} for {words.positives}. "
        f"{percent(share(alerts, truth))} of the {words.positives} are beyond the line, and "
        f"{percent(share(alerts, ~truth), 2)} of the {words.negatives}. The error axis is logarithmic.",
        plot.svg(f"Distribution of the reconstruction error for {words.negatives} and {words.positives}."),
        _quantiles(data, score, 4),
    )


def _classes(plot: Plot, data: ReportInput, edges: NDArray[np.float64], score: NDArray[np.float32]) -> None:
    truth = data.test.truth
    plot.steps(edges.tolist(), _shares(edges, score[~truth]).tolist(), "area c1")
    plot.steps(edges.tolist(), _shares(edges, score[truth]).tolist(), "line c2")
    plot.key("area c1", data.words.negatives)
    plot.key("line c2", data.words.positives)


def _shares(edges: NDArray[np.float64], score: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the class in each bin; values beyond are in the outer bins."""
    counts, _ = np.histogram(np.clip(score.astype(np.float64), edges[0], edges[-1]), edges)
    return np.asarray(counts / max(1, len(score)))


def _quantiles(data: ReportInput, score: NDArray[np.float32], decimals: int) -> Table:
    rows = tuple(
        (name, *(figure(float(np.quantile(score[rows], q)), decimals) for q in QUANTILES))
        for name, rows in ((data.words.negatives, ~data.test.truth), (data.words.positives, data.test.truth))
    )
    return Table("Quantiles", ("", "median", "90%", "99%"), rows)
