"""Boosted trees as a module: the twin of the one node that they are in a graph."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TreeLists:
    """The N nodes of all trees, one tree after the other, parents before children; places count from the first of all.

    A row goes to `low` where its feature is below the threshold, or also equal to it (`or_equal`); NaN goes there where
    `nan_low` says so. A leaf is its own child, and has a weight; the logit is the sum of the leaves reached, and `base`.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    nan_low: NDArray[np.bool_]
    weight: NDArray[np.float32]
    roots: NDArray[np.int64]
    base: float
    or_equal: bool

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        """bool[N]."""
        leaf: NDArray[np.bool_] = self.low == np.arange(len(self.low))
        return leaf

    @property
    def depth(self) -> int:
        """Steps from a root to the furthest leaf."""
        level, steps = self.roots, 0
        while len(level := level[~self.is_leaf[level]]):
            level, steps = np.concatenate([self.low[level], self.high[level]]), steps + 1
        return steps


class Trees(nn.Module):
    """Raw features in, logits out. Thresholds are compared in float32, as they were grown and as a scorer compares them."""

    def __init__(self, lists: TreeLists) -> None:
        super().__init__()
        self.lists, self.depth = lists, lists.depth
        for name in ("feature", "threshold", "low", "high", "nan_low", "weight", "roots"):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(getattr(lists, name))))

    def forward(self, features: Tensor) -> Tensor:
        """float32[n, F] to float[n]."""
        values = features.float()
        node = self.roots.expand(len(values), -1)
        for _ in range(self.depth):
            value, threshold = values.gather(1, self.feature[node]), self.threshold[node]
            low = value <= threshold if self.lists.or_equal else value < threshold
            node = torch.where(low | (value.isnan() & self.nan_low[node]), self.low[node], self.high[node])
        return self.weight[node].sum(dim=1) + self.lists.base
