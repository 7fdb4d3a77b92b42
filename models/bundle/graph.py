"""What a bundle's ONNX graph may hold, checked on the bytes before any ONNX library parses them.

ONNX files are protocol buffers (https://protobuf.dev/programming-guides/encoding/); the field numbers are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. The walk is in Python and touches only what it must, so a scorer
needs no `onnx` package and a hostile file meets no C++ parser first.
"""

from collections.abc import Iterator, Sequence

INPUT = "features"
FEATURE_ERRORS = "feature_errors"
OUTPUTS = ("probability", "reconstruction_error", "anomaly_percentile", FEATURE_ERRORS)

OPERATORS = frozenset({"Clip", "Concat", "Gather", "Gemm", "MatMul", "Mul", "Relu", "Sigmoid", "Squeeze", "Sub"})
"""Standard operators that a fused graph is made of."""

NODES_MAX = 200
WEIGHTS_MAX = 400

_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTES_ALLOWED = frozenset({1, 2, 3, 8, 13, 20, 21})
"""name, float, int, ints, doc string, type, reference: nothing that holds a graph or a tensor."""
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_VALUE_NAME = 1
_WIDTH_PATH = (2, 1, 2, 1, 1)
"""From an input to its fixed sizes: type, tensor type, shape, dimension, value (the batch has a name instead)."""


class GraphError(ValueError):
    """The graph is not one that a bundle may hold; the message says why."""


def check_graph(content: bytes, features: int, entry: str = INPUT, outputs: Sequence[str] = OUTPUTS) -> None:
    """Raise GraphError unless the graph has our input and outputs, allowed operators and all its weights inside.

    features: F, the width of the input [n, F]. entry, outputs: their names, by default those of a bundle.
    """
    fields = list(_fields(content))
    graphs = [value for number, value in fields if number == _MODEL_GRAPH]
    if len(graphs) != 1:
        raise GraphError("the file is not an ONNX model with one graph")
    if any(number in (_MODEL_TRAINING, _MODEL_FUNCTIONS) for number, _ in fields):
        raise GraphError("the model holds training steps or functions of its own")
    graph = list(_fields(_message(graphs[0])))
    nodes = [_message(value) for number, value in graph if number == _GRAPH_NODE]
    weights = [_message(value) for number, value in graph if number == _GRAPH_INITIALIZER]
    if len(nodes) > NODES_MAX or len(weights) > WEIGHTS_MAX:
        raise GraphError(f"the graph has {len(nodes)} nodes and {len(weights)} weights, more than a fused graph needs")
    if any(number == _GRAPH_SPARSE for number, _ in graph):
        raise GraphError("the graph holds sparse weights")
    for node in nodes:
        _check_node(node)
    for weight in weights:
        _check_weight(weight)
    if _names(graph, _GRAPH_INPUT) != [entry]:
        raise GraphError(f"the graph's input is not `{entry}`")
    if _names(graph, _GRAPH_OUTPUT) != list(outputs):
        raise GraphError(f"the graph's outputs are not {', '.join(outputs)}")
    width = [value for number, value in graph if number == _GRAPH_INPUT]
    for field in _WIDTH_PATH:
        width = [inner for message in width for number, inner in _fields(_message(message)) if number == field]
    if width != [features]:
        raise GraphError(f"the graph does not take {features} features")


def _check_node(node: bytes) -> None:
    fields = list(_fields(node))
    operators = [_text(value) for number, value in fields if number == _NODE_OPERATOR]
    if len(operators) != 1 or operators[0] not in OPERATORS:
        raise GraphError(f"operator {', '.join(operators) or 'without a name'} is not on the allow-list")
    if any(_text(value) not in ("", "ai.onnx") for number, value in fields if number == _NODE_DOMAIN):
        raise GraphError(f"operator {operators[0]} is of a custom domain")
    for number, value in fields:
        if number == _NODE_ATTRIBUTE and {n for n, _ in _fields(_message(value))} - _ATTRIBUTES_ALLOWED:
            raise GraphError(f"an attribute of {operators[0]} holds a graph or a tensor")


def _check_weight(weight: bytes) -> None:
    for number, value in _fields(weight):
        if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value):
            raise GraphError("a weight lies outside the file")


def _names(graph: list[tuple[int, int | bytes]], field: int) -> list[str]:
    """Names of the graph's inputs or outputs."""
    values = [_message(value) for number, value in graph if number == field]
    return [_text(value) for message in values for number, value in _fields(message) if number == _VALUE_NAME]


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise GraphError("the file is not an ONNX model: a number where a message belongs")
    return value


def _text(value: int | bytes) -> str:
    return _message(value).decode("utf-8", "replace")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field of one message, every occurrence: a number, or the bytes of the rest."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise GraphError("the file is not an ONNX model: a field of unknown kind")
        if at + size > len(message):
            raise GraphError("the file is not an ONNX model: it ends inside a field")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise GraphError("the file is not an ONNX model: it ends inside a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise GraphError("the file is not an ONNX model: a number is too long")
