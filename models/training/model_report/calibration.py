"""Whether predicted probabilities match observed shares."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Band:
    """Rows of similar probability: predicted and observed share, and the 95% interval of the observed one; shares of 1."""

    low: float
    high: float
    rows: int
    said: float
    seen: float
    least: float
    most: float

    @property
    def off(self) -> bool:
        """The predicted share is outside the interval of the observed one."""
        return not self.least <= self.said <= self.most


def calibration_section(data: ReportInput) -> Section:
    """The calibration curve and what it costs to be wrong."""
    words, truth, probability = data.words, data.test.truth, data.test.scores.probability.astype(np.float64)
    found = bands(truth, probability)
    distance = sum(abs(band.said - band.seen) * band.rows for band in found) / len(truth)
    outside, base = sum(band.off for band in found), float(truth.mean())
    verdict = (
        f"In {outside} of {len(found)} bands the probability said lies outside the interval of what was seen: read it there "
        "as a rank, not as odds."
        if outside
        else "In every band the probability said lies within the interval of what was seen."
    )
    return Section(
        "calibration",
        "Can a probability be taken at its word?",
        (
            f"Of the {words.events} that were given 70 to 80% as the probability of {words.positive}, 70 to 80% should have "
            f"turned out so. {verdict}",
            f"Brier score {figure(float(brier_score_loss(truth, probability)), 5)} (always saying the base rate gives "
            f"{figure(base * (1 - base), 5)}); cross-entropy {figure(float(log_loss(truth, probability)), 5)}; mean distance "
            f"from the diagonal {percent(distance, 2)}.",
        ),
        (_curve(data, found, distance),),
    )


def bands(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> list[Band]:
    """The bands of EDGES that hold rows."""
    place = np.clip(np.digitize(probability, EDGES[1:-1]), 0, len(EDGES) - 2)
    found = []
    for number, (low, high) in enumerate(pairwise(EDGES)):
        inside = place == number
        if rows := int(inside.sum()):
            interval = wilson(int(truth[inside].sum()), rows)
            found.append(
                Band(low, high, rows, float(probability[inside].mean()), float(truth[inside].mean()), *interval)
            )
    return found


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95% interval of a share (Wilson, 1927); it stays within 0 and 1 and is never empty."""
    z, part = NORMAL_95, successes / trials
    centre = (part + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(part * (1 - part) / trials + z * z / (4 * trials * trials))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _curve(data: ReportInput, found: list[Band], distance: float) -> Figure:
    plot = Plot(_axis("probability said"), _axis(f"share that was {data.words.positive}"))
    plot.line((0, 1), (0, 1), "rule")
    plot.line([band.said for band in found], [band.seen for band in found], "c1")
    for band in found:
        plot.whisker(band.said, band.least, band.most, "c1")
        plot.marker(band.said, band.seen, "c1")
    plot.key("line c1", "measured, with 95% interval")
    plot.key("rule", "exact")
    known = {band.low: band for band in found}
    return Figure(
        "Calibration curve",
        "Points on the dotted diagonal are exact; above it the model says too little, below it too much.",
        plot.svg(f"Calibration curve; mean distance from the diagonal {percent(distance, 2)}."),
        Table(
            "Bands of probability",
            ("band", data.words.events, "said", "was", "95% interval"),
            tuple(_row(low, high, known.get(low)) for low, high in pairwise(EDGES)),
        ),
    )


def _row(low: float, high: float, band: Band | None) -> tuple[str, ...]:
    name = f"{percent(low, 0)} to {percent(high, 0)}"
    if band is None:
        return (name, "0", NONE, NONE, NONE)
    interval = f"{percent(band.least)} to {percent(band.most)}"
    return (name, count(band.rows), percent(band.said), percent(band.seen), interval)


def _axis(label: str) -> Axis:
    return Axis(label, 0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), lambda value: f"{value:.0%}")
