"""The nodes and weights of an ONNX graph, written one by one."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from models.bundle.graph_trees import DOMAIN, OPERATOR


class Graph:
    """Nodes and weights in the order they were added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: Tensor | NDArray[np.generic]) -> str:
        """Add a weight, and return its name."""
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        domain = DOMAIN if operator == OPERATOR else None
        self.nodes.append(helper.make_node(operator, inputs, [output], output, domain=domain, **attributes))
        return output

    def linear(self, layer: nn.Linear, inputs: str, output: str, slope: float = 1.0, intercept: float = 0.0) -> str:
        """slope * layer(inputs) + intercept, as one Gemm."""
        weight = self.weight(f"{output}.weight", layer.weight.T * slope)
        bias = self.weight(f"{output}.bias", layer.bias * slope + intercept)
        return self.node("Gemm", [inputs, weight, bias], output)

    def relu_stack(self, layers: nn.ModuleList, inputs: str, prefix: str) -> str:
        """The layers with a ReLU after each; returns the last output's name."""
        for index, layer in enumerate(layers):
            inputs = self.node("Relu", [self.linear(layer, inputs, f"{prefix}.{index}")], f"{prefix}.{index}.relu")
        return inputs
