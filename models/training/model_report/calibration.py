"""Whether a probability can be taken at its word."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss

from models.training.model_report.blocks import NONE, Figure, Section, Table, count, figure, percent
from models.training.model_report.inputs import ReportInput
from models.training.model_report.svg import Axis, Plot

EDGES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
NORMAL_95 = 1.959964
"""Quantile of the normal distribution for an interval of 95%."""


def calibration_section(data: ReportInput) -> Section:
    """The calibration curve and what it costs to be wrong."""
    words, truth, probability = data.words, data.test.truth, data.test.scores.probability.astype(np.float64)
    bins = np.clip(np.digitize(probability, EDGES[1:-1]), 0, len(EDGES) - 2)
    rows, error, outside = [], 0.0, 0
    plot = Plot(_axis("probability said"), _axis(f"share that was {words.positive}"))
    plot.line((0, 1), (0, 1), "rule")
    said_at, seen_at = [], []
    for number, (low, high) in enumerate(pairwise(EDGES)):
        inside = bins == number
        size, label = int(inside.sum()), f"{percent(low, 0)} to {percent(high, 0)}"
        if not size:
            rows.append((label, "0", NONE, NONE, NONE))
            continue
        said, seen = float(probability[inside].mean()), float(truth[inside].mean())
        least, most = wilson(int(truth[inside].sum()), size)
        error += abs(said - seen) * size / len(truth)
        outside += not least <= said <= most
        said_at.append(said)
        seen_at.append(seen)
        plot.whisker(said, least, most, "c1")
        plot.marker(said, seen, "c1")
        rows.append((label, count(size), percent(said), percent(seen), f"{percent(least)} to {percent(most)}"))
    plot.line(said_at, seen_at, "c1")
    plot.key("line c1", "measured, with 95% interval")
    plot.key("rule", "exact")
    brier = float(brier_score_loss(truth, probability))
    base = float(truth.mean())
    verdict = (
        "In every band the probability said lies within the interval of what was seen."
        if not outside
        else f"In {outside} of {len(said_at)} bands the probability said lies outside the interval of what was seen: "
        "read it there as a rank, not as odds."
    )
    return Section(
        "calibration",
        "Can a probability be taken at its word?",
        (
            f"Of the {words.events} that were given 70 to 80% as the probability of {words.positive}, 70 to 80% "
            f" should have turned out so. {verdict}",
            f"Brier score {figure(brier, 5)} (always saying the base rate gives {figure(base * (1 - base), 5)}); "
            f"cross-entropy {figure(float(log_loss(truth, probability)), 5)}; mean distance from the diagonal "
            f"{percent(error, 2)}.",
        ),
        (
            Figure(
                "Calibration curve",
                "Points on the dotted diagonal are exact; above it the model says too little, below it too much.",
                plot.svg(f"Calibration curve; mean distance from the diagonal {percent(error, 2)}."),
                Table("Bands of probability", ("band", words.events, "said", "was", "95% interval"), tuple(rows)),
            ),
        ),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95% interval of a share (Wilson, 1927); it stays within 0 and 1 and is never empty."""
    z, part = NORMAL_95, successes / trials
    centre = (part + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(part * (1 - part) / trials + z * z / (4 * trials * trials))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _axis(label: str) -> Axis:
    ticks: NDArray[np.float64] = np.linspace(0.0, 1.0, 6)
    return Axis(label, 0.0, 1.0, tuple(ticks.tolist()), lambda value: f"{value:.0%}")
