"""Trees in a graph: `TreeEnsembleRegressor` of ai.onnx.ml in one form, in which a list that is wrong cannot be overlooked.

The form is the one that `models.foreign` writes: trees and their nodes are numbered from 0 without a gap, parents before their
children, and every leaf has one weight, in order. So each list has one right length, a cycle has no place, and what a row costs
is a sum over depths. https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html, version 3.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.bundle.protobuf import GraphError

OPERATOR = "TreeEnsembleRegressor"
DOMAIN, VERSION = "ai.onnx.ml", 3

TREE_NODES_MAX = 1 << 17
"""Of all trees together; 1,000 trees of depth 6 have 127,000."""

DEPTH_MAX = 64

COMPARISON_MULTIPLY_ADDS = 256
"""What one step down a tree costs, in multiply-adds of a layer: 2 to 4 ns against 0.012 (decision 111)."""

LEAF = "LEAF"
BRANCHES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")

WHOLE = ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids")
OF_NODES = (*WHOLE, "nodes_modes", "nodes_values")
TRACKS = "nodes_missing_value_tracks_true"
OF_LEAVES = ("target_treeids", "target_nodeids", "target_ids", "target_weights")
BASE = "base_values"


@dataclass(frozen=True, slots=True)
class Lists:
    """List attributes of a node by name."""

    whole: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    floats: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """How long each is."""
        return {name: len(values) for named in (self.whole, self.floats, self.texts) for name, values in named.items()}


NO_LISTS = Lists()


def comparisons_max(lists: Lists, targets: float, width: int) -> int:
    """Steps down all trees that a row takes at most. Raises GraphError where anything about the lists is not as it must be.

    targets: the attribute n_targets. width: of a row.
    """
    nodes = _check_lists(lists, targets)
    tree, node = lists.whole["nodes_treeids"], lists.whole["nodes_nodeids"]
    starts = np.flatnonzero(node == 0)
    if tree[0] != 0 or node[0] != 0 or (np.diff(tree) != (node[1:] == 0)).any():
        raise _wrong("its trees are not numbered from 0, one after the other")
    first = np.repeat(starts, np.diff(np.append(starts, nodes)))
    if (node != np.arange(nodes) - first).any():
        raise _wrong("the nodes of a tree are not numbered from 0, one after the other")
    leaf = np.array([mode == LEAF for mode in lists.texts["nodes_modes"]])
    if not set(lists.texts["nodes_modes"]) <= {LEAF, *BRANCHES}:
        raise _wrong("a node is neither a leaf nor one of the four comparisons")
    _check_leaves(lists, leaf)
    feature = lists.whole["nodes_featureids"]
    if (feature < 0).any() or (feature >= width).any():
        raise _wrong(f"a node reads a column beyond the {width} that there are")
    return _depths(lists, leaf, first, starts)


def _check_lists(lists: Lists, targets: float) -> int:
    """How many nodes there are."""
    sizes = lists.sizes()
    if targets != 1 or not {*OF_NODES, *OF_LEAVES} <= set(sizes) <= {*OF_NODES, *OF_LEAVES, TRACKS, BASE}:
        raise _wrong("it has other attributes than those of trees with one target")
    whole, texts = {*WHOLE, *OF_LEAVES[:3]}, {"nodes_modes"}
    if not (
        whole <= set(lists.whole)
        and texts <= set(lists.texts)
        and {"nodes_values", "target_weights"} <= set(lists.floats)
    ):
        raise _wrong("a list is of another type")
    nodes = sizes["nodes_treeids"]
    if not 1 <= nodes <= TREE_NODES_MAX:
        raise _wrong(f"it has {nodes:,} nodes, and 1 to {TREE_NODES_MAX:,} are taken")
    if any(sizes[name] != nodes for name in (*OF_NODES, TRACKS) if name in sizes):
        raise _wrong("its lists of nodes are not of one length")
    tracks = lists.whole.get(TRACKS, np.zeros(0, np.int64))
    if TRACKS in sizes and (len(tracks) != nodes or not np.isin(tracks, (0, 1)).all()):
        raise _wrong(f"{TRACKS} is not of 0 and 1")
    if BASE in sizes and len(lists.floats.get(BASE, ())) != 1:
        raise _wrong("it has not one base value")
    if any(not np.isfinite(values).all() for values in lists.floats.values()):
        raise _wrong("a value or a weight is no finite number")
    return nodes


def _check_leaves(lists: Lists, leaf: NDArray[np.bool_]) -> None:
    """One weight for each leaf, in order; and nothing else in a leaf."""
    places = np.flatnonzero(leaf)
    whole = lists.whole
    if any(lists.sizes()[name] != len(places) for name in OF_LEAVES):
        raise _wrong("it has not one weight for each leaf")
    expected = (whole["nodes_treeids"][places], whole["nodes_nodeids"][places], np.zeros(len(places), np.int64))
    if any((whole[name] != values).any() for name, values in zip(OF_LEAVES[:3], expected, strict=True)):
        raise _wrong("a weight is not its leaf's")
    if any(whole[name][places].any() for name in WHOLE[2:]) or lists.floats["nodes_values"][places].any():
        raise _wrong("a leaf has children or compares")


def _depths(lists: Lists, leaf: NDArray[np.bool_], first: NDArray[np.int64], starts: NDArray[np.int64]) -> int:
    """Sum of the trees' depths. Each node but a root is the child of exactly one that stands before it: so no cycle."""
    nodes, inner = len(leaf), np.flatnonzero(~leaf)
    size = np.diff(np.append(starts, nodes))[lists.whole["nodes_treeids"]]
    children = np.stack([lists.whole[name][inner] for name in WHOLE[3:]])
    own = np.arange(nodes)[inner] - first[inner]
    if (children <= own).any() or (children >= size[inner]).any():
        raise _wrong("a node's child does not stand behind it in its tree")
    places = (children + first[inner]).ravel()
    times = np.bincount(places, minlength=nodes)
    times[starts] += 1
    if (times != 1).any():
        raise _wrong("a node has not exactly one parent")
    depth, level = 0, starts
    for _ in range(DEPTH_MAX + 1):
        level = level[~leaf[level]]
        if not len(level):
            return depth
        depth += len(np.unique(first[level]))
        level = np.concatenate([lists.whole[name][level] + first[level] for name in WHOLE[3:]])
    raise _wrong(f"a tree is deeper than {DEPTH_MAX}")


def _wrong(why: str) -> GraphError:
    return GraphError(f"a {OPERATOR} is not one that may be used: {why}")
