"""What a bundle's ONNX graph may hold, checked on the bytes before any ONNX library parses them.

The field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Every message has a list of the fields
that it may have; `models.bundle.protobuf` refuses every other one and every encoding that two readers might read differently.
The walk is in Python, so a scorer needs no `onnx` package, and no C++ parser reads a hostile file first.
"""

import math
from collections.abc import Sequence

import numpy as np

from models.bundle.graph_shapes import BATCH, OPERATORS, Node, Weight, shapes_of
from models.bundle.graph_trees import DOMAIN, NO_LISTS, OPERATOR, VERSION, Lists
from models.bundle.protobuf import (
    FIXED32,
    LENGTH,
    VARINT,
    Field,
    GraphError,
    Kind,
    Message,
    Value,
    read,
    signed,
    written,
)

__all__ = ["FEATURE_ERRORS", "INPUT", "MODEL_KIND", "NODES_MAX", "OPERATORS", "OUTPUTS", "GraphError", "check_graph"]

INPUT = "features"
FEATURE_ERRORS = "feature_errors"
OUTPUTS = ("probability", "reconstruction_error", "anomaly_percentile", FEATURE_ERRORS)

NODES_MAX = 200
WEIGHTS_MAX = 400
OPSETS = range(13, 22)
FORMAT_VERSIONS = range(7, 11)
FLOAT, INT64 = 1, 7
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_FLOATS, ATTRIBUTE_INTS, ATTRIBUTE_STRINGS = 1, 2, 6, 7, 8

_DIMENSION = Kind("size", {1: Field("number", VARINT), 2: Field("name", LENGTH)})
_SHAPE = Kind("shape", {1: Field("size", LENGTH, many=True, of=_DIMENSION)})
_ARRAY = Kind("type", {1: Field("element type", VARINT), 2: Field("shape", LENGTH, of=_SHAPE)})
_TYPE = Kind("type", {1: Field("array type", LENGTH, of=_ARRAY)})
_ENTRY = Kind("input or output", {1: Field("name", LENGTH), 2: Field("type", LENGTH, of=_TYPE)})
_OUTSIDE = "a weight lies outside the file"
_TENSOR = Kind(
    "weight",
    {
        1: Field("size", VARINT, many=True),
        2: Field("element type", VARINT),
        4: Field("list of floats", LENGTH),
        8: Field("name", LENGTH),
        9: Field("content", LENGTH),
    },
    {13: _OUTSIDE, 14: _OUTSIDE},
)
_NO_SUBGRAPH = "an attribute holds a graph or a tensor, or is a list or a text"
_VALUES = {ATTRIBUTE_FLOAT: 2, ATTRIBUTE_INT: 3, ATTRIBUTE_FLOATS: 7, ATTRIBUTE_INTS: 8, ATTRIBUTE_STRINGS: 9}
"""The field that holds an attribute's value, by its type."""

_ATTRIBUTE = Kind(
    "attribute",
    {
        1: Field("name", LENGTH),
        2: Field("float", FIXED32),
        3: Field("number", VARINT),
        7: Field("float of a list", FIXED32, many=True),
        8: Field("number of a list", VARINT, many=True),
        9: Field("text of a list", LENGTH, many=True),
        20: Field("type", VARINT),
    },
    dict.fromkeys((4, 5, 6, 10, 11, 14, 15, 22, 23), _NO_SUBGRAPH),
)
_NODE = Kind(
    "node",
    {
        1: Field("input", LENGTH, many=True),
        2: Field("output", LENGTH, many=True),
        3: Field("name", LENGTH),
        4: Field("operator", LENGTH),
        5: Field("attribute", LENGTH, many=True, of=_ATTRIBUTE),
        7: Field("domain", LENGTH),
    },
)
_GRAPH = Kind(
    "graph",
    {
        1: Field("node", LENGTH, many=True, of=_NODE),
        2: Field("name", LENGTH),
        5: Field("weight", LENGTH, many=True, of=_TENSOR),
        11: Field("input", LENGTH, many=True, of=_ENTRY),
        12: Field("output", LENGTH, many=True, of=_ENTRY),
    },
    {15: "the graph holds sparse weights"},
)
_OPSET = Kind("operator set", {1: Field("domain", LENGTH), 2: Field("version", VARINT)})
MODEL_KIND = Kind(
    "model",
    {
        1: Field("format version", VARINT),
        2: Field("producer", LENGTH),
        3: Field("producer's version", LENGTH),
        7: Field("graph", LENGTH, of=_GRAPH),
        8: Field("operator set", LENGTH, many=True, of=_OPSET),
    },
    {20: "the model holds training steps", 25: "the model holds functions of its own"},
)


_SETS_ALONE = Kind("model", MODEL_KIND.fields | {7: Field("graph", LENGTH)})


def has_trees(content: bytes) -> bool:
    """Whether a graph that was walked has trees, which ONNX Runtime computes on the CPU alone."""
    return any(found.text(1) == DOMAIN for found in read(_SETS_ALONE, content).messages(8))


def trees_alone(content: bytes) -> Lists | None:
    """The lists of the trees through which alone a row decides its probability; None where there are none such.

    content: a graph that was walked. One ensemble that reads the input as it is, and behind it nothing that does: then the
    probability is a function of the one number that the trees answer.
    """
    if not has_trees(content):
        return None
    nodes = [_node(node) for node in read(MODEL_KIND, content).messages(7)[0].messages(1)]
    needed = _needed(nodes, OUTPUTS[0])
    readers = [node for node in nodes if node.outputs[0] in needed and INPUT in node.inputs]
    return readers[0].lists if len(readers) == 1 and readers[0].operator == OPERATOR else None


def probability_alone(content: bytes) -> bytes:
    """What of a graph that was walked makes the probability: a smaller graph with that output, its nodes and weights the same.

    ONNX Runtime runs every node whichever outputs it is asked for, and nine parts in ten are the autoencoder's.
    """
    model = read(MODEL_KIND, content)
    graph = model.messages(7)[0]
    needed = _needed([_node(node) for node in graph.messages(1)], OUTPUTS[0])

    def kept(number: int, value: Value) -> bool:
        if not isinstance(value, Message) or number not in _NAME_FIELDS:
            return True
        return not needed.isdisjoint(value.texts(_NAME_FIELDS[number]))

    part = Message(graph.kind, [(number, value) for number, value in graph.values if kept(number, value)])
    return written(Message(model.kind, [(number, part if value is graph else value) for number, value in model.values]))


_NAME_FIELDS = {1: 2, 5: 8, 12: 1}
"""Of a graph's nodes, weights and outputs: the field of the names that each gives."""


def _needed(nodes: Sequence[Node], name: str) -> set[str]:
    """The values that a value is made of, and itself."""
    made = {output: node for node in nodes for output in node.outputs}
    needed, open_names = set[str](), [name]
    while open_names:
        found = open_names.pop()
        if found not in needed:
            needed.add(found)
            open_names += made[found].inputs if found in made else ()
    return needed


def check_graph(content: bytes, features: int, entry: str = INPUT, outputs: Sequence[str] = OUTPUTS) -> bytes:
    """The graph as it was walked, written again: what an ONNX library may be given. Raises GraphError.

    It has our input and outputs and their shapes, allowed operators, all its weights inside, and bounds on what it computes.
    features: F, the width of the input [n, F]. entry, outputs: their names, by default those of a bundle.
    """
    model = read(MODEL_KIND, content)
    graph, shapes = _walked(model, features, entry)
    if [value.text(1) for value in graph.messages(12)] != list(outputs):
        raise GraphError(f"the graph's outputs are not {', '.join(outputs)}")
    for value in graph.messages(12):
        _check_output(value, shapes, features)
    again = written(model)
    if again != content:
        raise GraphError("the file is not an ONNX model: it is not written in its shortest form")
    return again


def shape_of(content: bytes, features: int, value: str) -> tuple[int, ...]:
    """The shape of one value of a graph whose outputs are not ours yet, BATCH first. Raises GraphError, as `check_graph`."""
    _, shapes = _walked(read(MODEL_KIND, content), features, INPUT)
    if value not in shapes:
        raise GraphError("no node computes what it answers")
    return shapes[value]


def _walked(model: Message, features: int, entry: str) -> tuple[Message, dict[str, tuple[int, ...]]]:
    """The graph and the shapes of its values, everything but its outputs checked."""
    graphs = model.messages(7)
    if not graphs:
        raise GraphError("the file is not an ONNX model with one graph")
    graph = graphs[0]
    _check_opsets(model, [node.text(7) for node in graph.messages(1)])
    nodes, weights = graph.messages(1), graph.messages(5)
    if len(nodes) > NODES_MAX or len(weights) > WEIGHTS_MAX:
        raise GraphError(f"the graph has {len(nodes)} nodes and {len(weights)} weights, more than a fused graph needs")
    steps, known = [_node(node) for node in nodes], [_weight(weight) for weight in weights]
    if [value.text(1) for value in graph.messages(11)] != [entry]:
        raise GraphError(f"the graph's input is not `{entry}`")
    if _declared(graph.messages(11)[0]) != (BATCH, features):
        raise GraphError(f"the graph does not take {features} features")
    return graph, shapes_of(entry, (BATCH, features), steps, known)


def _check_opsets(model: Message, domains: Sequence[str]) -> None:
    """The standard operators, and those of trees exactly where there are trees."""
    if model.number(1) not in FORMAT_VERSIONS:
        raise GraphError(f"the model is not of format version {FORMAT_VERSIONS[0]} to {FORMAT_VERSIONS[-1]}")
    sets = [found for found in model.messages(8) if found.text(1) != DOMAIN]
    if len(sets) != 1 or sets[0].text(1) not in ("", "ai.onnx") or sets[0].number(2) not in OPSETS:
        raise GraphError(f"the model is not of one standard operator set, version {OPSETS[0]} to {OPSETS[-1]}")
    of_trees = [found.number(2) for found in model.messages(8) if found.text(1) == DOMAIN]
    if of_trees != ([VERSION] if DOMAIN in domains else []):
        raise GraphError(f"the model has trees without {DOMAIN} in version {VERSION}, or that without trees")


def _check_output(value: Message, shapes: dict[str, tuple[int, ...]], features: int) -> None:
    name = value.text(1)
    found = shapes.get(name)
    if found is None:
        raise GraphError(f"no node computes the output {name}")
    expected = dict.fromkeys(OUTPUTS, (BATCH,)) | {FEATURE_ERRORS: (BATCH, features)}
    if found != expected.get(name, found) or found[0] != BATCH or _declared(value) != found:
        raise GraphError(f"the output {name} has another shape than a bundle's")


def _declared(value: Message) -> tuple[int, ...]:
    """The shape that an input or output declares: BATCH where a size has a name. Raises GraphError unless it is of floats."""
    arrays = [array for kind in value.messages(2) for array in kind.messages(1)]
    if len(arrays) != 1 or arrays[0].number(1) != FLOAT or not arrays[0].messages(2):
        raise GraphError(f"{value.text(1)} is not declared as an array of floats with a shape")
    sizes = []
    for size in arrays[0].messages(2)[0].messages(1):
        if len(size.values) != 1:
            raise GraphError(f"a size of {value.text(1)} has no number and no name, or both")
        sizes.append(size.number(1) if size.all(1) else BATCH)
    if any(size < 1 for size in sizes[1:]) or not sizes or sizes[0] != BATCH:
        raise GraphError(f"{value.text(1)} is not declared as one row for each payment")
    return tuple(sizes)


def _node(node: Message) -> Node:
    operator = node.text(4)
    if operator not in OPERATORS:
        raise GraphError(f"operator {operator or 'without a name'} is not on the allow-list")
    if node.text(7) not in ((DOMAIN,) if operator == OPERATOR else ("", "ai.onnx")):
        raise GraphError(f"operator {operator} is of a custom domain")
    attributes: dict[str, float] = {}
    lists = Lists({}, {}, {}) if operator == OPERATOR else NO_LISTS
    names = [attribute.text(1) for attribute in node.messages(5)]
    if len(set(names)) != len(names):
        raise GraphError(f"an attribute of {operator} is given twice")
    for name, attribute in zip(names, node.messages(5), strict=True):
        kind = attribute.number(20)
        values = attribute.all(_VALUES.get(kind, 0))
        if {number for number, _ in attribute.values} != {1, 20, _VALUES.get(kind, 0)}:
            raise GraphError(
                f"an attribute of {operator} is neither a number nor a float, or holds a graph or a tensor"
            )
        if kind == ATTRIBUTE_INT:
            attributes[name] = attribute.number(3)
        elif kind == ATTRIBUTE_FLOAT:
            attributes[name] = _float(attribute)
        elif operator != OPERATOR:
            raise GraphError(_NO_SUBGRAPH)
        else:
            _add_list(lists, name, kind, attribute, values)
    return Node(operator, tuple(node.texts(1)), tuple(node.texts(2)), attributes, lists)


def _add_list(lists: Lists, name: str, kind: int, attribute: Message, values: list[Value]) -> None:
    if kind == ATTRIBUTE_FLOATS:
        content = b"".join(value for value in values if isinstance(value, bytes))
        lists.floats[name] = np.frombuffer(content, "<f4")
    elif kind == ATTRIBUTE_INTS:
        lists.whole[name] = np.array([signed(value) for value in values if isinstance(value, int)], np.int64)
    else:
        lists.texts[name] = tuple(attribute.texts(9))


def _float(attribute: Message) -> float:
    (content,) = attribute.all(2)
    assert isinstance(content, bytes), "four bytes"
    value = float(np.frombuffer(content, "<f4")[0])
    if not math.isfinite(value):
        raise GraphError("an attribute is no finite number")
    return value


def _weight(weight: Message) -> Weight:
    """A weight: finite floats, or whole numbers. Raises GraphError."""
    name, kind = weight.text(8), weight.number(2)
    sizes = tuple(signed(size) for size in weight.all(1) if isinstance(size, int))
    contents = [content for number in (4, 9) for content in weight.all(number) if isinstance(content, bytes)]
    if len(contents) != 1 or kind not in (FLOAT, INT64) or (weight.all(4) and kind != FLOAT):
        raise GraphError(f"the weight {name} is not of floats or whole numbers, given once")
    if any(size < 1 for size in sizes) or math.prod(sizes) * (4 if kind == FLOAT else 8) != len(contents[0]):
        raise GraphError(f"the weight {name} has another size than its content")
    values = np.frombuffer(contents[0], "<f4" if kind == FLOAT else "<i8")
    if kind == FLOAT and not np.isfinite(values).all():
        raise GraphError(f"the weight {name} holds what is no number")
    return Weight(name, sizes, None if kind == FLOAT else tuple(values.tolist()) if len(values) <= 1 << 16 else ())
