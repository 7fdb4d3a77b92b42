"""Small graphs, good and spoiled, and what the `onnx` package reads in them: to hold the walker against."""

import functools
import random
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.bundle.graph import MODEL_KIND, OUTPUTS, GraphError, check_graph
from models.bundle.protobuf import Message, read, written

FEATURES = 3


def tree_lists() -> dict[str, list[int] | list[float] | list[str]]:
    """Two trees: one of depth 2, one of depth 1."""
    return {
        "base_values": [0.5],
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [1, 0, 0, 0, 0, 2, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF"],
        "nodes_values": [0.25, 0.0, -1.5, 0.0, 0.0, 3.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 3, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 0, 4, 0, 0, 2, 0, 0],
        "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0, 0, 0],
        "target_treeids": [0, 0, 0, 1, 1],
        "target_nodeids": [1, 3, 4, 1, 2],
        "target_ids": [0, 0, 0, 0, 0],
        "target_weights": [0.1, -0.2, 0.3, 1.0, -1.0],
    }


@functools.cache
def small() -> bytes:
    """Every operator of a fused graph, in a few kilobytes."""
    weights = {
        "one": np.ones(1, np.float32), "zero": np.zeros(1, np.float32), "row": np.full(6, 0.5, np.float32),
        "wide": np.ones((6, 4), np.float32), "bias": np.zeros(4, np.float32), "narrow": np.ones((4, 1), np.float32),
        "back": np.ones((4, 3), np.float32), "axis": np.array([1]), "places": np.array([2, 0, 1]),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Gather", ["features", "places"], ["chosen"], axis=1),
        node("Concat", ["features", "chosen"], ["both"], axis=1),
        node("Sub", ["both", "row"], ["above"]),
        node("Mul", ["above", "row"], ["linear"]),
        node("Clip", ["linear", "zero", "one"], ["clipped"]),
        node("Gemm", ["clipped", "wide", "bias"], ["layer"]),
        node("LeakyRelu", ["layer"], ["leaky"], alpha=0.1),
        node("Relu", ["leaky"], ["bent"]),
        node("Tanh", ["bent"], ["round"]),
        node("Softmax", ["round"], ["shares"], axis=1),
        node("Log", ["shares"], ["hidden"]),
        node("MatMul", ["hidden", "narrow"], ["column"]),
        node("TreeEnsembleRegressor", ["features"], ["trees"], domain="ai.onnx.ml", n_targets=1, **tree_lists()),
        node("Add", ["column", "trees"], ["sum"]),
        node("Sigmoid", ["sum"], ["said"]),
        *(node("Squeeze", ["said", "axis"], [output]) for output in OUTPUTS[:3]),
        node("MatMul", ["hidden", "back"], [OUTPUTS[3]]),
    ]
    value = helper.make_tensor_value_info
    shapes: list[list[str | int]] = [["n"], ["n"], ["n"], ["n", FEATURES]]
    graph = helper.make_graph(
        nodes,
        "small",
        [value("features", TensorProto.FLOAT, ["n", FEATURES])],
        [value(name, TensorProto.FLOAT, shape) for name, shape in zip(OUTPUTS, shapes, strict=True)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def edited(edit: Callable[[onnx.ModelProto], object], content: bytes | None = None) -> bytes:
    """The small graph, or another, after an edit."""
    model = onnx.load_from_string(small() if content is None else content)
    edit(model)
    changed: bytes = model.SerializeToString()
    return changed


def varint(value: int, padded: int = 0) -> bytes:
    """padded: bytes beyond the shortest form."""
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    for _ in range(padded):
        content[-1] |= 0x80
        content.append(0)
    return bytes(content)


def spoiled(draw: random.Random) -> bytes:
    """The small graph with one to three things done to its bytes or to its fields."""
    content = _mutated(MODEL, draw, small()) if draw.random() < 0.7 else small()
    if content != small() and draw.random() < 0.5:
        return content
    changed = bytearray(content)
    for _ in range(draw.randint(0, 2)):
        at = draw.randrange(len(changed))
        match draw.randrange(4):
            case 0:
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                changed[at] = draw.randrange(256)
            case 2:
                del changed[at : at + draw.randint(1, 8)]
            case _:
                changed[at:at] = draw.randbytes(draw.randint(1, 8))
    return bytes(changed)


MODEL = "model"
INNER = {
    (MODEL, 7): "graph",
    ("graph", 1): "node",
    ("graph", 5): "weight",
    ("graph", 12): "value",
    ("node", 5): "attribute",
}
HIDDEN = (
    (1, 2, helper.make_node("Exp", ["features"], ["y"]).SerializeToString()),
    (4, 2, b"Tanh"),
    (7, 2, b"com.evil"),
    (13, 2, b"\n\x08location\x12\x01w"),
    (14, 0, 1),
    (5, 2, helper.make_attribute("axis", 1).SerializeToString()),
    (6, 2, b""),
    (20, 0, 5),
)
"""Fields that change a graph for the reader that sees them."""


def _mutated(kind: str, draw: random.Random, content: bytes) -> bytes:
    """A message with a field put in, given twice, moved or encoded otherwise; often one further in."""
    fields = _split(content)
    inner = [n for n, (number, _, value) in enumerate(fields) if (kind, number) in INNER and isinstance(value, bytes)]
    if inner and draw.random() < 0.75:
        place = draw.choice(inner)
        number, wire, value = fields[place]
        assert isinstance(value, bytes)
        fields[place] = (number, wire, _mutated(INNER[kind, number], draw, value))
        return b"".join(_field(*field) for field in fields)
    parts = [_field(*field) for field in fields]
    at = draw.randrange(len(parts) + 1)
    number, wire, value = draw.choice((*HIDDEN, *fields))
    match draw.randrange(6):
        case 0:
            parts.insert(at, _field(number, wire, value, bit=draw.randrange(32, 67)))
        case 1:
            parts.insert(at, _field(number, wire, value, padded=draw.randint(1, 6)))
        case 2:
            parts.insert(at, _field(draw.choice((0, number, draw.randrange(1, 40))), wire, value))
        case 3:
            parts.insert(at, varint(number << 3 | 3) + _field(number, wire, value) + varint(number << 3 | 4))
        case 4:
            draw.shuffle(parts)
        case _:
            parts.insert(at, varint(number << 3 | draw.randrange(8)) + draw.randbytes(draw.randrange(10)))
    return b"".join(parts)


def _field(number: int, wire: int, value: int | bytes, bit: int | None = None, padded: int = 0) -> bytes:
    key = varint(number << 3 | wire | (0 if bit is None else 1 << bit), padded)
    if isinstance(value, int):
        return key + varint(value)
    return key + (varint(len(value)) if wire == 2 else b"") + value


def _split(content: bytes) -> list[tuple[int, int, int | bytes]]:
    """A good message's fields."""
    fields: list[tuple[int, int, int | bytes]] = []
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(content):
        key = number()
        if key & 7 == 0:
            fields.append((key >> 3, 0, number()))
            continue
        size = number() if key & 7 == 2 else 4
        fields.append((key >> 3, key & 7, content[at : at + size]))
        at += size
    return fields


def disagreement(content: bytes, walked: bytes | None = None) -> str | None:
    """How the walker and the `onnx` package differ on bytes that the walker accepts; None where it refuses or they agree.

    walked: what it made of them, where that is known.
    """
    try:
        walked = walked or check_graph(content, FEATURES)
    except GraphError:
        return None
    if walked != content:
        return "what is run is not what was walked"
    try:
        model = onnx.ModelProto.FromString(content)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # whatever the other reader says
        return f"accepted, and refused by onnx: {error}"
    again: bytes = model.SerializeToString(deterministic=True)
    return None if written(_in_order(read(MODEL_KIND, content))) == again else "onnx reads other fields"


def _in_order(message: Message) -> Message:
    """With its fields by number, as the other writer has them."""
    values = [(number, _in_order(value) if isinstance(value, Message) else value) for number, value in message.values]
    return Message(message.kind, sorted(values, key=lambda pair: pair[0]))
