"""The CUDA path: scores within the tolerance in every bucket, captured graphs that replay, and the choice of the device."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from models.bundle.graph import INPUT
from models.bundle.load import load_bundle
from models.scoring.bound import BUCKETS, BoundGraph
from models.scoring.devices import create_session
from models.scoring.golden import TOLERANCE, check_golden
from models.scoring.scores import Scores
from models.scoring.session import ModelSession

pytestmark = pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers() or shutil.which("nvidia-smi") is None,
    reason="needs an NVIDIA GPU with its driver, and onnxruntime-gpu: install assay-scoring[gpu] in place of [cpu]",
)

BUNDLE = load_bundle(Path("deploy/bundles/fraud"))
WIDTH = len(BUNDLE.manifest.feature_spec.names)
SCALES = {"probability": 1.0, "reconstruction_error": 1.0, "anomaly_percentile": 100.0}


def rows(count: int) -> NDArray[np.float32]:
    """Rows over the range of each feature."""
    edges = [np.array(histogram.edges) for histogram in BUNDLE.reference.features]
    random = np.random.default_rng(count)
    return np.stack([random.uniform(e[0], e[-1] + 1.0, count) for e in edges], axis=1).astype(np.float32)


def agree(found: Scores, expected: Scores) -> None:
    """Within the tolerance: of each score's range, and of an error above 1, of itself."""
    for name, on_gpu, on_cpu in zip(Scores._fields, found, expected, strict=True):
        scale = SCALES[name] * np.maximum(1.0, np.abs(on_cpu) if name == "reconstruction_error" else 1.0)
        assert float(np.max(np.abs(on_gpu - on_cpu) / scale)) <= TOLERANCE, name


@pytest.fixture(scope="module")
def gpu() -> BoundGraph:
    """The committed graph on the GPU, whatever the calibration would choose."""
    session, provider = create_session(BUNDLE.model, "cuda")
    assert provider == "cuda"
    return BoundGraph(session, INPUT, Scores._fields, WIDTH)


@pytest.mark.parametrize("count", [1, *BUCKETS, 1000, 3])
def test_every_bucket_agrees_with_the_cpu_and_replays(gpu: BoundGraph, count: int) -> None:
    """Captured at the first run, replayed with other rows at the next ones."""
    cpu = ModelSession(BUNDLE, "cpu")
    for matrix in (rows(count), rows(count) * np.float32(0.5), rows(count)):
        agree(Scores(*gpu.run(matrix)), cpu.run(matrix))


def test_a_session_on_the_gpu_scores_its_golden_rows_and_shares_threads() -> None:
    """The whole path as a scorer has it, calibration included."""
    session = ModelSession(BUNDLE, "cuda")
    assert session.model_name.endswith("@cuda")
    check_golden(session)
    matrix = rows(20_000)
    expected = ModelSession(BUNDLE, "cpu").run(matrix)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: session.run(matrix), range(8)):
            agree(found, expected)
