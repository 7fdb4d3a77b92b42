"""The graph that is being written from a foreign one, value by value."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.bundle.graph import INPUT, OUTPUTS
from models.bundle.graph_trees import DOMAIN, OPERATOR
from models.foreign.reading import Foreign, ForeignModelError, needed


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
