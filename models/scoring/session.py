"""A bundle ready to score."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.bundle.graph import FEATURE_ERRORS, INPUT, has_trees, probability_alone
from models.bundle.load import Bundle
from models.scoring.bound import BUCKETS, BoundGraph, crossover, seconds
from models.scoring.devices import Device, DeviceError, create_session, reason_of
from models.scoring.scores import Scores
from models.scoring.tree_reasons import boxes_of

if TYPE_CHECKING:
    import onnxruntime

ROWS_STEP = 16
"""Batches are padded to a multiple of this: whole vectors for every kernel, so a row's bits never depend on its neighbours."""

SLICE_ROWS = {"cpu": 1024, "cuda": BUCKETS[-1]}
"""Rows per call of ONNX Runtime: more cost memory (2.5 KB a row) and gain no speed."""

QUICK_S, QUICK_TRIAL_ROWS = 0.001, 256


class ModelSession:
    """One bundle on one device. `run` may be called from any thread."""

    def __init__(self, bundle: Bundle, device: Device = "auto") -> None:
        """Raises DeviceError if `device` is not usable."""
        self.bundle = bundle
        if device != "cpu" and has_trees(bundle.model):
            if device == "cuda":
                raise DeviceError(
                    f"{bundle.manifest.name}/{bundle.manifest.version} has trees, which ONNX Runtime computes on the CPU "
                    "alone: set ASSAY_DEVICE=cpu or auto."
                )
            device = "cpu"
        self.trees = boxes_of(bundle.model)
        """Of which reasons are exact, where trees alone make the probability."""
        session, self.provider = create_session(bundle.model, device)
        self._session = session if self.provider == "cpu" else create_session(bundle.model, "cpu")[0]
        self._classifier = self._session
        if self.trees is None:  # reasons of trees alone take no rows, and they may be large
            self._classifier, _ = create_session(probability_alone(bundle.model), "cpu")
        trial = np.zeros((QUICK_TRIAL_ROWS, len(bundle.manifest.feature_spec.names)), np.float32)
        self.quick_rows_max = int(QUICK_TRIAL_ROWS * QUICK_S / seconds(partial(self._on_cpu, trial)))
        """Rows that take at most QUICK_S on the CPU, about what the way to another thread and back costs a busy event loop."""
        self._gpu: OnGpu | None = None
        self._cpu_rows_max = 0
        if self.provider == "cuda":
            self._gpu, self._cpu_rows_max = self._calibrated(session)
            self.quick_rows_max = min(self.quick_rows_max, self._cpu_rows_max)

    def _calibrated(self, session: "onnxruntime.InferenceSession") -> "tuple[OnGpu, int]":
        """The GPU, and up to how many rows the CPU was at least as fast, on this machine, just now. Raises DeviceError."""
        width = len(self.bundle.manifest.feature_spec.names)
        batches = [np.zeros((rows, width), np.float32) for rows in BUCKETS]
        try:
            gpu = OnGpu(BoundGraph(session, INPUT, Scores._fields, width))
            on_gpu = [seconds(partial(gpu.run, batch)) for batch in batches]
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise DeviceError(
                f"The GPU failed at its first batches: {reason_of(error)}. Is its memory free? Or set ASSAY_DEVICE=cpu."
            ) from error
        return gpu, crossover([seconds(partial(self._on_cpu, batch)) for batch in batches], on_gpu)

    @property
    def model_name(self) -> str:
        """Bundle name, version and provider, as scores carry it: fraud/1@cpu."""
        return f"{self.bundle.manifest.name}/{self.bundle.manifest.version}@{self.provider}"

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score float32[n, F], in the feature spec's order. On the CPU a row's bits are the same in any batch."""
        if self._gpu is None or len(matrix) <= self._cpu_rows_max:
            return self._on_cpu(matrix)
        return self._gpu.run(matrix)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """That of `run` alone, to the bit, float32[n] of float32[n, F], without what the anomaly score costs."""
        if self._gpu is not None and len(matrix) > self._cpu_rows_max:
            return self._gpu.run(matrix).probability
        return _in_slices(self._classifier, Scores._fields[:1], matrix)[0]

    def feature_errors(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The error of each feature, float32[n, F], on the CPU: the graph's output that no score is made of."""
        (errors,) = self._session.run([FEATURE_ERRORS], {INPUT: matrix})
        return np.asarray(errors)

    def _on_cpu(self, matrix: NDArray[np.float32]) -> Scores:
        return Scores(*_in_slices(self._session, Scores._fields, matrix))


class OnGpu:
    """The GPU's one thread: captured graphs belong to the thread that captured them."""

    def __init__(self, graph: BoundGraph) -> None:
        self._graph = graph
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gpu")

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Wait for the turn, and for the scores. Raises DeviceError: the records are not to blame for a GPU that fails."""
        try:
            return self._thread.submit(self._all, matrix).result()
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise DeviceError(f"The GPU failed: {reason_of(error)}. Look at its driver's log.") from error

    def _all(self, matrix: NDArray[np.float32]) -> Scores:
        return Scores(*_joined([self._graph.run(part) for part in _slices(matrix, SLICE_ROWS["cuda"])]))


def _in_slices(
    session: "onnxruntime.InferenceSession", outputs: Sequence[str], matrix: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """The outputs of float32[n, F] on the CPU."""
    return _joined([_on_steps(session, outputs, part) for part in _slices(matrix, SLICE_ROWS["cpu"])])


def _on_steps(
    session: "onnxruntime.InferenceSession", outputs: Sequence[str], matrix: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """The outputs of float32[n, F], the rows padded to whole steps meanwhile."""
    rows = len(matrix)
    padded = np.zeros((max(1, -(-rows // ROWS_STEP)) * ROWS_STEP, matrix.shape[1]), np.float32)
    padded[:rows] = matrix
    return [column[:rows] for column in session.run(outputs, {INPUT: padded})]


def _slices(matrix: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    return [matrix[start : start + size] for start in range(0, max(1, len(matrix)), size)]


def _joined(parts: list[list[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    """Columns of all rows, of the columns of each part."""
    return parts[0] if len(parts) == 1 else [np.concatenate(columns) for columns in zip(*parts, strict=True)]
