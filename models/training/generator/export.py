"""A generator as one ONNX graph: noise in, levels out, every linear layer one Gemm."""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

from models.generation.artefact import INPUT, OUTPUT
from models.networks.gan import Generator
from models.training.export import IR_VERSION, OPSET, TOLERANCE, ExportError
from models.training.onnx_graph import Graph


def export_generator(generator: Generator, name: str) -> bytes:
    """The graph as ONNX bytes; of a generator of numbers alone."""
    assert not generator.flags, "payments have no categories"
    graph = Graph()
    hidden = graph.relu_stack(generator.hidden, INPUT, "hidden")
    graph.node("Sigmoid", [graph.linear(generator.output, hidden, "logits")], OUTPUT)
    body = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", generator.shape.noise])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", generator.output.out_features])],
        graph.weights,
    )
    proto = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="assay"
    )
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def check_generator(generator: Generator, content: bytes, seed: int, rows: int = 1_000) -> float:
    """The largest difference between PyTorch and ONNX Runtime on drawn and extreme noise, or ExportError above TOLERANCE."""
    noise = np.random.default_rng(seed).standard_normal((rows, generator.shape.noise), np.float32)
    noise[:4] = np.array([[0.0], [6.0], [-6.0], [1e3]])
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = torch.cat(generator.parts(torch.from_numpy(noise)), dim=1).numpy()
    difference = float(np.max(np.abs(expected - session.run([OUTPUT], {INPUT: noise})[0])))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"PyTorch and ONNX differ by {difference:.2e}, more than {TOLERANCE:.0e}: the export is wrong."
        )
    return difference
