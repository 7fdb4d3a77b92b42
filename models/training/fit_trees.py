"""Fits boosted trees with their own library, and reads what it grew: no converter, and one form for both libraries."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.installation import lacking
from models.networks.trees import TreeLists, Trees
from models.training.data import Dataset, TrainingError
from models.training.progress import Progress

Library = Literal["xgboost", "lightgbm"]


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """How trees are grown: as the grid of the Fraud Detection Handbook chooses on its data (docs/decisions)."""

    library: Library = "xgboost"
    trees: int = 50
    depth: int = 3
    learning_rate: float = 0.3


def fit_trees(train: Dataset, settings: TreeSettings, seed: int, progress: Progress) -> Trees:
    """Trees of raw features: log loss, one thread, so the same seed grows the same trees. Raises TrainingError."""
    progress("trees", 0, settings.trees)
    try:
        lists = {"xgboost": _xgboost, "lightgbm": _lightgbm}[settings.library](train, settings, seed)
    except ModuleNotFoundError as error:
        raise TrainingError(lacking(f"--classifier {settings.library} or blend needs", error, "trees")) from None
    progress("trees", settings.trees, settings.trees)
    return Trees(lists)


def _xgboost(train: Dataset, settings: TreeSettings, seed: int) -> TreeLists:
    """From a base score of 0.5, where second derivatives do not forbid the first splits (decision 18)."""
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=settings.trees,
        max_depth=settings.depth,
        learning_rate=settings.learning_rate,
        base_score=0.5,
        tree_method="hist",
        random_state=seed,
        n_jobs=1,
    )
    model.fit(train.features, train.is_fraud)
    grown = json.loads(model.get_booster().save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    return _listed((_of_xgboost(tree) for tree in grown), base=0.0, or_equal=False)


def _lightgbm(train: Dataset, settings: TreeSettings, seed: int) -> TreeLists:
    """With XGBoost's start, regularisation and least leaf: by its own, leaves of rare frauds run away (docs/decisions)."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(
        n_estimators=settings.trees,
        max_depth=settings.depth,
        num_leaves=2**settings.depth,
        learning_rate=settings.learning_rate,
        random_state=seed,
        n_jobs=1,
        boost_from_average=False,
        min_sum_hessian_in_leaf=1.0,
        reg_lambda=1.0,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
    model.fit(train.features, train.is_fraud)
    grown = model.booster_.dump_model()["tree_info"]
    return _listed((_of_lightgbm(tree["tree_structure"]) for tree in grown), base=0.0, or_equal=True)


@dataclass(frozen=True, slots=True)
class _Node:
    """children: those of low and high values, made when they are asked for; none of a leaf, which has a weight."""

    feature: int = 0
    threshold: float = 0.0
    nan_low: bool = False
    weight: float = 0.0
    children: tuple[Callable[[], "_Node"], ...] = ()


def _of_xgboost(tree: dict[str, Any], place: int = 0) -> _Node:
    left, right = (tree[name][place] for name in ("left_children", "right_children"))
    value = float(tree["split_conditions"][place])  # of a leaf: its weight
    if left == -1:
        return _Node(weight=value)
    children = (lambda: _of_xgboost(tree, left), lambda: _of_xgboost(tree, right))
    return _Node(tree["split_indices"][place], value, bool(tree["default_left"][place]), children=children)


def _of_lightgbm(node: dict[str, Any]) -> _Node:
    if "leaf_value" in node:
        return _Node(weight=float(node["leaf_value"]))
    if node["decision_type"] != "<=":
        raise TrainingError(
            f"LightGBM grew a split by {node['decision_type']}, which no bundle holds: train on numbers."
        )
    threshold = np.float32(node["threshold"])
    if float(threshold) > node["threshold"]:  # the same rows, which are of float32, lie at or below
        threshold = np.nextafter(threshold, np.float32(-np.inf))
    as_zero = node["missing_type"] == "None"
    nan_low = node["threshold"] >= 0.0 if as_zero else bool(node["default_left"])
    children = (lambda: _of_lightgbm(node["left_child"]), lambda: _of_lightgbm(node["right_child"]))
    return _Node(node["split_feature"], float(threshold), nan_low, children=children)


def _listed(trees: Iterator[_Node], base: float, or_equal: bool) -> TreeLists:
    """The nodes of each tree in the order of their depth."""
    nodes: list[tuple[_Node, int, int]] = []
    roots = []
    for root in trees:
        start = len(nodes)
        roots.append(start)
        queue, at = [root], 0
        while at < len(queue):
            node, low = queue[at], start + len(queue)
            queue += [child() for child in node.children]
            nodes.append((node, *((low, low + 1) if node.children else (start + at, start + at))))
            at += 1
    return TreeLists(
        feature=np.array([node.feature for node, _, _ in nodes], np.int64),
        threshold=np.array([node.threshold for node, _, _ in nodes], np.float32),
        low=np.array([low for _, low, _ in nodes], np.int64),
        high=np.array([high for _, _, high in nodes], np.int64),
        nan_low=np.array([node.nan_low for node, _, _ in nodes], np.bool_),
        weight=np.array([node.weight for node, _, _ in nodes], np.float32),
        roots=np.array(roots, np.int64),
        base=base,
        or_equal=or_equal,
    )
