"""A converter's tree ensemble, written again in the one form that a bundle's trees have (`models.bundle.graph_trees`)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.bundle.graph_trees import BRANCHES, LEAF
from models.foreign.reading import ForeignModelError

Key = tuple[int, int]
"""A tree's and a node's number, as the converter has them."""


@dataclass(slots=True)
class _Trees:
    """What is written, list by list."""

    lists: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class _Nodes:
    """What is read: the place of each node, and the weight of each leaf."""

    given: Mapping[str, Any]
    place: dict[Key, int]
    weight: Mapping[Key, float]

    def mode(self, key: Key) -> str:
        """LEAF or a comparison."""
        found = self.given["nodes_modes"][self.place[key]]
        return found.decode() if isinstance(found, bytes) else str(found)


def one_target(given: Mapping[str, Any], weight: Mapping[Key, float], base: float) -> dict[str, list[Any]]:
    """The attributes of the ensemble that sums `weight` over the leaves a row reaches, and `base`.

    given: the node's attributes. weight: by leaf; a leaf without one has 0. Raises ForeignModelError.
    """
    trees, numbers = whole_list(given, "nodes_treeids"), whole_list(given, "nodes_nodeids")
    place = {key: at for at, key in enumerate(zip(trees, numbers, strict=True))}
    sizes = {len(given[name]) for name in ("nodes_featureids", "nodes_modes", "nodes_values", "nodes_truenodeids")}
    if len(place) != len(trees) or sizes != {len(trees)}:
        raise ForeignModelError("The model's trees have lists that do not fit each other: export it again.")
    nodes, made = _Nodes(given, place, weight), _Trees()
    roots: dict[int, Key] = {}
    for key in place:
        roots.setdefault(key[0], key)  # as the runtime takes them: a tree's first node
    for number, root in enumerate(roots.values()):
        _write(made, nodes, root, number)
    if len(made.lists["nodes_modes"]) != len(place):
        raise ForeignModelError("The model's trees have nodes that no root leads to: export it again.")
    return {**made.lists, "base_values": [float(np.float32(base))]}


def _write(made: _Trees, nodes: _Nodes, root: Key, number: int) -> None:
    """One tree, parents before children. Raises ForeignModelError where it is none."""
    given, lists = nodes.given, made.lists
    order, own, depth = [root], {root: 0}, 0
    while depth < len(order):
        key = order[depth]
        depth += 1
        at = nodes.place[key]
        if nodes.mode(key) == LEAF:
            continue
        for name in ("nodes_truenodeids", "nodes_falsenodeids"):
            child = (key[0], int(given[name][at]))
            if child not in nodes.place or child in own:
                raise ForeignModelError("The model's trees have nodes without one parent, or a cycle: export it again.")
            own[child] = len(order)
            order.append(child)
    tracks = given.get("nodes_missing_value_tracks_true")
    for key in order:
        at, mode = nodes.place[key], nodes.mode(key)
        leaf = mode == LEAF
        if not leaf and mode not in BRANCHES:
            raise ForeignModelError(
                f"The model's trees compare by {mode}, as for categories, and a bundle's by size: train it on numbers alone."
            )
        values: dict[str, Any] = {
            "nodes_treeids": number,
            "nodes_nodeids": own[key],
            "nodes_featureids": 0 if leaf else int(given["nodes_featureids"][at]),
            "nodes_modes": mode,
            "nodes_values": 0.0 if leaf else float(given["nodes_values"][at]),
            "nodes_truenodeids": 0 if leaf else own[key[0], int(given["nodes_truenodeids"][at])],
            "nodes_falsenodeids": 0 if leaf else own[key[0], int(given["nodes_falsenodeids"][at])],
            "nodes_missing_value_tracks_true": int(tracks[at]) if tracks and not leaf else 0,
        }
        if leaf:
            weight = float(np.float32(nodes.weight.get(key, 0.0)))
            values |= {"target_treeids": number, "target_nodeids": own[key], "target_ids": 0, "target_weights": weight}
        for name, value in values.items():
            lists[name].append(value)


def whole_list(given: Mapping[str, Any], name: str) -> Sequence[int]:
    """A list of whole numbers. Raises ForeignModelError where there is none."""
    if name not in given:
        raise ForeignModelError(f"The model's trees have no {name}: export it again.")
    return [int(value) for value in given[name]]


def leaf_weights(given: Mapping[str, Any], prefix: str, target: int) -> dict[Key, float]:
    """The weights of one class or target, by leaf. prefix: `class` or `target`. Raises ForeignModelError."""
    nodes = set(zip(whole_list(given, "nodes_treeids"), whole_list(given, "nodes_nodeids"), strict=True))
    keys = zip(whole_list(given, f"{prefix}_treeids"), whole_list(given, f"{prefix}_nodeids"), strict=True)
    found: dict[Key, float] = {}
    targets = whole_list(given, f"{prefix}_ids")
    for key, of, weight in zip(keys, targets, given[f"{prefix}_weights"], strict=True):
        if key not in nodes:
            raise ForeignModelError("The model's trees weigh nodes that there are not: export it again.")
        if of == target:
            found[key] = found.get(key, 0.0) + float(weight)
    return found
