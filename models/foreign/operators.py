"""Each operator of a foreign graph that is taken, in the form that the walker takes.

A Scaler is a Sub and a Mul, a classifier of trees its one score and a Sigmoid.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from models.bundle.graph_trees import DOMAIN, OPERATOR
from models.foreign.new_graph import Joining, refused
from models.foreign.reading import attributes_of, check_classes
from models.foreign.trees import leaf_weights, one_target


def _alias(joining: Joining, node: onnx.NodeProto) -> None:
    joining.set(node, joining.value(node.input[0]))


def _cast(joining: Joining, node: onnx.NodeProto) -> None:
    if attributes_of(node).get("to") != TensorProto.FLOAT:
        raise refused(node, "makes other numbers than float32")
    _alias(joining, node)


def _flatten(joining: Joining, node: onnx.NodeProto) -> None:
    if attributes_of(node).get("axis", 1) != 1:
        raise refused(node, "has another axis than 1")
    _alias(joining, node)


def _plain(joining: Joining, node: onnx.NodeProto) -> None:
    """An operator that is taken as it is, its weights made float32."""
    given = attributes_of(node)
    known = {"alpha", "axis"}
    if not set(given) <= known:
        raise refused(node, f"has {', '.join(sorted(set(given) - known))}, which is not taken")
    joining.set(node, joining.node(node.op_type, [joining.value(name) for name in node.input], **given))


def _leaky(joining: Joining, node: onnx.NodeProto) -> None:
    alpha = attributes_of(node).get("alpha", 0.01)
    joining.set(node, joining.node("LeakyRelu", [joining.value(node.input[0])], alpha=alpha))


def _softmax(joining: Joining, node: onnx.NodeProto) -> None:
    axis = attributes_of(node).get("axis", -1)
    joining.set(node, joining.node("Softmax", [joining.value(node.input[0])], axis=axis))


def _exp(joining: Joining, node: onnx.NodeProto) -> None:
    joining.exponents[node.output[0]] = joining.value(node.input[0])


def _add(joining: Joining, node: onnx.NodeProto) -> None:
    """A sum of two, of many, or 1 and an exponential."""
    exponent = next((name for name in node.input if name in joining.exponents), None)
    if exponent is not None:
        others = [name for name in node.input if name != exponent]
        if len(others) != 1 or not _is_one(joining, others[0]):
            raise refused(node, "adds something else than 1 to an exponential")
        joining.exponents[node.output[0]] = joining.exponents[exponent]
        return
    total = joining.value(node.input[0])
    for name in node.input[1:]:
        total = joining.node("Add", [total, joining.value(name)])
    joining.set(node, total)


def _is_one(joining: Joining, name: str) -> bool:
    return name in joining.constants and bool((joining.constants[name] == 1).all())


def _imputer(joining: Joining, node: onnx.NodeProto) -> None:
    """Features are always numbers, so nothing is put in their place."""
    if not np.isnan(attributes_of(node).get("replaced_value_float", 0.0)):
        raise refused(node, "replaces something else than what is no number")
    _alias(joining, node)


def _div(joining: Joining, node: onnx.NodeProto) -> None:
    if node.input[1] in joining.exponents:
        if not _is_one(joining, node.input[0]):
            raise refused(node, "divides something else than 1 by an exponential")
        minus = joining.node("Mul", [joining.exponents[node.input[1]], joining.weight(np.full(1, -1.0))])
        joining.set(node, joining.node("Sigmoid", [minus]))
        return
    by = joining.constant(node, 1).astype(np.float64)
    if not by.all():
        raise refused(node, "divides by 0")
    joining.set(
        node, joining.node("Mul", [joining.value(node.input[0]), joining.weight((1.0 / by).astype(np.float32))])
    )


def _gemm(joining: Joining, node: onnx.NodeProto) -> None:
    given = attributes_of(node)
    if given.get("transA", 0):
        raise refused(node, "turns its rows round")
    matrix = joining.constant(node, 1).astype(np.float32)
    matrix = (matrix.T if given.get("transB", 0) else matrix) * np.float32(given.get("alpha", 1.0))
    bias = np.zeros(matrix.shape[-1], np.float32)
    if len(node.input) > 2 and node.input[2]:
        scaled = joining.constant(node, 2).astype(np.float32) * np.float32(given.get("beta", 1.0))
        bias = _broadcast(node, scaled.ravel(), bias.shape)
    joining.set(
        node, joining.node("Gemm", [joining.value(node.input[0]), joining.weight(matrix), joining.weight(bias)])
    )


def _broadcast(node: onnx.NodeProto, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise refused(node, "has weights of shapes that do not fit") from None


def _matmul(joining: Joining, node: onnx.NodeProto) -> None:
    matrix = joining.constant(node, 1).astype(np.float32)
    joining.set(node, joining.node("MatMul", [joining.value(node.input[0]), joining.weight(matrix)]))


def _clip(joining: Joining, node: onnx.NodeProto) -> None:
    given = attributes_of(node)
    bounds = []
    for place, name, default in ((1, "min", np.finfo(np.float32).min), (2, "max", np.finfo(np.float32).max)):
        there = place < len(node.input) and node.input[place]
        bound = joining.constant(node, place) if there else np.array(given.get(name, default))
        bounds.append(joining.weight(bound.astype(np.float32).reshape(1)))
    joining.set(node, joining.node("Clip", [joining.value(node.input[0]), *bounds]))


def _squeeze(joining: Joining, node: onnx.NodeProto) -> None:
    axes = joining.constant(node, 1).tolist() if len(node.input) > 1 else attributes_of(node).get("axes", [])
    if list(axes) not in ([1], [-1]):
        raise refused(node, "takes away another axis than the last")
    joining.set(node, joining.node("Squeeze", [joining.value(node.input[0]), joining.weight(np.array([1]))]))


def _gather(joining: Joining, node: onnx.NodeProto) -> None:
    places = joining.constant(node, 1)
    if places.dtype.kind not in "iu" or attributes_of(node).get("axis", 0 if node.op_type == "Gather" else 1) not in (
        1,
        -1,
    ):
        raise refused(node, "chooses other things than columns")
    if places.size == 1 and node.op_type != "Gather":
        joining.set(node, joining.column(node.input[0], int(places.ravel()[0])))
        return
    joining.set(node, joining.node("Gather", [joining.value(node.input[0]), joining.weight(places.ravel())], axis=1))


def _normalisation(joining: Joining, node: onnx.NodeProto) -> None:
    given = attributes_of(node)
    if given.get("training_mode", 0) or (len(node.output) > 1 and any(node.output[1:])):
        raise refused(node, "is in training: export the model for inference (model.eval())")
    scale, bias, mean, variance = (joining.constant(node, place).astype(np.float64) for place in range(1, 5))
    centred = joining.node("Sub", [joining.value(node.input[0]), joining.weight(mean.astype(np.float32))])
    factor = scale / np.sqrt(variance + float(given.get("epsilon", 1e-5)))
    scaled = joining.node("Mul", [centred, joining.weight(factor.astype(np.float32))])
    joining.set(node, joining.node("Add", [scaled, joining.weight(bias.astype(np.float32))]))


def _scaler(joining: Joining, node: onnx.NodeProto) -> None:
    given = attributes_of(node)
    offset, scale = (
        np.array(given.get(name, default), np.float32) for name, default in (("offset", [0]), ("scale", [1]))
    )
    centred = joining.node("Sub", [joining.value(node.input[0]), joining.weight(offset)])
    joining.set(node, joining.node("Mul", [centred, joining.weight(scale)]))


def _linear(joining: Joining, node: onnx.NodeProto) -> None:
    """Two classes with weights each: both scores by one Gemm."""
    given = attributes_of(node)
    coefficients, intercepts = (np.array(given.get(name, ()), np.float32) for name in ("coefficients", "intercepts"))
    if len(intercepts) != 2 or len(coefficients) % 2 or not len(coefficients):
        raise refused(node, f"has weights for {len(intercepts)} classes, and a bundle tells two apart")
    matrix = joining.weight(coefficients.reshape(2, -1).T)
    scores = joining.node("Gemm", [joining.value(node.input[0]), matrix, joining.weight(intercepts)])
    after = {"NONE": None, "LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}
    transform = _transform(node)
    if transform not in after:
        raise refused(node, f"has the post_transform {transform}, which is not taken")
    operator = after[transform]
    attributes: dict[str, Any] = {"axis": 1} if operator == "Softmax" else {}
    joining.set(node, joining.node(operator, [scores], **attributes) if operator else scores, output=1)


def _transform(node: onnx.NodeProto) -> str:
    found = attributes_of(node).get("post_transform", b"NONE")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _tree_classifier(joining: Joining, node: onnx.NodeProto) -> None:
    """Two classes: the score of one, where the trees have one, else that of the second less the first's or its own."""
    given = attributes_of(node)
    classes = len(given.get("classlabels_int64s", ())) or len(given.get("classlabels_strings", ()))
    check_classes(classes)
    _check_plain(node, given)
    scored = sorted(set(given.get("class_ids", ())))
    transform = _transform(node)
    bases = [float(base) for base in given.get("base_values", ())]
    if scored not in ([0], [1], [0, 1]) or transform not in ("NONE", "LOGISTIC", "SOFTMAX") or len(bases) > 2:
        raise refused(node, f"with weights for the classes {scored} and {transform} is not taken")
    by_class = {place: leaf_weights(given, "class", place) for place in scored}
    weight, base = by_class[scored[-1]], bases[-1] if bases else 0.0
    if len(scored) == 1 and transform == "SOFTMAX":
        raise refused(node, "with weights for one class and SOFTMAX is not taken")
    if transform == "SOFTMAX":
        for key, value in by_class[0].items():
            weight[key] = weight.get(key, 0.0) - value
        base -= bases[0] if len(bases) == 2 else base
    score = _ensemble(joining, node, one_target(given, weight, base))
    positive = score if transform == "NONE" else joining.node("Sigmoid", [score])
    joining.set_pair(node.output[1], positive)


def _tree_regressor(joining: Joining, node: onnx.NodeProto) -> None:
    given = attributes_of(node)
    _check_plain(node, given)
    if given.get("n_targets", 1) != 1 or _transform(node) not in ("NONE", "LOGISTIC"):
        raise refused(node, "with several targets, or another post_transform than LOGISTIC, is not taken")
    bases = [float(base) for base in given.get("base_values", ())]
    score = _ensemble(joining, node, one_target(given, leaf_weights(given, "target", 0), bases[0] if bases else 0.0))
    joining.set(node, score if _transform(node) == "NONE" else joining.node("Sigmoid", [score]))


def _check_plain(node: onnx.NodeProto, given: dict[str, Any]) -> None:
    tensors = [name for name in given if name.endswith("_as_tensor")]
    if tensors or given.get("aggregate_function", b"SUM") != b"SUM":
        raise refused(node, "of float64, or that does not sum its trees, is not taken")


def _ensemble(joining: Joining, node: onnx.NodeProto, lists: dict[str, list[Any]]) -> str:
    attributes: dict[str, Any] = {"n_targets": 1, **lists}
    return joining.node(OPERATOR, [joining.value(node.input[0])], **attributes)


WRITERS: dict[tuple[str, str], Callable[[Joining, onnx.NodeProto], None]] = {
    **{("", name): _plain for name in ("Concat", "Mul", "Relu", "Sigmoid", "Sub", "Tanh")},
    **{("", name): _alias for name in ("Identity", "Dropout")},
    **{("", name): _add for name in ("Add", "Sum")},
    ("", "BatchNormalization"): _normalisation,
    ("", "Cast"): _cast,
    ("", "Clip"): _clip,
    ("", "Div"): _div,
    ("", "Exp"): _exp,
    ("", "Flatten"): _flatten,
    ("", "Gather"): _gather,
    ("", "Gemm"): _gemm,
    ("", "LeakyRelu"): _leaky,
    ("", "MatMul"): _matmul,
    ("", "Softmax"): _softmax,
    ("", "Squeeze"): _squeeze,
    (DOMAIN, "ArrayFeatureExtractor"): _gather,
    (DOMAIN, "Imputer"): _imputer,
    (DOMAIN, "LinearClassifier"): _linear,
    (DOMAIN, "Scaler"): _scaler,
    (DOMAIN, "TreeEnsembleClassifier"): _tree_classifier,
    (DOMAIN, OPERATOR): _tree_regressor,
}
"""By domain and name."""
