"""One ONNX graph per bundle, written node by node: standard operators only, no external data, raw features in.

Written by hand rather than traced, so that the graph holds exactly what is meant: every linear layer one Gemm, the
calibration folded into the classifier's last one, the encoding four elementwise operators.
"""

import copy

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from models.bundle.graph import INPUT, OPERATORS, OUTPUTS
from models.bundle.graph_trees import DOMAIN, OPERATOR, VERSION
from models.networks.classifier import Ensemble, Network
from models.networks.encoding import DEVIATIONS_MAX
from models.networks.fused import Calibration, Fused
from models.networks.rarity import LATENT_LESS, Rarity
from models.scoring.golden import TOLERANCE as GOLDEN_TOLERANCE
from models.training.export_likelihood import nats
from models.training.export_trees import attributes_of
from models.training.onnx_graph import Graph

OPSET = 18
ROWS = 8192
"""Compared at once."""

IR_VERSION = 9
TOLERANCE = 1e-5
"""PyTorch and ONNX Runtime agree to this in double: absolutely, and relative to values above 1 (percentiles: to their 100)."""


class ExportError(ValueError):
    """The exported graph does not say what the PyTorch modules say."""


def export(model: Fused, name: str) -> bytes:
    """The fused graph as ONNX bytes, checked against `model`. Raises ExportError."""
    graph = Graph()
    encoded = _encoding(graph, model)
    _classifier(graph, model, encoded)
    _autoencoder(graph, model, encoded)
    features = model.bin_share.shape[1]
    shapes = {name: ["n"] for name in OUTPUTS} | {"feature_errors": ["n", features]}
    body = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape) for output, shape in shapes.items()],
        graph.weights,
    )
    sets = [helper.make_opsetid("", OPSET)]
    if model.logit.trees is not None:
        sets.append(helper.make_opsetid(DOMAIN, VERSION))
    proto = helper.make_model(body, opset_imports=sets, ir_version=IR_VERSION, producer_name="assay")
    onnx.checker.check_model(proto, full_check=True)
    if strangers := {node.op_type for node in graph.nodes} - OPERATORS:
        raise ExportError(f"Operators off the allow-list in the exported graph: {sorted(strangers)}.")
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _encoding(graph: Graph, model: Fused) -> str:
    encode = model.inputs.encode
    gathered = graph.node("Gather", [INPUT, graph.weight("bin.feature", encode.feature)], "bin.raw", axis=1)
    above = graph.node("Sub", [gathered, graph.weight("bin.lower", encode.lower)], "bin.above")
    inverse_width = graph.weight("bin.inverse_width", encode.inverse_width)
    zero, one = graph.weight("zero", np.float32(0)), graph.weight("one", np.float32(1))
    linear = graph.node("Mul", [above, inverse_width], "bin.linear")
    if encode.of_value is None:
        return graph.node("Clip", [linear, zero, one], "encoded")
    risen = graph.node("Clip", [linear, zero, one], "bin.risen")
    behind = graph.node("Sub", [above, one], "bin.behind")
    fallen = graph.node("Mul", [behind, graph.weight("bin.of_value", encode.of_value)], "bin.fallen")
    return graph.node("Sub", [risen, graph.node("Clip", [fallen, zero, one], "bin.passed")], "encoded")


def _classifier(graph: Graph, model: Fused, encoded: str) -> None:
    hidden = _hidden(graph, model, model.classifier, encoded) if model.classifier is not None else ""
    column = _probability(graph, model, hidden)
    graph.node("Squeeze", [column, graph.weight("axis", np.array([1]))], "probability")


def _hidden(graph: Graph, model: Fused, classifier: Network, encoded: str) -> str:
    """The network up to its last layer."""
    standardise = model.inputs.standardise
    centred = graph.node("Sub", [INPUT, graph.weight("mean", standardise.mean)], "centred")
    scaled = graph.node("Mul", [centred, graph.weight("inverse_deviation", standardise.inverse_deviation)], "scaled")
    least = graph.weight("deviations.least", np.float32(-DEVIATIONS_MAX))
    most = graph.weight("deviations.most", np.float32(DEVIATIONS_MAX))
    standardised = graph.node("Clip", [scaled, least, most], "standardised")
    if len(model.inputs.chosen):
        chosen = graph.weight("chosen", model.inputs.chosen)
        inputs = graph.node("Gather", [standardised, chosen], "classifier.inputs", axis=1)
    else:
        inputs = graph.node("Concat", [encoded, standardised], "classifier.inputs", axis=1)
    if isinstance(classifier, Ensemble):
        members = [
            graph.relu_stack(layers, inputs, f"classifier.{number}")
            for number, layers in enumerate(classifier.networks)
        ]
        return graph.node("Concat", members, "classifier.members", axis=1)
    return graph.relu_stack(classifier.hidden, inputs, "classifier")


def _logit(graph: Graph, model: Fused, hidden: str, slope: float = 1.0, intercept: float = 0.0) -> str:
    """slope * logit + intercept as a column; both are folded into the last layer's weights and the leaves'."""
    network, trees, mix = model.classifier, model.logit.trees, model.logit.mix
    shift = slope * mix.intercept + intercept
    if network is None:
        assert trees is not None, "a classifier has a network or trees"
        return graph.node(OPERATOR, [INPUT], "logit", **attributes_of(trees.lists, slope * mix.trees, shift))
    if trees is None:
        return graph.linear(network.output, hidden, "logit", slope * mix.network, shift)
    of_network = graph.linear(network.output, hidden, "logit", slope * mix.network, shift)
    of_trees = graph.node(OPERATOR, [INPUT], "trees", **attributes_of(trees.lists, slope * mix.trees, 0.0))
    return graph.node("Add", [of_network, of_trees], "logit.sum")


def _probability(graph: Graph, model: Fused, hidden: str) -> str:
    """The calibrated probability as a column: a sigmoid, or the isotonic curve in its place."""
    calibration = model.calibration
    if isinstance(calibration, Calibration):
        logit = _logit(graph, model, hidden, calibration.slope, calibration.intercept)
        return graph.node("Sigmoid", [logit], "probability.column")
    above = graph.node(
        "Sub", [_logit(graph, model, hidden), graph.weight("logit.knot", calibration.knots)], "logit.above"
    )
    linear = graph.node("Mul", [above, graph.weight("logit.inverse_step", calibration.inverse_step)], "logit.linear")
    passed = graph.node("Clip", [linear, "zero", "one"], "logit.passed")
    sums = graph.node(
        "MatMul", [passed, graph.weight("probability.step", calibration.step[:, None])], "probability.sum"
    )
    raised = graph.node(
        "Sub", [sums, graph.weight("probability.below_zero", calibration.below_zero)], "probability.raised"
    )
    return graph.node("Clip", [raised, "zero", "one"], "probability.column")


def _autoencoder(graph: Graph, model: Fused, encoded: str) -> None:
    hidden = graph.relu_stack(model.vae.encoder, encoded, "encoder")
    hidden = graph.relu_stack(model.vae.decoder, graph.linear(model.vae.mean, hidden, "latent"), "decoder")
    outputs = graph.linear(model.vae.output, hidden, "reconstruction.logit")
    error = _row_error(graph, model, encoded, outputs)
    graph.node("Squeeze", [error, "axis"], "reconstruction_error")
    above = graph.node("Sub", [error, graph.weight("error.knots", model.error_knots)], "error.above")
    linear = graph.node("Mul", [above, graph.weight("error.inverse_step", model.inverse_error_step)], "error.linear")
    passed = graph.node("Clip", [linear, "zero", "one"], "error.passed")
    sums = graph.node(
        "MatMul", [passed, graph.weight("percentile.step", model.percentile_step[:, None])], "percentile.sum"
    )
    hundred = graph.weight("hundred", np.float32(100))
    graph.node(
        "Squeeze", [graph.node("Clip", [sums, "zero", hundred], "percentile.column"), "axis"], "anomaly_percentile"
    )


def _row_error(graph: Graph, model: Fused, encoded: str, outputs: str) -> str:
    """The row's error as a column, with the output `feature_errors` on the way."""
    if model.vae.likelihood is not None:
        judged, count = nats(graph, model.vae.likelihood, encoded, outputs, "feature_errors"), model.bin_share.shape[1]
    else:
        reconstruction = graph.node("Sigmoid", [outputs], "reconstruction")
        residual = graph.node("Sub", [reconstruction, encoded], "residual")
        judged = graph.node("Mul", [residual, residual], "squared_errors")
        graph.node("MatMul", [judged, graph.weight("bin.share", model.bin_share)], "feature_errors")
        count = len(model.inputs.encode.feature)
        if model.vae.rarity is not None:
            return _rarity(graph, model.vae.rarity, residual, model.vae.shape.latent)
    mean = graph.weight("bin.mean", np.full((count, 1), 1 / count, np.float32))
    return graph.node("MatMul", [judged, mean], "error.column")


def _rarity(graph: Graph, rarity: Rarity, residual: str, latent: int) -> str:
    """Both squared distances side by side, each by its curve, and the rarer of the two as a column. latent: its width."""
    white = graph.node("MatMul", [residual, graph.weight("rarity.whiten", rarity.whiten)], "rarity.white")
    displacement = graph.node("Sub", [white, graph.weight("rarity.centre", rarity.centre)], "rarity.displacement")
    both = graph.node("Concat", [displacement, "latent"], "rarity.both", axis=1)
    squared = graph.node("Mul", [both, both], "rarity.squared")
    widths = len(rarity.centre), latent
    of_each = graph.weight("rarity.of_each", np.repeat(np.eye(2, dtype=np.float32), widths, axis=0))
    distances = graph.node("MatMul", [squared, of_each], "rarity.distances")
    gathered = graph.node("Gather", [distances, graph.weight("rarity.measure", rarity.measure)], "rarity.each", axis=1)
    above = graph.node("Sub", [gathered, graph.weight("rarity.knots", rarity.knots)], "rarity.above")
    inverse_step = graph.weight("rarity.inverse_step", rarity.inverse_step)
    linear = graph.node("Mul", [above, inverse_step], "rarity.linear")
    passed = graph.node("Clip", [linear, "zero", "one"], "rarity.passed")
    inside = graph.node("MatMul", [passed, graph.weight("rarity.step", rarity.step)], "rarity.inside")
    outside = graph.node("Sub", [distances, graph.weight("rarity.last", rarity.last)], "rarity.outside")
    beyond = graph.node("Relu", [outside], "rarity.beyond")
    added = graph.node("Mul", [beyond, graph.weight("rarity.slope", rarity.slope)], "rarity.added")
    rare = graph.node("Add", [inside, added], "rarity.nats")
    first = graph.weight("rarity.first", np.array([[1.0], [0.0]], np.float32))
    difference = graph.weight("rarity.difference", np.array([[-1.0], [1.0]], np.float32))
    less = graph.weight("rarity.latent_less", np.float32(LATENT_LESS))
    rarer = graph.node("Sub", [graph.node("MatMul", [rare, difference], "rarity.compared"), less], "rarity.rarer")
    of_displacement = graph.node("MatMul", [rare, first], "rarity.of_displacement")
    return graph.node("Add", [of_displacement, graph.node("Relu", [rarer], "rarity.more")], "error.column")


def largest_difference(model: Fused, content: bytes, features: NDArray[np.float32]) -> float:
    """The largest difference between PyTorch and ONNX Runtime over all outputs, in the terms of TOLERANCE."""
    return _difference(model, content, torch.from_numpy(features))


def check_agreement(model: Fused, content: bytes, features: NDArray[np.float32]) -> float:
    """The largest difference of both computed in double, where only a wrong export differs. Raises ExportError.

    In float32 both round, each in its own order, and how far that moves a score is the model's; it must stay within what
    golden rows are held to wherever the bundle is loaded.
    """
    difference = _difference(copy.deepcopy(model).double(), in_double(content), torch.from_numpy(features), double=True)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"PyTorch and ONNX differ by {difference:.2e}, more than {TOLERANCE:.0e}: the export is wrong."
        )
    rounding = largest_difference(model, content, features)
    if not rounding <= GOLDEN_TOLERANCE:
        raise ExportError(
            f"PyTorch and ONNX differ by {rounding:.2e} in single precision, more than golden rows may "
            f"({GOLDEN_TOLERANCE:.0e}): the last digits of its inputs move its scores. Train it longer, or on more rows."
        )
    return difference


def in_double(content: bytes) -> bytes:
    """The same graph with weights, inputs and outputs of float64; trees compare and sum in float32, as they are served."""
    proto = onnx.load_from_string(content)
    for place, weight in enumerate(proto.graph.initializer):
        if weight.data_type == TensorProto.FLOAT:
            wide = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float64), weight.name)
            proto.graph.initializer[place].CopyFrom(wide)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for place in reversed([at for at, node in enumerate(proto.graph.node) if node.op_type == OPERATOR]):
        trees = proto.graph.node[place]
        cast = helper.make_node("Cast", [trees.input[0]], [f"{trees.output[0]}.float"], to=TensorProto.FLOAT)
        back = helper.make_node("Cast", [f"{trees.output[0]}.sum"], [trees.output[0]], to=TensorProto.DOUBLE)
        trees.input[0], trees.output[0] = cast.output[0], back.input[0]
        proto.graph.node.insert(place + 1, back)
        proto.graph.node.insert(place, cast)
    wide_content: bytes = proto.SerializeToString(deterministic=True)
    return wide_content


def _difference(model: Fused, content: bytes, features: Tensor, *, double: bool = False) -> float:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    differences = []
    for part in features.split(ROWS):
        rows = part.double() if double else part
        with torch.no_grad():
            expected = model(rows)
        actual = session.run(list(OUTPUTS), {INPUT: rows.numpy()})
        for name, e, a in zip(OUTPUTS, (tensor.numpy() for tensor in expected), actual, strict=True):
            scale = 100.0 if name == "anomaly_percentile" else np.maximum(1.0, np.abs(e))
            differences.append(float(np.max(np.abs(e - a) / scale)))
    return float(np.max(differences))  # NaN where one is
