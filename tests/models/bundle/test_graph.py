"""The allow-list on graphs, against graphs written by the `onnx` package."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.bundle.graph import OPERATORS, GraphError, check_graph
from models.features.spec_file import load_spec

GOOD = Path("deploy/bundles/fraud/model.onnx").read_bytes()
FEATURES = len(load_spec(Path("deploy/features/fraud.yaml")).names)


def edited(edit: Callable[[onnx.ModelProto], object]) -> bytes:
    """The committed graph after an edit."""
    model = onnx.load_from_string(GOOD)
    edit(model)
    content: bytes = model.SerializeToString()
    return content


def external(model: onnx.ModelProto) -> None:
    """Move a weight to a file."""
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")


def subgraph(model: onnx.ModelProto) -> None:
    """Hide a graph in an attribute."""
    model.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "g", [], [])))


def test_the_committed_graph_passes_and_uses_every_allowed_operator() -> None:
    """The list is no longer than needed."""
    check_graph(GOOD, FEATURES)
    assert {node.op_type for node in onnx.load_from_string(GOOD).graph.node} == OPERATORS


@pytest.mark.parametrize(
    ("edit", "because"),
    [
        (lambda m: m.graph.node.append(helper.make_node("If", ["x"], ["y"])), "If is not on the allow-list"),
        (lambda m: setattr(m.graph.node[0], "domain", "com.evil"), "custom domain"),
        (external, "outside the file"),
        (subgraph, "holds a graph or a tensor"),
        (lambda m: m.functions.add(name="f", domain="d"), "functions of its own"),
        (lambda m: m.training_info.add(), "training steps"),
        (lambda m: m.graph.sparse_initializer.add(), "sparse"),
        (lambda m: setattr(m.graph.input[0], "name", "other"), "input is not"),
        (lambda m: m.graph.output.pop(), "outputs are not"),
        (lambda m: m.graph.ClearField("node") or m.ClearField("graph"), "not an ONNX model"),
        (lambda m: [m.graph.node.add(op_type="Relu") for _ in range(300)], "more than a fused graph needs"),
    ],
)
def test_what_a_fused_graph_does_not_need_is_refused(edit: Callable[[onnx.ModelProto], object], because: str) -> None:
    """One edit at a time of a good graph."""
    with pytest.raises(GraphError, match=because):
        check_graph(edited(edit), FEATURES)


def test_a_second_graph_that_protobuf_would_merge_is_refused() -> None:
    """Fields may repeat in protocol buffers: the check must see what the runtime would."""
    with pytest.raises(GraphError, match="one graph"):
        check_graph(GOOD + onnx.ModelProto(graph=onnx.GraphProto(name="again")).SerializeToString(), FEATURES)


def test_another_number_of_features_is_refused() -> None:
    """The graph's input is as wide as the spec."""
    with pytest.raises(GraphError, match="does not take 99 features"):
        check_graph(GOOD, 99)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused_with_a_sentence(content: bytes) -> None:
    """No input makes the walk crash, hang or pass."""
    with pytest.raises(GraphError):
        check_graph(content, FEATURES)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(GOOD) - 1))
def test_a_graph_cut_short_is_refused(length: int) -> None:
    """At any byte."""
    with pytest.raises(GraphError):
        check_graph(GOOD[:length], FEATURES)
