"""The autoencoder's latent space on two axes."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.training.model_report.blocks import Figure, Section, Table, count, figure, percent
from models.training.model_report.inputs import ReportInput, scenarios_of
from models.training.model_report.svg import Axis, Plot

NEGATIVES_MAX, POSITIVES_MAX = 1_200, 600
"""Dots drawn of each class."""

EDGE_SHARE = 0.005
"""Share of the dots on each side that may be beyond the axes; they are drawn on the edge."""

SEED = 0


def latent_section(data: ReportInput) -> Section | None:
    """None if the rows come without latent means."""
    if data.test.latent is None:
        return None
    truth, words = data.test.truth, data.words
    axes, explained = principal_axes(data.test.latent, truth)
    centred = axes - np.median(axes[~truth], axis=0)
    distance = np.sqrt((centred**2 / np.maximum(axes[~truth].var(axis=0), 1e-12)).sum(axis=1))
    separation = float(roc_auc_score(truth, distance))
    groups = [(words.negatives, ~truth), (words.positives, truth)]
    groups += [(f"of these, {label}", rows & truth) for label, rows in scenarios_of(data)]
    rows = tuple(
        (
            label,
            count(rows.sum()),
            figure(float(np.median(distance[rows])), 2),
            percent(float((distance[rows] > 3).mean())),
        )
        for label, rows in groups
        if rows.any()
    )
    return Section(
        "latent",
        "What has the autoencoder learnt?",
        (
            f"The autoencoder describes each of the {words.events} by {data.test.latent.shape[1]} numbers. Here they are on "
            f"the two axes along which {words.negatives} differ most (principal components): {percent(explained, 0)} of all "
            "spread.",
        ),
        (
            Figure(
                "Latent space",
                f"Distance from the centre of the {words.negatives} alone tells the classes apart with AUC "
                f"{figure(separation)}; 0.500 would say that they lie on top of each other in this view. Up to "
                f"{NEGATIVES_MAX:,} and {POSITIVES_MAX:,} dots; outliers are drawn on the edge.",
                _cloud(data, axes),
                Table(
                    "Distance from the centre, in standard deviations",
                    ("", words.events, "median", "beyond 3"),
                    rows,
                ),
            ),
        ),
    )


def principal_axes(latent: NDArray[np.float32], truth: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """float64[n, 2]: the latent means on the two main axes of the negatives; and these axes' share of their spread.

    Each axis points to where its largest weight is positive: the sign of a principal axis is arbitrary.
    """
    values = latent.astype(np.float64)
    centred = values - values[~truth].mean(axis=0)
    spread, vectors = np.linalg.eigh(np.cov(centred[~truth], rowvar=False).reshape(values.shape[1], values.shape[1]))
    two = vectors[:, ::-1][:, :2]
    two = two * np.sign(two[np.abs(two).argmax(axis=0), range(two.shape[1])])
    projected = centred @ two
    if projected.shape[1] == 1:
        projected = np.column_stack([projected, np.zeros(len(projected))])
    return projected, float(spread[::-1][:2].sum() / max(spread.sum(), 1e-12))


def _cloud(data: ReportInput, axes: NDArray[np.float64]) -> Markup:
    random, truth = np.random.default_rng(SEED), data.test.truth
    scales = []
    for label, column in zip(("first axis", "second axis"), axes.T, strict=True):
        low, high = np.quantile(column, [EDGE_SHARE, 1 - EDGE_SHARE]).tolist()
        scales.append(Axis(label, low, max(high, low + 1e-6), _ticks(low, high), lambda v: f"{v:g}"))
    plot = Plot(scales[0], scales[1])
    for rows, most, style, words in (
        (~truth, NEGATIVES_MAX, "c1", data.words.negatives),
        (truth, POSITIVES_MAX, "c2", data.words.positives),
    ):
        chosen = np.flatnonzero(rows)
        if len(chosen) > most:
            chosen = np.sort(random.choice(chosen, most, replace=False))
        plot.dots(axes[chosen, 0], axes[chosen, 1], style)
        plot.key(f"dots {style}", words)
    return plot.svg(f"Latent means on two axes, {data.words.negatives} and {data.words.positives}.")


def _ticks(low: float, high: float) -> tuple[float, ...]:
    """Whole steps around 0 within the ends."""
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-9)))
    step = step / 2 if (high - low) / step < 3 else step
    return tuple(float(step * n) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1))
