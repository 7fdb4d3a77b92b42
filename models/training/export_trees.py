"""Boosted trees as the one node of a graph, in the form that the walk of a graph takes (`models.bundle.graph_trees`)."""

from typing import Any

import numpy as np

from models.bundle.graph_trees import LEAF
from models.networks.trees import TreeLists


def attributes_of(trees: TreeLists, slope: float, intercept: float) -> dict[str, Any]:
    """The attributes of the node that says slope * logit + intercept."""
    leaf, nodes = trees.is_leaf, len(trees.low)
    sizes = np.diff(np.append(trees.roots, nodes))
    first = np.repeat(trees.roots, sizes)
    own, tree = np.arange(nodes) - first, np.repeat(np.arange(len(sizes)), sizes)
    weights = (trees.weight[leaf].astype(np.float64) * slope).astype(np.float32)
    inner = ~leaf
    lists = {
        "nodes_treeids": tree,
        "nodes_nodeids": own,
        "nodes_featureids": trees.feature * inner,
        "nodes_values": trees.threshold * inner,
        "nodes_truenodeids": (trees.low - first) * inner,
        "nodes_falsenodeids": (trees.high - first) * inner,
        "nodes_missing_value_tracks_true": trees.nan_low.astype(np.int64) * inner,
        "target_treeids": tree[leaf],
        "target_nodeids": own[leaf],
        "target_ids": np.zeros(int(leaf.sum()), np.int64),
        "target_weights": weights,
        "base_values": np.array([trees.base * slope + intercept], np.float32),
    }
    comparison = "BRANCH_LEQ" if trees.or_equal else "BRANCH_LT"
    modes = [LEAF if is_leaf else comparison for is_leaf in leaf]
    return {"n_targets": 1, "nodes_modes": modes, **{name: values.tolist() for name, values in lists.items()}}
