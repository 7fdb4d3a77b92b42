"""Exact Shapley values of trees: no coalition is drawn, none is left out.

The question is that of `shapley`: what the background's value in place of the alert's own would change (interventional values;
Lundberg et al., "From Local Explanations to Global Understanding with Explainable AI for Trees", 2020). A leaf is a box: an
interval for each feature on its path. Under a coalition a row reaches it where each such feature, the alert's own or the
background's, lies in its interval. So the features that only the alert's own value lets in (n of them) must be in the
coalition, those that only the background's lets in (m) must not, and the leaf's share of either kind has a closed form.
Computed from the graph alone: so a bundle's reasons are the same in every installation.
"""

from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from models.bundle.graph import trees_alone
from models.bundle.graph_trees import LEAF, Lists

Interval = tuple[float, float]
EVERYTHING: Interval = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class LeafBoxes:
    """L leaves of all trees, and P intervals, each of one leaf and one feature; a leaf's stand together.

    leaf: int64[P], rising; feature: int64[P]; low, high: float32[P], both within the interval. weight: float64[L]. base: what
    is added to the sum of the leaves.
    """

    leaf: NDArray[np.int64]
    feature: NDArray[np.int64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    weight: NDArray[np.float64]
    base: float

    def inside(self, row: NDArray[np.float32]) -> NDArray[np.bool_]:
        """bool[P]: where a row float32[F] lies in the interval."""
        values = row[self.feature]
        return (self.low <= values) & (values <= self.high)

    def raw(self, row: NDArray[np.float32]) -> float:
        """The trees' own answer to float32[F]: the sum of the leaves reached, before any calibration."""
        outside = np.bincount(self.leaf[~self.inside(row)], minlength=len(self.weight))
        return float(self.weight[outside == 0].sum()) + self.base

    def contributions(self, row: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64[F], the Shapley values of `raw` at a row against one other; they sum to raw(row) - raw(other)."""
        leaves, own, others = len(self.weight), self.inside(row), self.inside(other)
        closed = np.bincount(self.leaf[~own & ~others], minlength=leaves) > 0
        only_own, only_other = own & ~others, ~own & others
        n, m = (np.bincount(self.leaf[only], minlength=leaves) for only in (only_own, only_other))
        weight = np.where(closed, 0.0, self.weight)
        share = _shares(int(max(n.max(initial=0), m.max(initial=0))) + 1)
        found = np.zeros(len(row), np.float64)
        for only, sign, first, second in ((only_own, 1.0, n, m), (only_other, -1.0, m, n)):
            leaf = self.leaf[only]
            parts = sign * weight[leaf] * share[first[leaf], second[leaf]]
            found += np.bincount(self.feature[only], parts, minlength=len(row))
        return found


@cache
def _shares(size: int) -> NDArray[np.float64]:
    """[n, m]: (n - 1)! m! / (n + m)!, how often one of n features is the last that a leaf waits for, none of m being there."""
    return np.array([[1.0 / (n * comb(n + m, n)) if n else 0.0 for m in range(size)] for n in range(size)])


def boxes_of(graph: bytes) -> LeafBoxes | None:
    """Of a graph that was walked, where trees alone make its probability."""
    lists = trees_alone(graph)
    return leaf_boxes(lists) if lists is not None else None


def leaf_boxes(lists: Lists) -> LeafBoxes:
    """The boxes of an ensemble in the form of `models.bundle.graph_trees`, which was checked."""
    whole, values, modes = lists.whole, lists.floats["nodes_values"], lists.texts["nodes_modes"]
    node = whole["nodes_nodeids"]
    first = np.arange(len(node)) - node
    open_boxes: dict[int, dict[int, Interval]] = {}
    boxes: list[dict[int, Interval]] = []
    for at, mode in enumerate(modes):
        box = open_boxes.pop(at, {})
        if mode == LEAF:
            boxes.append(box)
            continue
        feature = int(whole["nodes_featureids"][at])
        low, high = box.get(feature, EVERYTHING)
        true, false = _halves(mode, values[at])
        for name, (least, most) in (("nodes_truenodeids", true), ("nodes_falsenodeids", false)):
            open_boxes[int(first[at] + whole[name][at])] = box | {feature: (max(low, least), min(high, most))}
    sizes = np.array([len(box) for box in boxes], np.int64)
    intervals = [interval for box in boxes for interval in box.values()]
    return LeafBoxes(
        leaf=np.repeat(np.arange(len(boxes)), sizes),
        feature=np.array([feature for box in boxes for feature in box], np.int64),
        low=np.array([low for low, _ in intervals], np.float32),
        high=np.array([high for _, high in intervals], np.float32),
        weight=lists.floats["target_weights"].astype(np.float64),
        base=float(sum(lists.floats.get("base_values", np.zeros(1, np.float32)).astype(np.float64))),
    )


def _halves(mode: str, threshold: np.float32) -> tuple[Interval, Interval]:
    """The interval in which a comparison is true, and the one in which it is false."""
    below, above = (float(np.nextafter(threshold, np.float32(bound))) for bound in EVERYTHING)
    value = float(threshold)
    at_most, less = (EVERYTHING[0], value), (EVERYTHING[0], below)
    at_least, more = (value, EVERYTHING[1]), (above, EVERYTHING[1])
    return {
        "BRANCH_LEQ": (at_most, more),
        "BRANCH_LT": (less, at_least),
        "BRANCH_GTE": (at_least, less),
        "BRANCH_GT": (more, at_most),
    }[mode]
