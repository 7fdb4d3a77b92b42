"""Somebody's ONNX classifier, read: its one input, and which of its values is the probability of which class."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.bundle.files import BYTES_MAX, MODEL
from models.bundle.graph_trees import DOMAIN
from models.scoring.devices import reason_of

PLAIN_NAMES = ({"0", "1"}, {"False", "True"}, {"false", "true"})
"""Pairs of labels of which it is clear which one is the positive: the greater."""

TYPES = {TensorProto.DOUBLE: "float64", TensorProto.INT64: "int64", TensorProto.STRING: "text"}
SILENT = 4
"""Level of ONNX Runtime's log on the standard error, where our sentence says what it is."""


class ForeignModelError(ValueError):
    """A model that no bundle can be built from as it is: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """entry: the input's name. nodes: what computes `said`, in order. said: the value that holds the probabilities.

    labels: the classes in words, in the order of the probabilities' columns; empty where the file does not name them.
    """

    model: onnx.ModelProto
    entry: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: dict[str, NDArray[np.generic]]
    said: str
    labels: tuple[str, ...]

    @property
    def producer(self) -> str:
        """Who wrote the file, as it says."""
        return f"{self.model.producer_name} {self.model.producer_version}".strip() or "unknown"


def read_model(content: bytes, features: int, output: str | None = None) -> Foreign:
    """features: F, how many columns the spec has. output: the name of the output that holds probabilities, where there are
    several. Raises ForeignModelError.
    """
    model = _parsed(content)
    graph = model.graph
    constants = _constants(graph)
    entry = _entry(graph, set(constants), features)
    made = {name: node for node in graph.node for name in node.output}
    said = _probabilities(graph, made, output)
    labels: tuple[str, ...] = ()
    if said in made and made[said].op_type == "ZipMap":
        labels = _labels(made[said])
        said = made[said].input[0]
    labels = labels or _labels_behind(said, made)
    if labels:
        check_classes(len(labels))
    return Foreign(model, entry, needed([said], graph.node), constants, said, labels)


def column_of(foreign: Foreign, positive: str | None) -> int:
    """Which of the two columns of answers is the positive class's. Raises ForeignModelError where it is
    not clear.
    """
    if positive is not None:
        if positive not in (foreign.labels or ("0", "1")):
            known = " and ".join(foreign.labels or ("0", "1"))
            raise ForeignModelError(f"--positive {positive} is none of the model's classes: {known}.")
        return (foreign.labels or ("0", "1")).index(positive)
    for known_labels in PLAIN_NAMES:
        if set(foreign.labels) == known_labels:
            return foreign.labels.index(max(known_labels))
    named = f"calls its classes {' and '.join(foreign.labels)}" if foreign.labels else "does not name its two classes"
    raise ForeignModelError(
        f"The model {named}: say with --positive {(foreign.labels or ('0', '1'))[1]} which one is the fraud."
    )


def check_classes(classes: int) -> None:
    """Raises ForeignModelError where the model tells other than two apart."""
    if classes != 2:
        raise ForeignModelError(f"The model tells {classes} classes apart, and a bundle two: train it on fraud or not.")


def original(foreign: Foreign) -> onnxruntime.InferenceSession:
    """A session of the nodes that compute the probabilities, as the file has them. Raises ForeignModelError.

    For what `joined` took: the runtime is given no operator, list or index that was not looked at.
    """
    graph, model = foreign.model.graph, foreign.model
    needed = {name for node in foreign.nodes for name in node.input}
    kept = onnx.GraphProto(
        name="original",
        node=foreign.nodes,
        initializer=[weight for weight in graph.initializer if weight.name in needed],
        input=[value for value in graph.input if value.name == foreign.entry],
        output=[onnx.ValueInfoProto(name=foreign.said)],
    )
    del kept.input[0].type.tensor_type.shape.dim[:1]
    kept.input[0].type.tensor_type.shape.dim.insert(0, onnx.TensorShapeProto.Dimension(dim_param="n"))
    sets = {("" if found.domain == "ai.onnx" else found.domain): found for found in model.opset_import}
    sets.setdefault("", helper.make_opsetid("", 13))
    made = onnx.ModelProto(ir_version=max(model.ir_version, 4), graph=kept, opset_import=sets.values())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    try:
        return onnxruntime.InferenceSession(
            made.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ForeignModelError(f"ONNX Runtime does not load the model: {reason_of(error)}") from None


def answers_of(session: onnxruntime.InferenceSession, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The model's own answers to float32[n, F]: float32[n] or [n, classes]. Raises ForeignModelError."""
    try:
        (answers,) = session.run(None, {session.get_inputs()[0].name: rows})
    except Exception as error:  # ONNX Runtime's errors have no common base
        what = f"{len(rows)} rows of {rows.shape[1]} features"
        raise ForeignModelError(f"The model does not run on {what}: {reason_of(error)}") from None
    found = np.asarray(answers)
    if found.dtype != np.float32 or found.ndim not in (1, 2) or len(found) != len(rows):
        raise ForeignModelError(
            f"The model answers {len(rows)} rows with {found.dtype}{list(found.shape)}, and one float32 probability for each "
            "row is needed: export it so."
        )
    return found


def _parsed(content: bytes) -> onnx.ModelProto:
    if len(content) > BYTES_MAX[MODEL]:
        raise ForeignModelError(f"The model has {len(content):,} bytes; a bundle takes {BYTES_MAX[MODEL]:,} at most.")
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError:
        raise ForeignModelError(
            "The file is not an ONNX model: export the model with its library's converter."
        ) from None
    if not model.graph.node:
        raise ForeignModelError("The file holds no ONNX graph: export the model with its library's converter.")
    if model.functions or model.training_info or model.graph.sparse_initializer:
        raise ForeignModelError(
            "The model has functions, training steps or sparse weights of its own: export it for inference, without these."
        )
    return model


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    """Weights by name, and what constants and their copies hold."""
    found: dict[str, NDArray[np.generic]] = {}
    for weight in graph.initializer:
        found[weight.name] = _array(weight)
    for node in graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            found[node.output[0]] = _array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _array(weight: onnx.TensorProto) -> NDArray[np.generic]:
    if weight.data_location == TensorProto.EXTERNAL or weight.external_data:
        raise ForeignModelError("A weight of the model lies in another file: export it as one file, weights included.")
    try:
        array: NDArray[np.generic] = numpy_helper.to_array(weight)
    except Exception:
        raise ForeignModelError(f"The model's weight {weight.name} cannot be read: export it again.") from None
    return array


def _entry(graph: onnx.GraphProto, constants: set[str], features: int) -> str:
    """The one input, float32[n, F]."""
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs[:8]) or "none"
        raise ForeignModelError(
            f"The model has {len(inputs)} inputs ({names}), and one is needed, float32[n, {features}], in the feature spec's "
            "order: export it with one tensor."
        )
    kind = inputs[0].type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        found = TYPES.get(kind.elem_type, "another type")
        raise ForeignModelError(
            f"The model's input {inputs[0].name} is of {found}, and features are float32: export it so."
        )
    sizes = kind.shape.dim
    width = sizes[1].dim_value if len(sizes) == 2 else 0
    if len(sizes) != 2 or (sizes[1].HasField("dim_value") and width != features):
        found = f"{width} columns" if len(sizes) == 2 else f"{len(sizes)} dimensions"
        raise ForeignModelError(
            f"The model's input {inputs[0].name} has {found}, and the feature spec {features} features: give the spec that it "
            "was trained with."
        )
    return str(inputs[0].name)


def _probabilities(graph: onnx.GraphProto, made: dict[str, onnx.NodeProto], output: str | None) -> str:
    """The output that holds probabilities: what is no label."""
    outputs = {value.name: value for value in graph.output}
    if output is not None:
        if output not in outputs:
            raise ForeignModelError(f"--output {output} is none of the model's outputs: {', '.join(outputs)}.")
        return output
    floats = (TensorProto.FLOAT, TensorProto.UNDEFINED)
    found = [
        name
        for name, value in outputs.items()
        if (name in made and made[name].op_type == "ZipMap")
        or (value.type.WhichOneof("value") == "tensor_type" and value.type.tensor_type.elem_type in floats)
    ]
    if len(found) != 1:
        raise ForeignModelError(
            f"The model has {len(found)} outputs that could be the probability ({', '.join(found) or 'none is of float32'}): "
            "export it with one, or name it with --output."
        )
    return str(found[0])


def needed(values: Iterable[str], nodes: Iterable[onnx.NodeProto]) -> tuple[onnx.NodeProto, ...]:
    """The nodes that some values are computed by, in their order."""
    order = list(nodes)
    made = {name: node for node in order for name in node.output}
    names, open_names = set[str](), list(values)
    while open_names:
        name = open_names.pop()
        if name not in names:
            names.add(name)
            open_names += made[name].input if name in made else ()
    return tuple(node for node in order if names & set(node.output))


def _labels(node: onnx.NodeProto) -> tuple[str, ...]:
    for attribute in node.attribute:
        if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
            return tuple(str(label) for label in attribute.ints)
        if attribute.name == "classlabels_strings" and attribute.strings:
            return tuple(label.decode("utf-8", "replace") for label in attribute.strings)
    return ()


def _labels_behind(said: str, made: dict[str, onnx.NodeProto]) -> tuple[str, ...]:
    """The classes of the classifier that makes the probabilities, if nothing stands between."""
    while said in made and made[said].op_type in ("Identity", "Cast"):
        said = made[said].input[0]
    return _labels(made[said]) if said in made and made[said].domain == DOMAIN else ()


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Values by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
