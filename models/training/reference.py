"""What the scorer and the monitor compare with: distributions on legitimate validation traffic, and a typical payment."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.scoring.scores import Scores
from schemas.feature_spec import FeatureSpec
from schemas.reference import SCORE_BINS, FeatureHistogram, Reference

FEATURE_BINS = 20


def build_reference(
    spec: FeatureSpec,
    legitimate: NDArray[np.float32],
    scores: Scores,
) -> Reference:
    """legitimate: float32[n, F]; scores: of the same rows."""
    return Reference(
        features=tuple(
            _histogram(name, column, is_code=place in spec.embedded)
            for place, (name, column) in enumerate(zip(spec.names, legitimate.T, strict=True))
        ),
        probability_counts=_counts(scores.probability, 1.0),
        anomaly_percentile_counts=_counts(scores.anomaly_percentile, 100.0),
        background=(_typical(legitimate, spec.embedded),),
    )


def _histogram(name: str, column: NDArray[np.float32], *, is_code: bool = False) -> FeatureHistogram:
    """Bins of equal shares, fewer where values repeat. is_code: the commonest value stands for the median.

    A value that fills whole bins is cut off from the next one above it, the highest from the next below: else a flag would be
    a single bin, in which no drift can show.
    """
    levels, times = np.unique(np.quantile(column, np.linspace(0.0, 1.0, FEATURE_BINS + 1)), return_counts=True)
    highest = column.max()
    cuts = [(value + column[column > value].min()) / 2 for value in levels[(times > 1) & (levels < highest)]]
    if times[-1] > 1 and column.min() < highest:
        cuts.append((column[column < highest].max() + highest) / 2)
    edges = np.unique(np.concatenate([levels, np.array(cuts, levels.dtype)]))
    if len(edges) == 1:
        edges = np.array([edges[0], edges[0] + 1.0], edges.dtype)
    counts, _ = np.histogram(column, edges)
    return FeatureHistogram(
        name=name, median=_middle(column, is_code=is_code), edges=tuple(edges.tolist()), counts=tuple(counts.tolist())
    )


def medians(spec: FeatureSpec, rows: NDArray[np.float32]) -> list[float]:
    """What is typical of each column of float32[n, F]: its median, or the commonest of codes."""
    return [_middle(column, is_code=place in spec.embedded) for place, column in enumerate(rows.T)]


def _middle(column: NDArray[np.float32], *, is_code: bool) -> float:
    return _commonest(column) if is_code else float(np.median(column))


def _commonest(column: NDArray[np.float32]) -> float:
    values, counts = np.unique(column, return_counts=True)
    return float(values[np.argmax(counts)])


def _counts(score: NDArray[np.float32], highest: float) -> tuple[int, ...]:
    counts, _ = np.histogram(score, SCORE_BINS, (0.0, highest))
    return tuple(counts.tolist())


def _typical(legitimate: NDArray[np.float32], codes: Sequence[int]) -> tuple[float, ...]:
    """The real payment nearest to the medians, each feature measured in its own standard deviations.

    codes: columns of codes; another one than the commonest is a deviation away, whichever it is.
    """
    deviation = legitimate.std(axis=0)
    scaled = (legitimate - np.median(legitimate, axis=0)) / np.where(deviation > 0, deviation, 1)
    for place in codes:
        scaled[:, place] = legitimate[:, place] != np.float32(_commonest(legitimate[:, place]))
    nearest = int(np.argmin((scaled**2).sum(axis=1)))
    return tuple(legitimate[nearest].tolist())
