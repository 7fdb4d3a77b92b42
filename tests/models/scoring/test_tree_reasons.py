"""Reasons of trees are exact: they sum to the library's own raw score, and are the Shapley values by their definition."""

import functools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.graph import check_graph
from models.bundle.graph_trees import BRANCHES, LEAF, Lists
from models.bundle.load import Bundle, load_bundle
from models.foreign.join import joined
from models.foreign.reading import read_model
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from models.scoring.shapley import contributions, explain
from models.scoring.tree_reasons import LeafBoxes, leaf_boxes
from tests.models.foreign.making import held_out, model, spec
from tests.models.scoring.test_shapley import by_definition

F = len(spec().names)
OF_TREES = ("xgboost", "lightgbm", "random forest", "gradient boosting")
COMMITTED = load_bundle(Path("deploy/bundles/fraud"))


@functools.cache
def session(kind: str) -> ModelSession:
    """The committed bundle with the graph of another library's model."""
    graph, _ = joined(read_model(model(kind).onnx, F), F, None)
    return ModelSession(Bundle(COMMITTED.manifest, check_graph(graph, F), COMMITTED.reference, ""), "cpu")


def trees_of(kind: str) -> LeafBoxes:
    """Its trees."""
    found = session(kind).trees
    assert found is not None
    return found


def alerts(kind: str, count: int = 30) -> NDArray[np.float32]:
    """The rows that score highest."""
    rows = held_out().features
    return np.ascontiguousarray(rows[np.argsort(-session(kind).run(rows).probability, kind="stable")[:count]])


BACKGROUND = np.array(COMMITTED.reference.background, np.float32)


@pytest.mark.parametrize("kind", OF_TREES)
def test_the_contributions_sum_to_the_models_raw_score(kind: str) -> None:
    """Of the row less that of the background; and the raw score is the one behind the model's probability."""
    trees, rows = trees_of(kind), held_out().features[:500]
    raw = np.array([trees.raw(row) for row in rows])
    of_logit = kind != "random forest"
    said = session(kind).run(rows).probability
    np.testing.assert_allclose(1 / (1 + np.exp(-raw)) if of_logit else raw, said, atol=1e-6)
    level = trees.raw(BACKGROUND[0])
    for row, whole in zip(rows[:50], raw, strict=False):
        assert trees.contributions(row, BACKGROUND[0]).sum() == pytest.approx(whole - level, abs=1e-12)


@pytest.mark.parametrize(("kind", "raw"), [("xgboost", "output_margin"), ("lightgbm", "raw_score")])
def test_they_sum_to_the_raw_score_that_the_library_itself_gives(kind: str, raw: str) -> None:
    """Of the row less that of the background."""
    rows, trees, fitted = alerts(kind), trees_of(kind), model(kind).fitted
    own = fitted.predict(np.concatenate([rows, BACKGROUND]), **{raw: True}).astype(np.float64)  # type: ignore[attr-defined]
    found = np.array([trees.contributions(row, BACKGROUND[0]).sum() for row in rows])
    np.testing.assert_allclose(found, own[:-1] - own[-1], atol=1e-5)
    assert np.abs(found).max() > 1


def drawn(random: np.random.Generator, trees: int, features: int) -> Lists:
    """Trees of every comparison on few whole thresholds, so that values lie on them and features come twice on a path."""
    whole: dict[str, list[int]] = {
        name: []
        for name in (
            "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids",
        )
    }  # fmt: skip
    modes, values = [], []
    for tree in range(trees):
        open_nodes, made = [0], 1
        depth = {0: 0}
        while open_nodes:
            node = open_nodes.pop(0)
            leaf = depth[node] == 5 or (depth[node] > 1 and random.random() < 0.3)
            children = (0, 0) if leaf else (made, made + 1)
            if not leaf:
                open_nodes += children
                depth |= dict.fromkeys(children, depth[node] + 1)
                made += 2
            row = (tree, node, 0 if leaf else int(random.integers(features)), *children)
            for name, value in zip(whole, row, strict=True):
                whole[name].append(value)
            modes.append(LEAF if leaf else str(random.choice(BRANCHES)))
            values.append(0.0 if leaf else float(random.integers(-2, 3)))
    leaves = modes.count(LEAF)
    floats = {"nodes_values": np.array(values, np.float32), "target_weights": random.normal(size=leaves).astype("f4")}
    return Lists({name: np.array(v, np.int64) for name, v in whole.items()}, floats, {"nodes_modes": tuple(modes)})


def walked(lists: Lists, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the leaves reached, step by step."""
    whole, modes, values = lists.whole, lists.texts["nodes_modes"], lists.floats["nodes_values"]
    weights = dict(zip(np.flatnonzero([mode == LEAF for mode in modes]), lists.floats["target_weights"], strict=True))
    compare = {
        "BRANCH_LEQ": np.less_equal,
        "BRANCH_LT": np.less,
        "BRANCH_GTE": np.greater_equal,
        "BRANCH_GT": np.greater,
    }
    found = np.zeros(len(rows))
    for at, row in enumerate(rows):
        for root in np.flatnonzero(whole["nodes_nodeids"] == 0):
            node = root
            while modes[node] != LEAF:
                true = compare[modes[node]](row[whole["nodes_featureids"][node]], values[node])
                node = root + whole["nodes_truenodeids" if true else "nodes_falsenodeids"][node]
            found[at] += float(weights[node])
    return found


@pytest.mark.parametrize("seed", range(5))
def test_they_are_the_shapley_values_by_definition(seed: int) -> None:
    """Every coalition tried: comparisons of all four kinds, values on thresholds, a feature twice on a path."""
    random = np.random.default_rng(seed)
    lists = drawn(random, trees=4, features=6)
    trees = leaf_boxes(lists)
    for _ in range(5):
        row, other = random.integers(-3, 4, size=(2, 6)).astype(np.float32)
        assert trees.raw(row) == pytest.approx(walked(lists, row[None].astype(np.float64))[0], abs=1e-6)
        expected = by_definition(
            lambda rows: walked(lists, rows), row.astype(np.float64), other[None].astype(np.float64)
        )
        np.testing.assert_allclose(trees.contributions(row, other), expected, atol=1e-6)


class Counting(ModelSession):
    """Counts the rows it scores."""

    rows = 0

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score and count."""
        self.rows += len(matrix)
        return super().run(matrix)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same."""
        self.rows += len(matrix)
        return super().probability(matrix)


def test_an_alert_of_trees_takes_no_rows_but_its_own_and_has_the_same_reasons_in_any_batch() -> None:
    """The sum is the probability's difference; a reason names the model's score alone."""
    counting, rows = Counting(session("xgboost").bundle, "cpu"), alerts("xgboost", 9)
    together = explain(counting, rows, [("probability",)] * 9)
    assert counting.rows == 9 + len(BACKGROUND)
    assert together == [explain(counting, row[None], [("probability",)])[0] for row in rows]
    assert all(reasons and {reason.score for reason in reasons} == {"probability"} for reasons in together)
    values = contributions(counting.run, rows, BACKGROUND, trees=counting.trees, triggers=[("probability",)] * 9)
    said = counting.run(np.concatenate([rows, BACKGROUND])).probability.astype(np.float64)
    np.testing.assert_allclose(values["probability"].sum(axis=1), said[:-1] - said[-1], atol=1e-12)
    assert not values["anomaly_percentile"].any()


def test_the_anomaly_beside_trees_is_estimated_as_ever() -> None:
    """A graph of the two: exact values of the one, the same estimates of the other as without trees."""
    graph, _ = joined(read_model(model("xgboost").onnx, F), F, None, COMMITTED.model)
    both = ModelSession(Bundle(COMMITTED.manifest, check_graph(graph, F), COMMITTED.reference, ""), "cpu")
    rows = alerts("xgboost", 4)
    mixed = [("probability",), ("anomaly_percentile",), ("probability", "anomaly_percentile"), ("probability",)]
    assert both.trees is not None
    found = contributions(both.run, rows, BACKGROUND, trees=both.trees, triggers=mixed)
    estimated = contributions(both.run, rows, BACKGROUND)
    exact = contributions(session("xgboost").run, rows, BACKGROUND, trees=both.trees, triggers=[("probability",)] * 4)
    np.testing.assert_array_equal(found["probability"], exact["probability"])
    np.testing.assert_array_equal(found["anomaly_percentile"][1:3], estimated["anomaly_percentile"][1:3])
    assert not found["anomaly_percentile"][[0, 3]].any()


@pytest.mark.parametrize("kind", ["network of scikit-learn", "logistic regression", "calibrated"])
def test_what_is_not_of_trees_alone_has_estimates(kind: str) -> None:
    """As before."""
    assert session(kind).trees is None
