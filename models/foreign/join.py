"""Somebody's classifier as a bundle's graph: our input and outputs, few operators, each in the form that the walker takes.

Operators are rewritten where another one says the same: a Scaler is a Sub and a Mul, a classifier of trees its one score and a
Sigmoid. What has no such form is refused by name. Where there is no autoencoder, the anomaly's outputs are zeros.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.bundle.graph import FEATURE_ERRORS, INPUT, OUTPUTS, GraphError, check_graph, shape_of
from models.bundle.graph_trees import DOMAIN, OPERATOR, VERSION
from models.foreign.reading import Foreign, ForeignModelError, attributes_of, check_classes, column_of, needed
from models.foreign.trees import leaf_weights, one_target

OPSET = 18
IR_VERSION = 9

Walked = TypeVar("Walked")


class Joining:
    """The graph that is being written, and which of its values each of the foreign ones is."""

    def __init__(self, foreign: Foreign) -> None:
        self.constants = foreign.constants
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self._ours = {foreign.entry: INPUT}
        self._pairs: dict[str, str] = {}
        self.exponents: dict[str, str] = {}
        """Foreign values exp(z), or 1 + exp(z), with z: 1 / (1 + exp(z)) is a Sigmoid."""

    def weight(self, values: NDArray[Any]) -> str:
        """A weight's name."""
        name = f"w{len(self.weights)}"
        array = np.ascontiguousarray(values, np.int64 if values.dtype.kind in "iu" else np.float32)
        self.weights[name] = numpy_helper.from_array(array, name)
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """A node's one output."""
        name = output or f"v{len(self.nodes)}"
        domain = DOMAIN if operator == OPERATOR else ""
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def value(self, name: str) -> str:
        """What stands for a foreign value: a node's output, or a weight. Raises ForeignModelError."""
        if name in self._pairs:
            positive = self._pairs.pop(name)
            other = self.node("Sub", [self.weight(np.ones(1, np.float32)), positive])
            self._ours[name] = self.node("Concat", [other, positive], axis=1)
        if name not in self._ours:
            if name not in self.constants:
                raise ForeignModelError(f"The model's value {name} is not computed before it is read: export it again.")
            self._ours[name] = self.weight(self.constants[name].astype(np.float32))
        return self._ours[name]

    def constant(self, node: onnx.NodeProto, place: int) -> NDArray[Any]:
        """An input that must be a weight. Raises ForeignModelError."""
        name = node.input[place] if place < len(node.input) else ""
        if name not in self.constants:
            raise refused(node, "reads what is no weight")
        return self.constants[name]

    def set(self, node: onnx.NodeProto, value: str, output: int = 0) -> None:
        """Say what stands for a node's output."""
        self._ours[node.output[output]] = value

    def add_anomaly(self, graph: onnx.GraphProto) -> None:
        """The outputs of the anomaly as another bundle's graph computes them: its own nodes and weights, by other names."""
        kept = {INPUT, *OUTPUTS[1:]}
        for node in needed(OUTPUTS[1:], graph.node):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for names in (copy.input, copy.output):
                names[:] = [name if name in kept else f"anomaly.{name}" for name in names]
            self.nodes.append(copy)
        for weight in graph.initializer:
            renamed = onnx.TensorProto()
            renamed.CopyFrom(weight)
            renamed.name = f"anomaly.{weight.name}"
            self.weights[renamed.name] = renamed

    def set_pair(self, name: str, positive: str) -> None:
        """The two columns [1 - positive, positive], written only where both are read. positive: [n, 1]."""
        self._pairs[name] = positive

    def column(self, name: str, place: int) -> str:
        """One column, [n, 1], of a foreign value."""
        if name in self._pairs and place == 1:
            return self._pairs[name]
        if name in self._pairs:
            return self.node("Sub", [self.weight(np.ones(1, np.float32)), self._pairs[name]])
        return self.node("Gather", [self.value(name), self.weight(np.array([place]))], axis=1)


def refused(node: onnx.NodeProto, why: str) -> ForeignModelError:
    """The sentence for a node that cannot be taken."""
    return ForeignModelError(
        f"The model's operator {node.op_type} {why}: `assay bundle build` takes trees, linear models and dense networks; "
        "leave out of the export what else there is."
    )


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
        write = _WRITERS.get(("" if node.domain == "ai.onnx" else node.domain, node.op_type))
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


_WRITERS: dict[tuple[str, str], Callable[[Joining, onnx.NodeProto], None]] = {
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
