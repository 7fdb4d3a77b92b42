"""What later traffic is compared with: the reference distributions, and how far the test cut already is from them."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from models.training.model_report.blocks import Figure, Section, Table, figure
from models.training.model_report.inputs import ReportInput
from models.training.model_report.svg import Axis, Plot, even_ticks
from schemas.reference import SCORE_BINS

SMALL_WIDTH, SMALL_HEIGHT = 300, 190
LEAST_SHARE = 1e-4
"""Of a bin, so that an empty one gives no infinite index."""

STABLE_MAX, SHIFTED_MIN = 0.1, 0.25
"""Customary readings of the population stability index."""

Shares = NDArray[np.float64]


def drift_section(data: ReportInput) -> Section:
    """Small multiples: the reference filled, the test as a line."""
    words = data.words
    rows, figures, indices = [], [], {}
    for number, histogram in enumerate(data.reference.features):
        edges = np.array(histogram.edges)
        column = data.test.features[data.like_reference, number].astype(np.float64)
        reference, test = _shares(np.array(histogram.counts)), _shares(_counts(column, edges))
        index = indices[histogram.name] = stability_index(reference, test)
        said = [data.value_words(number, value) for value in (edges[0], histogram.median, edges[-1])]
        rows.append((histogram.name, *said, figure(index), _reading(index)))
        figures.append(
            Figure(
                histogram.name,
                f"{data.descriptions[number]}. PSI {figure(index)}.",
                _small(reference, test, histogram.name),
            )
        )
    figures = [*_scores(data), *figures]
    shifted = [name for name, index in indices.items() if index >= SHIFTED_MIN]
    verdict = (
        f"Between validation and test, {', '.join(shifted)} moved by {SHIFTED_MIN} or more: expect these to raise "
        "an alarm first."
        if shifted
        else f"Between validation and test no feature moved by {SHIFTED_MIN} or more."
    )
    return Section(
        "drift",
        "What will drift be measured against?",
        (
            f"Filled: {words.reference} of the validation cut, as the bundle keeps them. Line: those of the test cut. Bins run "
            "from low to high and hold about equal shares where the values allow it. The population stability index (PSI) "
            f"sums the differences: below {STABLE_MAX} stable, from {SHIFTED_MIN} on shifted. {verdict}",
        ),
        tables=(
            Table(
                "Reference of each feature", ("feature", "lowest", "median", "highest", "PSI", "reading"), tuple(rows)
            ),
        ),
        small=tuple(figures),
    )


def _scores(data: ReportInput) -> list[Figure]:
    """The reference of each score that there is."""
    kept, now = data.reference, data.test.scores
    found = []
    for name, counts, score, high in (
        ("probability", kept.probability_counts, now.probability, 1.0),
        ("anomaly percentile", kept.anomaly_percentile_counts, now.anomaly_percentile, 100.0),
    )[: 2 if data.manifest.has_anomaly else 1]:
        edges = np.linspace(0.0, high, SCORE_BINS + 1)
        reference, test = (
            _shares(np.array(counts)),
            _shares(_counts(score[data.like_reference].astype(np.float64), edges)),
        )
        index = stability_index(reference, test)
        says = f"The score itself, {SCORE_BINS} equal bins. PSI {figure(index)}."
        found.append(Figure(name, says, _small(reference, test, name)))
    return found


def stability_index(reference: Shares, test: Shares) -> float:
    """Population stability index of two distributions over the same bins."""
    r, t = np.maximum(reference, LEAST_SHARE), np.maximum(test, LEAST_SHARE)
    return float(((t - r) * np.log(t / r)).sum())


def _reading(index: float) -> str:
    return "stable" if index < STABLE_MAX else "moved" if index < SHIFTED_MIN else "shifted"


def _counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """The outer bins also hold values beyond them."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts


def _shares(counts: NDArray[np.int64]) -> Shares:
    return np.asarray(counts / max(1, counts.sum()))


def _small(reference: Shares, test: Shares, name: str) -> Markup:
    bins, most = len(reference), float(max(reference.max(), test.max())) * 1.08
    plot = Plot(
        Axis("bins, low to high", 0.0, float(bins), (), str),
        Axis("share", 0.0, most, even_ticks(most, 3), lambda v: f"{v * 100:g}%"),
        SMALL_WIDTH,
        SMALL_HEIGHT,
    )
    edges = [float(n) for n in range(bins + 1)]
    plot.steps(edges, reference.tolist(), "area c1")
    plot.steps(edges, test.tolist(), "line c2")
    plot.key("area c1", "reference")
    plot.key("line c2", "test")
    return plot.svg(f"Distribution of {name}: reference and test.")
