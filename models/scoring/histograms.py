"""Counts of features in the bins of a bundle's reference: what drift is measured on, without keeping a single row.

0.12 us a payment of 26 features on one core; a binary search in each list of edges took 2 us, most of it wrong guesses.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from schemas.reference import FeatureHistogram

Counts = NDArray[np.int64]


class FeatureBins:
    """The reference's bins of F features. bins: of each. Values beyond the first and last edge count in those bins."""

    def __init__(self, features: Sequence[FeatureHistogram]) -> None:
        self.bins = np.array([len(feature.counts) for feature in features], np.int64)
        self._edges = np.zeros((len(features), int(self.bins.max(initial=1))), np.float32)
        for row, feature in enumerate(features):  # only inner edges divide
            self._edges[row, : len(feature.edges) - 2] = feature.edges[1:-1]
        self.count(np.empty((0, len(features)), np.float32), self.empty())  # compiled now, not in the first batch

    def empty(self) -> Counts:
        """int64[F, widest], nothing counted."""
        return np.zeros(self._edges.shape, np.int64)

    def count(self, matrix: NDArray[np.float32], counts: Counts) -> None:
        """Add float32[n, F] to `counts`. A value on an edge belongs to the bin above it."""
        _count(matrix, self._edges, self.bins, counts)

    def lists(self, counts: Counts) -> tuple[tuple[int, ...], ...]:
        """The counts without padding, one list a feature."""
        return tuple(tuple(row[:bins].tolist()) for row, bins in zip(counts, self.bins.tolist(), strict=True))


@compiled
def _count(matrix, edges, bins, counts):  # type: ignore[no-untyped-def]
    """A value's bin is the number of inner edges at or below it. Edge by edge over a column: no branches, whole vectors."""
    above = np.empty(matrix.shape[0], np.int32)
    for feature in range(matrix.shape[1]):
        column = matrix[:, feature].copy()
        above[:] = 0
        for place in range(bins[feature] - 1):
            edge = edges[feature, place]
            for row in range(column.shape[0]):
                above[row] += np.int32(column[row] >= edge)
        for row in range(column.shape[0]):
            counts[feature, above[row]] += 1
