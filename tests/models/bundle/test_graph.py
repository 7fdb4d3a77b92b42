"""The allow-list on graphs, against graphs written by the `onnx` package."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.bundle.graph import OPERATORS, GraphError, check_graph, probability_alone
from models.features.spec_file import load_spec
from tests.models.bundle.graphs import disagreement, small, spoiled, varint
from tests.models.bundle.graphs import edited as edited_small

GOOD = Path("deploy/bundles/fraud/model.onnx").read_bytes()
JOINED = {"Add", "LeakyRelu", "Log", "Softmax", "Tanh", "TreeEnsembleRegressor"}
"""Operators that only models from other libraries and mixed likelihoods need."""

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


def test_the_committed_graph_and_the_joined_ones_use_every_allowed_operator() -> None:
    """The list is no longer than needed."""
    check_graph(GOOD, FEATURES)
    fused = {node.op_type for node in onnx.load_from_string(GOOD).graph.node}
    assert fused | JOINED == OPERATORS
    assert {node.op_type for node in onnx.load_from_string(small()).graph.node} == OPERATORS


@pytest.mark.parametrize("content", [GOOD, small()], ids=["committed", "every operator"])
def test_what_makes_the_probability_alone_is_a_graph_of_the_same_nodes(content: bytes) -> None:
    """Fewer of them, in their order, nothing that is not needed, and the onnx package finds nothing wrong with it."""
    part, whole = onnx.load_from_string(probability_alone(content)), onnx.load_from_string(content)
    onnx.checker.check_model(part, full_check=True)
    assert [output.name for output in part.graph.output] == ["probability"]
    names = [node.SerializeToString() for node in whole.graph.node]
    places = [names.index(node.SerializeToString()) for node in part.graph.node]
    assert places == sorted(places)
    assert 0 < len(places) < len(names)
    used = {name for node in part.graph.node for name in node.input}
    assert {weight.name for weight in part.graph.initializer} <= used
    assert {node.output[0] for node in part.graph.node} - used == {"probability"}


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


@pytest.mark.parametrize("bit", [32, 33, 34, 35, 40, 63])
def test_a_tag_of_more_than_32_bits_is_refused(bit: int) -> None:
    """A reader that cuts it off reads an operator where another one reads nothing."""
    hidden = helper.make_node("Exp", ["features"], ["y"]).SerializeToString()
    graph = onnx.load_from_string(small()).graph.SerializeToString()
    graph += varint(1 << 3 | 2 | 1 << bit) + varint(len(hidden)) + hidden
    rest = edited_small(lambda m: m.ClearField("graph"))
    with pytest.raises(GraphError, match=r"a number that none can have|shortest form"):
        check_graph(rest + varint(7 << 3 | 2) + varint(len(graph)) + graph, 3)


def odd(field: int, wire: int) -> bytes:
    """A field's tag in five bytes, the fifth with a bit for which 32 have no room, which some readers cut off."""
    low = varint(field << 3 | wire, 4)
    return low[:4] + b"\x10" if len(low) == 5 else bytes([low[0] | 0x80, 0x80, 0x80, 0x80, 0x10])


def delimited(tag: bytes, content: bytes) -> bytes:
    """A field of bytes."""
    return tag + varint(len(content)) + content


def rebuilt(
    node: Callable[[int, bytes], bytes] = lambda place, content: content,
    weight: Callable[[int, bytes], bytes] = lambda place, content: content,
    first: bytes = b"",
) -> bytes:
    """The committed graph, byte for byte but for what is done to its nodes and weights. first: before its nodes."""
    model = onnx.load_from_string(GOOD)
    nodes = [node(place, one.SerializeToString()) for place, one in enumerate(model.graph.node)]
    weights = [weight(place, one.SerializeToString()) for place, one in enumerate(model.graph.initializer)]
    rest = onnx.GraphProto()
    rest.CopyFrom(model.graph)
    rest.ClearField("node")
    rest.ClearField("initializer")
    graph = first + b"".join(delimited(varint(1 << 3 | 2), one) for one in nodes)
    graph += b"".join(delimited(varint(5 << 3 | 2), one) for one in weights) + rest.SerializeToString()
    model.ClearField("graph")
    return bytes(model.SerializeToString()) + delimited(varint(7 << 3 | 2), graph)


def elsewhere(location: str, tag: Callable[[int, int], bytes]) -> Callable[[int, bytes], bytes]:
    """Has the first weight's data in a file, under the tags given."""
    entry = onnx.StringStringEntryProto(key="location", value=location).SerializeToString()

    def edit(place: int, content: bytes) -> bytes:
        found = TensorProto.FromString(content)
        found.ClearField("raw_data")
        moved = delimited(tag(13, 2), entry) + tag(14, 0) + b"\x01"
        return bytes(found.SerializeToString()) + moved if place == 0 else content

    return edit


def plain(field: int, wire: int) -> bytes:
    """A field's tag as it should be."""
    return varint(field << 3 | wire)


def loop() -> bytes:
    """A node that goes round two million times."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["co"])],
        "b",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("co", TensorProto.BOOL, [])],
    )
    return bytes(helper.make_node("Loop", ["N", "C"], ["looped"], body=body).SerializeToString())


FILES = ("secret.bin", "/etc/hostname", "../secret.bin")
HIDDEN: dict[str, Callable[[], bytes]] = {
    "an operator": lambda: rebuilt(lambda place, node: node + delimited(odd(4, 2), b"Exp") if place == 0 else node),
    "a domain": lambda: rebuilt(lambda place, node: node + delimited(odd(7, 2), b"evil") if place == 0 else node),
    "an attribute": lambda: rebuilt(
        lambda place, node: node + delimited(odd(5, 2), b"\x0a\x01a") if place == 0 else node
    ),
    "a node": lambda: rebuilt(
        first=delimited(odd(1, 2), helper.make_node("NoSuchOp", ["features"], ["z"]).SerializeToString())
    ),
    "a loop": lambda: rebuilt(first=delimited(odd(1, 2), loop())),
    **{f"a weight in {name}": lambda name=name: rebuilt(weight=elsewhere(name, odd)) for name in FILES},  # type: ignore[misc]
    "a further weight": lambda: rebuilt(first=delimited(odd(5, 2), TensorProto(name="leak").SerializeToString())),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_nothing_is_hidden_behind_a_tag_of_too_many_bits(name: str) -> None:
    """At any level of the committed graph, which is accepted where nothing is done to it."""
    check_graph(rebuilt(), FEATURES)
    with pytest.raises(GraphError, match=r"a number that none can have|shortest form"):
        check_graph(HIDDEN[name](), FEATURES)


@pytest.mark.parametrize("name", FILES)
def test_weights_of_a_file_are_refused_by_their_honest_tags_too(name: str) -> None:
    """Wherever the file lies."""
    with pytest.raises(GraphError, match="outside the file"):
        check_graph(rebuilt(weight=elsewhere(name, plain)), FEATURES)


def test_a_graph_of_allowed_operators_that_doubles_its_memory_is_refused() -> None:
    """Eighteen of Concat ask for 2^18 times a weight when they are loaded."""

    def doubled(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1000], [0.5] * 1000))
        nodes = [helper.make_node("Concat", [f"d{i - 1}" if i else "w"] * 2, [f"d{i}"], axis=0) for i in range(18)]
        nodes += [*model.graph.node]
        model.graph.ClearField("node")
        model.graph.node.extend(nodes)

    with pytest.raises(GraphError):
        check_graph(edited(doubled), FEATURES)


@pytest.mark.parametrize(
    ("tail", "because"),
    [
        (b"\x02\x00", "a number that none can have"),  # field 0
        (varint(3 << 3 | 2, 1) + b"\x00", "shortest form"),
        (varint(3 << 3 | 2) + varint(0, 2), "shortest form"),
        (varint(3 << 3 | 3) + varint(3 << 3 | 4), "unknown kind"),
        (varint(3 << 3 | 1) + b"\x00" * 8, "of another kind"),
        (varint(99 << 3 | 2) + b"\x00", "field 99, which is not allowed"),
        (varint(14 << 3 | 2) + b"\x00", "field 14, which is not allowed"),
        (b"\xff" * 9 + b"\x7f", "shortest form"),
    ],
)
def test_what_two_readers_may_read_differently_is_refused(tail: bytes, because: str) -> None:
    """Behind a good graph."""
    check_graph(small(), 3)
    with pytest.raises(GraphError, match=because):
        check_graph(small() + tail, 3)


def doubled(model: onnx.ModelProto, name: str, axis: int) -> None:
    """Eighteen times twice as wide or as long."""
    nodes = []
    for number in range(18):
        nodes.append(helper.make_node("Concat", [name, name], [f"d{number}"], axis=axis))
        name = f"d{number}"
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])


@pytest.mark.parametrize(
    ("edit", "because"),
    [
        (lambda m: doubled(m, "features", 1), "computes more than 131,072 numbers"),
        (lambda m: doubled(m, "wide", 0), "reads no payment"),
        (lambda m: doubled(m, "features", 0), "shapes that do not fit"),
        (lambda m: m.graph.node.append(helper.make_node("Gemm", ["hidden", "wide"], ["y"])), "do not fit"),
        (lambda m: m.graph.node.append(helper.make_node("Relu", ["nothing"], ["y"])), "not computed before"),
        (lambda m: m.graph.node.append(helper.make_node("Relu", ["hidden"], ["column"])), "name of its own"),
        (lambda m: m.graph.node.append(helper.make_node("Relu", ["hidden"], ["y"], axis=1)), "inputs or attributes"),
        (lambda m: setattr(m.graph.initializer[-1], "raw_data", np.array([9, 0, 1]).tobytes()), "do not fit"),
        (lambda m: setattr(m.graph.initializer[2], "raw_data", b"\x00" * 8), "another size"),
        (lambda m: setattr(m.graph.initializer[0], "raw_data", np.float32([np.nan]).tobytes()), "no number"),
        (lambda m: setattr(m, "ir_version", 2**40), "format version"),
        (lambda m: m.opset_import.append(helper.make_opsetid("com.evil", 1)), "one standard operator set"),
        (lambda m: m.graph.output[0].type.tensor_type.shape.dim.add(dim_value=3), "another shape"),
    ],
)
def test_a_small_file_that_asks_for_much_or_cannot_be_is_refused(
    edit: Callable[[onnx.ModelProto], object], because: str
) -> None:
    """Shapes, bounds and names are known before anything is allocated."""
    with pytest.raises(GraphError, match=because):
        check_graph(edited_small(edit), 3)


def test_what_is_walked_is_written_again_byte_for_byte() -> None:
    """ONNX Runtime is given what was walked."""
    assert check_graph(GOOD, FEATURES) == GOOD


def test_whatever_the_walker_accepts_the_onnx_package_reads_as_the_same() -> None:
    """Two thousand spoiled graphs; `make fuzz` tries a million."""
    draw = random.Random(7)
    graphs = [spoiled(draw) for _ in range(2_000)]
    assert [found for found in map(disagreement, graphs) if found] == []
    assert any(graph != small() and _accepted(graph) for graph in graphs)


def _accepted(graph: bytes) -> bool:
    try:
        check_graph(graph, 3)
    except GraphError:
        return False
    return True
