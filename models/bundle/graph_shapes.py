"""Shapes of everything that a graph computes, from its input's, with bounds: so that what is small on disk stays small.

Only the operators of a fused graph and of what `models.foreign` writes, and of each only the forms that these have. Every
value but a weight has one row for each payment, so what a graph costs is known for one row, before anything is allocated.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.bundle.graph_trees import COMPARISON_MULTIPLY_ADDS, NO_LISTS, OPERATOR, Lists, comparisons_max
from models.bundle.protobuf import GraphError

BATCH = -1
"""The size that is the batch's."""

ELEMENTS_MAX = 1 << 17
"""Numbers that all computed values of one row may hold together; the committed graphs hold some 4,000."""

MULTIPLY_ADDS_MAX = 1 << 24
"""Of one row; the committed graphs take some 150,000."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    """numbers: the values where they are whole numbers, None where they are floats."""

    name: str
    shape: Shape
    numbers: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One operator with the names of its inputs and outputs."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, float]
    lists: Lists = NO_LISTS


@dataclass(frozen=True, slots=True)
class _Given:
    """What a rule sees: shapes of the inputs, whole numbers of those that have them, the attributes, lists among them."""

    shapes: tuple[Shape, ...]
    numbers: tuple[tuple[int, ...] | None, ...]
    attributes: dict[str, float]
    lists: Lists


def shapes_of(entry: str, shape: Shape, nodes: Sequence[Node], weights: Sequence[Weight]) -> dict[str, Shape]:
    """Shape of each computed value by name. Raises GraphError where a node cannot be, or a bound is passed."""
    known = {weight.name: weight for weight in weights}
    if len(known) != len(weights) or entry in known or "" in known:
        raise GraphError("two weights have one name, or one has the input's")
    shapes: dict[str, Shape] = {entry: shape}
    elements = multiply_adds = 0
    for node in nodes:
        rule = _RULES[node.operator]
        if len(node.outputs) != 1 or not node.outputs[0] or node.outputs[0] in shapes or node.outputs[0] in known:
            raise GraphError(f"a {node.operator} has not one output with a name of its own")
        if not all(name in shapes or name in known for name in node.inputs):
            raise GraphError(f"a {node.operator} reads what is not computed before it")
        if not any(name in shapes for name in node.inputs):
            raise GraphError(f"a {node.operator} reads no payment")
        whole = tuple(known[name].numbers if name in known else None for name in node.inputs)
        given = _Given(
            tuple(shapes[name] if name in shapes else known[name].shape for name in node.inputs),
            whole,
            node.attributes,
            node.lists,
        )
        if len(node.inputs) not in rule.inputs or not set(node.attributes) <= rule.attributes:
            raise GraphError(f"a {node.operator} has other inputs or attributes than a fused graph's")
        if any((numbers is not None) != (place in rule.whole) for place, numbers in enumerate(whole)):
            raise GraphError(f"a {node.operator} reads whole numbers in place of floats, or floats in place of these")
        found, cost = rule.of(given)
        if not found or found[0] != BATCH or BATCH in found[1:]:
            raise GraphError(f"a {node.operator} does not give one row for each payment")
        shapes[node.outputs[0]] = found
        elements += math.prod(found[1:])
        multiply_adds += cost
        if elements > ELEMENTS_MAX or multiply_adds > MULTIPLY_ADDS_MAX:
            raise GraphError(
                f"the graph computes more than {ELEMENTS_MAX:,} numbers or {MULTIPLY_ADDS_MAX:,} multiply-adds a payment"
            )
    return {name: found for name, found in shapes.items() if name != entry}


def _wrong(operator: str) -> GraphError:
    return GraphError(f"a {operator} has inputs of shapes that do not fit")


def _same(given: _Given) -> tuple[Shape, int]:
    return given.shapes[0], 0


def _clip(given: _Given) -> tuple[Shape, int]:
    if any(bound not in ((), (1,)) for bound in given.shapes[1:]):
        raise _wrong("Clip")
    return given.shapes[0], 0


def _broadcast(given: _Given) -> tuple[Shape, int]:
    one, two = given.shapes
    width = max(len(one), len(two))
    one, two = ((1,) * (width - len(shape)) + shape for shape in (one, two))
    sizes = []
    for a, b in zip(one, two, strict=True):
        if a != b and 1 not in (a, b):
            raise _wrong("Add, Mul or Sub")
        sizes.append(b if a == 1 else a)
    return tuple(sizes), 0


def _axis(given: _Given, rank: int, operator: str) -> int:
    """The axis, never the batch's."""
    axis = int(given.attributes.get("axis", 0))
    axis += rank if axis < 0 else 0
    if not 1 <= axis < rank:
        raise _wrong(operator)
    return axis


def _concat(given: _Given) -> tuple[Shape, int]:
    first = given.shapes[0]
    axis = _axis(given, len(first), "Concat")
    for shape in given.shapes:
        if len(shape) != len(first) or any(
            a != b for n, (a, b) in enumerate(zip(first, shape, strict=True)) if n != axis
        ):
            raise _wrong("Concat")
    return (*first[:axis], sum(shape[axis] for shape in given.shapes), *first[axis + 1 :]), 0


def _gather(given: _Given) -> tuple[Shape, int]:
    data, places, numbers = given.shapes[0], given.shapes[1], given.numbers[1]
    axis = _axis(given, len(data), "Gather")
    if len(places) != 1 or not numbers or not all(0 <= number < data[axis] for number in numbers):
        raise _wrong("Gather")
    return (*data[:axis], places[0], *data[axis + 1 :]), 0


def _product(rows: Shape, matrix: Shape, operator: str) -> tuple[Shape, int]:
    if len(rows) != 2 or len(matrix) != 2 or BATCH in matrix or rows[1] != matrix[0]:
        raise _wrong(operator)
    return (rows[0], matrix[1]), matrix[0] * matrix[1]


def _matmul(given: _Given) -> tuple[Shape, int]:
    return _product(given.shapes[0], given.shapes[1], "MatMul")


def _gemm(given: _Given) -> tuple[Shape, int]:
    if any(given.attributes.get(name, default) != default for name, default in _GEMM.items()):
        raise GraphError("a Gemm has another form than a fused graph's")
    found, cost = _product(given.shapes[0], given.shapes[1], "Gemm")
    if len(given.shapes) == 3 and given.shapes[2] not in ((found[1],), (1,), ()):
        raise _wrong("Gemm")
    return found, cost


def _squeeze(given: _Given) -> tuple[Shape, int]:
    shape, axes = given.shapes[0], given.numbers[1]
    if axes is None or len(axes) != 1 or not 1 <= axes[0] < len(shape) or shape[axes[0]] != 1:
        raise _wrong("Squeeze")
    return (*shape[: axes[0]], *shape[axes[0] + 1 :]), 0


def _softmax(given: _Given) -> tuple[Shape, int]:
    shape = given.shapes[0]
    if len(shape) != 2 or given.attributes.get("axis", -1) not in (1, -1):
        raise _wrong("Softmax")
    return shape, 0


def _trees(given: _Given) -> tuple[Shape, int]:
    rows = given.shapes[0]
    if len(rows) != 2:
        raise _wrong(OPERATOR)
    steps = comparisons_max(given.lists, given.attributes.get("n_targets", 0), rows[1])
    return (rows[0], 1), steps * COMPARISON_MULTIPLY_ADDS


@dataclass(frozen=True, slots=True)
class _Rule:
    """of: shape and multiply-adds of a row. inputs: how many. whole: places of inputs that are whole numbers."""

    of: Callable[[_Given], tuple[Shape, int]]
    inputs: range
    attributes: frozenset[str] = frozenset()
    whole: frozenset[int] = frozenset()


_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}

_RULES = {
    "Add": _Rule(_broadcast, range(2, 3)),
    "Clip": _Rule(_clip, range(3, 4)),
    "Concat": _Rule(_concat, range(1, 33), frozenset({"axis"})),
    "Gather": _Rule(_gather, range(2, 3), frozenset({"axis"}), frozenset({1})),
    "Gemm": _Rule(_gemm, range(2, 4), frozenset(_GEMM)),
    "LeakyRelu": _Rule(_same, range(1, 2), frozenset({"alpha"})),
    "Log": _Rule(_same, range(1, 2)),
    "MatMul": _Rule(_matmul, range(2, 3)),
    "Mul": _Rule(_broadcast, range(2, 3)),
    "Relu": _Rule(_same, range(1, 2)),
    "Sigmoid": _Rule(_same, range(1, 2)),
    "Softmax": _Rule(_softmax, range(1, 2), frozenset({"axis"})),
    "Squeeze": _Rule(_squeeze, range(2, 3), whole=frozenset({1})),
    "Sub": _Rule(_broadcast, range(2, 3)),
    "Tanh": _Rule(_same, range(1, 2)),
    OPERATOR: _Rule(_trees, range(1, 2), frozenset({"n_targets"})),
}

OPERATORS = frozenset(_RULES)
"""Operators that a bundle's graph is made of."""
