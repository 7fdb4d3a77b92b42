"""Somebody's classifier as a bundle's graph: our input and outputs, few operators, each in the form that the walker takes.

What has no such form is refused by name. Where there is no autoencoder, the anomaly's outputs are zeros.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.bundle.graph import FEATURE_ERRORS, INPUT, OUTPUTS, GraphError, check_graph, shape_of
from models.bundle.graph_trees import DOMAIN, VERSION
from models.foreign.new_graph import Joining, refused
from models.foreign.operators import WRITERS
from models.foreign.reading import Foreign, ForeignModelError, check_classes, column_of

OPSET = 18
IR_VERSION = 9

Walked = TypeVar("Walked")


def joined(
    foreign: Foreign, features: int, positive: str | None = None, anomaly: bytes | None = None
) -> tuple[bytes, int | None]:
    """The bundle's graph, walked, and which of the model's columns it took; None where the model has one.

    positive: the class that is the fraud, where the file leaves it open. anomaly: a walked graph of a bundle of the same
    features, whose anomaly score is taken. Raises ForeignModelError.
    """
    joining = _joining(foreign)
    said = joining.value(foreign.said)
    shape = _of_graph(shape_of, _model(joining, features, {said: ["n"]}), features, said)
    if len(shape) > 2 or (len(shape) == 2 and shape[1] > 2):
        check_classes(shape[-1])
    column = column_of(foreign, positive) if len(shape) == 2 and shape[1] == 2 else None
    joining = _joining(foreign)
    _add_probability(joining, foreign, column, flat=len(shape) == 1)
    if anomaly is None:
        _add_zeros(joining)
    else:
        joining.add_anomaly(_of_our_set(anomaly))
    outputs: dict[str, list[str | int]] = {name: ["n"] for name in OUTPUTS}
    outputs[FEATURE_ERRORS] = ["n", features]
    return _of_graph(check_graph, _model(joining, features, outputs), features), column


def _of_graph(walk: Callable[..., Walked], *given: Any) -> Walked:
    try:
        return walk(*given)
    except GraphError as error:
        raise ForeignModelError(f"The model makes no graph that a scorer would take: {error}.") from None


def _joining(foreign: Foreign) -> Joining:
    """Every node that is needed, written again."""
    joining = Joining(foreign)
    for node in foreign.nodes:
        if not node.output or node.output[0] in foreign.constants:
            continue
        write = WRITERS.get(("" if node.domain == "ai.onnx" else node.domain, node.op_type))
        if write is None:
            raise refused(node, "is not one of those that a bundle takes")
        try:
            with np.errstate(all="ignore"):  # what is then no finite number, the walk refuses
                write(joining, node)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ForeignModelError):
                raise
            raise refused(node, "has inputs or attributes that do not fit it") from None
    return joining


def _of_our_set(content: bytes) -> onnx.GraphProto:
    model = onnx.load_from_string(content)
    found = next((known.version for known in model.opset_import if known.domain != DOMAIN), 0)
    if found != OPSET:
        raise ForeignModelError(
            f"The bundle of --anomaly-from is of ONNX's operator set {found}, and {OPSET} is needed: train it again."
        )
    return model.graph


def _add_probability(joining: Joining, foreign: Foreign, column: int | None, *, flat: bool) -> None:
    """flat: the answers are [n], not [n, classes]."""
    said = joining.value(foreign.said) if column is None else joining.column(foreign.said, column)
    probability = said if flat else joining.node("Squeeze", [said, joining.weight(np.array([1]))])
    bounds = [joining.weight(np.full(1, bound, np.float32)) for bound in (0.0, 1.0)]
    joining.node("Clip", [probability, *bounds], OUTPUTS[0])  # sums of leaves end a rounding beyond 1


def _add_zeros(joining: Joining) -> None:
    """Nothing is unusual."""
    axis, zero = joining.weight(np.array([1])), joining.weight(np.zeros(1, np.float32))
    first = joining.node("Gather", [INPUT, joining.weight(np.array([0]))], axis=1)
    nothing = joining.node("Clip", [first, zero, zero])
    for output in OUTPUTS[1:3]:
        joining.node("Squeeze", [nothing, axis], output)
    joining.node("Clip", [INPUT, zero, zero], FEATURE_ERRORS)


def _model(joining: Joining, features: int, shapes: dict[str, list[str | int]]) -> bytes:
    used = {name for node in joining.nodes for name in node.input}
    body = helper.make_graph(
        joining.nodes,
        "joined",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape) for output, shape in shapes.items()],
        [weight for name, weight in joining.weights.items() if name in used],
    )
    sets = [helper.make_opsetid("", OPSET)]
    if any(node.domain == DOMAIN for node in joining.nodes):
        sets.append(helper.make_opsetid(DOMAIN, VERSION))
    model = helper.make_model(body, opset_imports=sets, ir_version=IR_VERSION, producer_name="assay")
    content: bytes = model.SerializeToString(deterministic=True)
    return content
