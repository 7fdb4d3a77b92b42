"""Graphs with random weights, for speed alone: the reference network's shape, and VAEs many times as wide. Needs extra `train`.

The weights lie in a file beside the graph (a wide VAE has more than the 2 GB that one ONNX file may hold), and every matrix
reads the same block of random numbers again: what they are does not change how long they take.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

INPUT = "features"
OUTPUTS = ("probability", "reconstruction_error")
WIDTHS = (100, 256, 128, 64, 32, 64, 128, 256, 100)
"""The reference VAE; 100 inputs and outputs stay as they are, what lies between is made wider."""

CLASSIFIER = (8, 10, 1)
BLOCK = 1 << 22
"""Random numbers in the file of weights, repeated as often as needed."""


class Builder:
    """A graph in the making."""

    def __init__(self, weights: str) -> None:
        self._weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.multiplications = 0
        self.numbers = 0

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        """Of the file; every weight begins where the file does."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        size = int(np.prod(shape))
        for key, value in (("location", self._weights), ("offset", "0"), ("length", str(4 * size))):
            tensor.external_data.add(key=key, value=value)
        self.initializers.append(tensor)
        self.numbers = max(self.numbers, size)
        return name

    def dense(self, source: str, inputs: int, outputs: int, name: str, activation: str) -> str:
        """One layer."""
        weight, bias = self.weight(f"{name}.weight", (inputs, outputs)), self.weight(f"{name}.bias", (outputs,))
        self.nodes.append(helper.make_node("Gemm", [source, weight, bias], [f"{name}.sum"]))
        self.nodes.append(helper.make_node(activation, [f"{name}.sum"], [name]))
        self.multiplications += inputs * outputs
        return name

    def constant(self, name: str, values: list[int]) -> str:
        """Small integers, inside the graph."""
        self.initializers.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name


def widths(times: int) -> tuple[int, ...]:
    """Of the VAE, `times` as wide."""
    return (WIDTHS[0], *(times * width for width in WIDTHS[1:-1]), WIDTHS[-1])


def build(directory: Path, times: int) -> tuple[Path, int]:
    """Write the graph and its weights; its path, and the floating-point operations of one row (two a multiplication)."""
    path, builder = directory / f"wide-{times}.onnx", Builder(f"wide-{times}.weights")
    layers = widths(times)
    zero, eight, one = (builder.constant(name, [value]) for name, value in (("zero", 0), ("eight", 8), ("one", 1)))
    builder.nodes.append(helper.make_node("Slice", [INPUT, zero, eight, one], ["eight_inputs"]))
    value = "eight_inputs"
    for place, (a, b) in enumerate(pairwise(CLASSIFIER)):
        value = builder.dense(value, a, b, f"c{place}", "Relu" if b > 1 else "Sigmoid")
    builder.nodes.append(helper.make_node("Squeeze", [value, one], [OUTPUTS[0]]))
    value = INPUT
    for place, (a, b) in enumerate(pairwise(layers)):
        value = builder.dense(value, a, b, f"v{place}", "Sigmoid" if place == len(layers) - 2 else "Relu")
    builder.nodes.append(helper.make_node("Sub", [INPUT, value], ["difference"]))
    builder.nodes.append(helper.make_node("Mul", ["difference", "difference"], ["square"]))
    builder.nodes.append(helper.make_node("ReduceMean", ["square", one], [OUTPUTS[1]], keepdims=0))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        builder.nodes,
        path.stem,
        [info(INPUT, TensorProto.FLOAT, ["n", WIDTHS[0]])],
        [info(name, TensorProto.FLOAT, ["n"]) for name in OUTPUTS],
        builder.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    block = np.random.default_rng(7).normal(0, 0.05, BLOCK).astype(np.float32)
    with (directory / f"wide-{times}.weights").open("wb") as file:
        for start in range(0, builder.numbers, BLOCK):
            file.write(block[: builder.numbers - start].tobytes())
    return path, 2 * builder.multiplications


def product(directory: Path, size: int) -> Path:
    """One square matrix product, the most that a device can be kept busy with."""
    path, builder = directory / f"product-{size}.onnx", Builder(f"product-{size}.weights")
    weight = builder.weight("weight", (size, size))
    builder.nodes.append(helper.make_node("MatMul", [INPUT, weight], ["product"]))
    builder.nodes.append(
        helper.make_node("ReduceMean", ["product", builder.constant("one", [1])], ["mean"], keepdims=0)
    )
    info = helper.make_tensor_value_info
    shape: list[str | int] = ["n", size]
    entry, out = info(INPUT, TensorProto.FLOAT, shape), info("mean", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(builder.nodes, path.stem, [entry], [out], builder.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    block = np.random.default_rng(7).normal(0, 0.05, size * size).astype(np.float32)
    (directory / f"product-{size}.weights").write_bytes(block.tobytes())
    return path
