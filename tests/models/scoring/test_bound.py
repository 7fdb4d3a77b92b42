"""A graph on bound buffers scores as the plain one; the CPU takes the batches for which it is the faster."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle.graph import INPUT
from models.bundle.load import load_bundle
from models.scoring.bound import BoundGraph, crossover
from models.scoring.devices import create_session
from models.scoring.scores import Scores
from models.scoring.session import ModelSession

BUNDLE = load_bundle(Path("deploy/bundles/fraud"))
WIDTH = len(BUNDLE.manifest.feature_spec.names)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 64, 200, 256])
def test_bound_buffers_give_the_bits_of_the_plain_session(count: int) -> None:
    """The binding, its padding and its reuse, with buffers on the CPU: a small batch after a large one sees nothing of it."""
    session, _ = create_session(BUNDLE.model, "cpu")
    bound = BoundGraph(session, INPUT, Scores._fields, WIDTH, (16, 64, 256), device="cpu")
    random = np.random.default_rng(count)
    bound.run(random.uniform(0, 500, (256, WIDTH)).astype(np.float32))
    matrix = random.uniform(0, 500, (count, WIDTH)).astype(np.float32)
    expected = ModelSession(BUNDLE, "cpu").run(matrix)
    first, second = bound.run(matrix), bound.run(matrix)
    assert [column.tobytes() for column in first] == [column.tobytes() for column in expected]
    assert [column.tobytes() for column in second] == [column.tobytes() for column in expected]


@pytest.mark.parametrize(
    ("cpu_s", "gpu_s", "rows"),
    [
        ([1.0, 2.0, 4.0], [3.0, 3.0, 3.0], 64),
        ([1.0, 2.0, 4.0], [0.5, 3.0, 3.0], 0),
        ([1.0, 2.0, 4.0], [1.0, 2.0, 4.0], 256),
        ([4.0, 2.0, 1.0], [3.0, 3.0, 3.0], 0),
    ],
)
def test_the_cpu_takes_batches_up_to_the_first_that_the_gpu_is_faster_at(
    cpu_s: list[float], gpu_s: list[float], rows: int
) -> None:
    """A tie is the CPU's, whose bits never change; a bucket beyond the first win is not looked at."""
    assert crossover(cpu_s, gpu_s, (16, 64, 256)) == rows
