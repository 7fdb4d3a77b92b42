"""What every contender shares: the message, the graph, and the naive per-card state of those that have no features."""

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

BOOTSTRAP = os.environ.get("BENCH_BOOTSTRAP", "127.0.0.1:9092")
BUNDLE = Path(os.environ.get("ASSAY_BUNDLE", "deploy/bundles/fraud"))


class Payment(msgspec.Struct):
    """The input, as a lean program would declare it."""

    transaction_id: str
    event_time_ms: int
    card_id: str
    terminal_id: str
    amount: float


class LeanScore(msgspec.Struct):
    """The output of the lean programs."""

    transaction_id: str
    event_time_ms: int
    card_id: str
    probability: float
    reconstruction_error: float
    alert: bool
    model: str


def session() -> Any:
    """The bundle's own graph, so that every contender computes the same."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = (BUNDLE / "model.onnx").read_bytes()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


OUTPUTS = ["probability", "reconstruction_error"]

_counts: dict[str, list[float]] = {}


def matrix(payments: list[Payment], features: int) -> NDArray[np.float32]:
    """float32[n, F]: the card's count and mean, the amount, then a constant."""
    rows = np.full((len(payments), features), 0.5, np.float32)
    for i, payment in enumerate(payments):
        state = _counts.setdefault(payment.card_id, [0.0, 0.0])
        state[0] += 1.0
        state[1] += payment.amount
        rows[i, 0], rows[i, 1], rows[i, 2] = payment.amount, state[0], state[1] / state[0]
    return rows
