"""Mixed likelihoods as nodes: `models.networks.likelihood` in standard operators."""

import numpy as np

from models.networks.likelihood import LOGIT_MAX, PROBABILITY_MIN, MixedLikelihood
from models.training.onnx_graph import Graph


def nats(graph: Graph, likelihood: MixedLikelihood, encoded: str, outputs: str, output: str) -> str:
    """Nodes for the nats of each feature; the weights `zero` and `one` are there. Returns `output`."""
    graph.weight("probability.rest", np.float32(1.0 - PROBABILITY_MIN))
    graph.weight("probability.least", np.float32(PROBABILITY_MIN))
    parts = []
    if likelihood.share.any():
        parts.append(_of_numbers(graph, likelihood, encoded, outputs))
    if likelihood.gate.shape[1]:
        parts.append(_of_gates(graph, likelihood, encoded, outputs))
    if len(likelihood.value):
        parts.append(_of_categories(graph, likelihood, encoded, outputs))
    total = parts[0]
    for number, part in enumerate(parts[1:], 1):
        total = graph.node("Add", [total, part], f"nats.{number}")
    return graph.node("Relu", [total], output)


def _of_numbers(graph: Graph, likelihood: MixedLikelihood, encoded: str, outputs: str) -> str:
    bins = graph.weight("number.bin", np.arange(len(likelihood.share)))
    logits = graph.node("Gather", [outputs, bins], "number.logit", axis=1)
    residual = graph.node("Sub", [graph.node("Sigmoid", [logits], "number.mean"), encoded], "number.residual")
    squared = graph.node("Mul", [residual, residual], "number.squared")
    precision = graph.weight("number.precision", likelihood.share * likelihood.precision)
    nats = graph.node("MatMul", [squared, precision], "number.nats")
    always = graph.weight("number.always", likelihood.always)
    if not likelihood.gate.shape[1]:
        return graph.node("Mul", [nats, always], "number.judged")
    gated = graph.weight("number.gated", likelihood.gated_numbers)
    above = graph.node("MatMul", [_gates(graph, likelihood, encoded), gated], "number.above")
    return graph.node("Mul", [nats, graph.node("Add", [above, always], "number.counts")], "number.judged")


def _gates(graph: Graph, likelihood: MixedLikelihood, encoded: str) -> str:
    """1 above the lowest value, 0 at it; the nodes once."""
    if "gate" not in {node.name for node in graph.nodes}:
        risen = graph.node("MatMul", [encoded, graph.weight("gate.step", likelihood.gate)], "gate.risen")
        graph.node("Clip", [risen, "zero", "one"], "gate")
    return "gate"


def _of_gates(graph: Graph, likelihood: MixedLikelihood, encoded: str, outputs: str) -> str:
    logits = graph.node("Gather", [outputs, graph.weight("gate.place", likelihood.gate_place)], "gate.logit", axis=1)
    gates = _gates(graph, likelihood, encoded)
    doubled = graph.node("Add", [gates, gates], "gate.doubled")
    side = graph.node("Sub", [doubled, "one"], "gate.side")
    probability = graph.node("Sigmoid", [graph.node("Mul", [side, logits], "gate.own")], "gate.probability")
    part = graph.node("Mul", [probability, "probability.rest"], "gate.part")
    likely = graph.node("Log", [graph.node("Add", [part, "probability.least"], "gate.raised")], "gate.log")
    return graph.node("MatMul", [likely, graph.weight("gate.feature", -likelihood.gated)], "gate.nats")


def _of_categories(graph: Graph, likelihood: MixedLikelihood, encoded: str, outputs: str) -> str:
    places, group = graph.weight("value.place", likelihood.value), graph.weight("value.group", likelihood.group)
    least, most = (graph.weight(f"value.{name}", np.float32(bound)) for name, bound in _BOUNDS.items())
    logits = graph.node("Clip", [graph.node("Gather", [outputs, places], "value.logit", axis=1), least, most], "value")
    shares = graph.node("Softmax", [logits], "value.share", axis=1)
    own = graph.node("Mul", [shares, graph.node("Gather", [encoded, places], "value.is", axis=1)], "value.own")
    whole = graph.node("MatMul", [shares, group], "category.whole")
    part = graph.node("Mul", [graph.node("MatMul", [own, group], "category.own"), "probability.rest"], "category.part")
    floor = graph.node("Mul", [whole, "probability.least"], "category.floor")
    likely = graph.node("Log", [graph.node("Add", [part, floor], "category.raised")], "category.log")
    nats = graph.node("Sub", [graph.node("Log", [whole], "category.log.whole"), likely], "category.surprise")
    return graph.node("MatMul", [nats, graph.weight("category.feature", likelihood.of_category)], "category.nats")


_BOUNDS = {"least": -LOGIT_MAX, "most": LOGIT_MAX}
