"""Trees in a graph: each list that is not as it must be, refused before a runtime sees it."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from models.bundle import graph_shapes, protobuf
from models.bundle.graph import OUTPUTS, check_graph
from models.bundle.graph_trees import COMPARISON_MULTIPLY_ADDS, DEPTH_MAX, TREE_NODES_MAX
from models.bundle.protobuf import GraphError
from tests.models.bundle.graphs import FEATURES, edited, small, tree_lists

Lists = dict[str, list]


def with_lists(edit: Callable[[Lists], object], **others: object) -> bytes:
    """The small graph with other lists in its trees. others: further attributes."""
    lists = tree_lists()
    edit(lists)

    def replaced(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor")
        attributes = {"n_targets": 1, **lists, **others}
        node.ClearField("attribute")
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())

    return edited(replaced)


def chain(depth: int) -> Lists:
    """One tree that goes down on one side."""
    inner = list(range(0, 2 * depth, 2))
    nodes = 2 * depth + 1
    leaves = [node for node in range(nodes) if node not in inner]
    whole = {name: [0] * nodes for name in ("nodes_treeids", "nodes_featureids")}
    return {
        **whole,
        "nodes_nodeids": list(range(nodes)),
        "nodes_modes": ["BRANCH_LEQ" if node in inner else "LEAF" for node in range(nodes)],
        "nodes_values": [float(node in inner) for node in range(nodes)],
        "nodes_truenodeids": [node + 1 if node in inner else 0 for node in range(nodes)],
        "nodes_falsenodeids": [node + 2 if node in inner else 0 for node in range(nodes)],
        "target_treeids": [0] * len(leaves),
        "target_nodeids": leaves,
        "target_ids": [0] * len(leaves),
        "target_weights": [0.5] * len(leaves),
    }


def replaced_by(lists: Lists) -> Callable[[Lists], object]:
    """An edit that puts other lists in place of all."""
    return lambda old: (old.clear(), old.update(lists))


@pytest.mark.parametrize(
    ("edit", "because"),
    [
        (lambda t: t["nodes_values"].pop(), "not of one length"),
        (lambda t: t["nodes_modes"].append("LEAF"), "not of one length"),
        (lambda t: t["nodes_missing_value_tracks_true"].pop(), "not of one length"),
        (lambda t: t["target_weights"].pop(), "one weight for each leaf"),
        (lambda t: t["target_ids"].append(0), "one weight for each leaf"),
        (lambda t: t["nodes_truenodeids"].__setitem__(2, 0), "does not stand behind it"),  # a cycle
        (lambda t: t["nodes_truenodeids"].__setitem__(2, 2), "does not stand behind it"),
        (lambda t: t["nodes_truenodeids"].__setitem__(0, 5), "does not stand behind it"),  # into the next tree
        (lambda t: t["nodes_truenodeids"].__setitem__(0, -1), "does not stand behind it"),
        (lambda t: t["nodes_truenodeids"].__setitem__(0, 1 << 62), "does not stand behind it"),
        (lambda t: t["nodes_truenodeids"].__setitem__(0, 2), "exactly one parent"),
        (lambda t: t["nodes_featureids"].__setitem__(0, FEATURES), "beyond the 3 that there are"),
        (lambda t: t["nodes_featureids"].__setitem__(0, -1), "beyond the 3 that there are"),
        (lambda t: t["nodes_values"].__setitem__(0, float("nan")), "no finite number"),
        (lambda t: t["nodes_values"].__setitem__(0, float("inf")), "no finite number"),
        (lambda t: t["target_weights"].__setitem__(0, float("nan")), "no finite number"),
        (lambda t: t["base_values"].__setitem__(0, float("nan")), "no finite number"),
        (lambda t: t["base_values"].append(0.0), "one base value"),
        (lambda t: t["nodes_modes"].__setitem__(0, "BRANCH_EQ"), "neither a leaf nor one of the four"),
        (lambda t: t["nodes_modes"].__setitem__(1, "BRANCH_LEQ"), "one weight for each leaf"),
        (lambda t: t["nodes_treeids"].__setitem__(5, 2), "numbered from 0"),
        (lambda t: t["nodes_nodeids"].__setitem__(1, 2), "numbered from 0"),
        (lambda t: t["target_nodeids"].__setitem__(0, 2), "not its leaf's"),
        (lambda t: t["target_ids"].__setitem__(0, 1), "not its leaf's"),
        (lambda t: t["nodes_values"].__setitem__(1, 1.0), "has children or compares"),
        (lambda t: t["nodes_missing_value_tracks_true"].__setitem__(0, 2), "not of 0 and 1"),
        (lambda t: t.pop("nodes_treeids"), "other attributes"),
        (lambda t: t.update(nodes_hitrates=[1.0]), "other attributes"),
        (lambda t: t.update(nodes_values=[1] * 8), "of another type"),
        (lambda t: t.update(base_values=["a"]), "one base value"),
        (lambda t: t.update(post_transform="LOGISTIC"), "holds a graph or a tensor, or is a list or a text"),
        (replaced_by(chain(DEPTH_MAX + 1)), f"deeper than {DEPTH_MAX}"),
    ],
)
def test_a_list_that_is_not_as_it_must_be_is_refused(edit: Callable[[Lists], object], because: str) -> None:
    """One edit at a time of good trees."""
    check_graph(with_lists(lambda _: None), FEATURES)
    with pytest.raises(GraphError, match=because):
        check_graph(with_lists(edit), FEATURES)


def test_a_tree_of_the_greatest_depth_is_taken_and_runs() -> None:
    """The bound is no closer than it says."""
    session = onnxruntime.InferenceSession(check_graph(with_lists(replaced_by(chain(DEPTH_MAX))), FEATURES))
    answers = session.run(list(OUTPUTS), {"features": np.zeros((4, FEATURES), np.float32)})
    assert all(np.isfinite(answer).all() for answer in answers)


@pytest.mark.slow
def test_more_nodes_than_are_taken_are_refused() -> None:
    """Trees of one leaf each: long lists that cost a row little."""
    many = TREE_NODES_MAX + 1
    lists = {name: [0] * many for name in tree_lists() if name not in ("base_values", "nodes_modes")}
    lists |= {"nodes_treeids": list(range(many)), "target_treeids": list(range(many))}
    lists |= {"nodes_values": [0.0] * many, "target_weights": [0.0] * many, "nodes_modes": ["LEAF"] * many}
    with pytest.raises(GraphError, match=r"131,073 nodes"):
        check_graph(with_lists(replaced_by(lists)), FEATURES)


def test_trees_count_towards_what_a_payment_may_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trees of depth 2 and 1 take three steps; the layers beside them 40 multiply-adds."""
    cost = 3 * COMPARISON_MULTIPLY_ADDS + 6 * 4 + 4 + 4 * 3
    monkeypatch.setattr(graph_shapes, "MULTIPLY_ADDS_MAX", cost)
    check_graph(small(), FEATURES)
    monkeypatch.setattr(graph_shapes, "MULTIPLY_ADDS_MAX", cost - 1)
    with pytest.raises(GraphError, match="multiply-adds a payment"):
        check_graph(small(), FEATURES)


def test_a_file_of_very_many_fields_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bytes a field: a file within its size could ask for gigabytes of them."""
    monkeypatch.setattr(protobuf, "FIELDS_MAX", 100)
    with pytest.raises(GraphError, match="more than 100 fields"):
        check_graph(small(), FEATURES)


@pytest.mark.parametrize(
    ("edit", "because"),
    [
        (lambda m: m.opset_import.pop(), "trees without ai.onnx.ml in version 3"),
        (lambda m: setattr(m.opset_import[1], "version", 5), "trees without ai.onnx.ml in version 3"),
        (lambda m: m.opset_import.append(m.opset_import[1]), "trees without ai.onnx.ml in version 3"),
        (lambda m: _trees(m).ClearField("domain"), "trees without ai.onnx.ml in version 3, or that without trees"),
        (lambda m: setattr(m.graph.node[0], "domain", "ai.onnx.ml"), "custom domain"),
        (lambda m: _trees(m).output.append("more"), "not one output"),
        (lambda m: m.graph.node[0].attribute.append(helper.make_attribute("places", [1, 2])), "is a list"),
    ],
)
def test_trees_are_of_their_own_operator_set(edit: Callable[[onnx.ModelProto], object], because: str) -> None:
    """In its one version, and nothing else is of it; no other operator has lists."""
    with pytest.raises(GraphError, match=because):
        check_graph(edited(edit), FEATURES)


def _trees(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor")
