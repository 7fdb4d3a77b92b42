"""A bundle ready to score."""

import threading
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.bundle.graph import INPUT
from models.bundle.load import Bundle
from models.scoring.bound import BUCKETS, BoundGraph, crossover, seconds
from models.scoring.devices import Device, create_session
from models.scoring.scores import Scores

ROWS_STEP = 16
"""Batches are padded to a multiple of this: whole vectors for every kernel, so a row's bits never depend on its neighbours."""

SLICE_ROWS = {"cpu": 1024, "cuda": BUCKETS[-1]}
"""Rows per call of ONNX Runtime: more cost memory (2.5 KB a row) and gain no speed."""


class ModelSession:
    """One bundle on one device. `run` may be called from any thread."""

    def __init__(self, bundle: Bundle, device: Device = "auto") -> None:
        """Raises DeviceError if `device` is not usable."""
        self.bundle = bundle
        session, self.provider = create_session(bundle.model, device)
        self._gpu: BoundGraph | None = None
        self._cpu_rows_max = 0
        # ONNX Runtime's CUDA provider does not take concurrent runs; the CPU's does.
        self._turn = threading.Lock()
        if self.provider == "cuda":
            width = len(bundle.manifest.feature_spec.names)
            self._gpu = BoundGraph(session, INPUT, Scores._fields, width)
            session, _ = create_session(bundle.model, "cpu")
        self._session = session
        if self._gpu is not None:
            self._calibrate(self._gpu, width)

    def _calibrate(self, gpu: BoundGraph, width: int) -> None:
        """Which batches the CPU takes: those for which it was at least as fast, on this machine, just now."""
        sizes = {rows: np.zeros((rows, width), np.float32) for rows in BUCKETS}
        on_gpu = [seconds(partial(gpu.run, matrix)) for matrix in sizes.values()]
        on_cpu = [seconds(partial(self._on_cpu, matrix)) for matrix in sizes.values()]
        self._cpu_rows_max = crossover(on_cpu, on_gpu)

    @property
    def model_name(self) -> str:
        """Bundle name, version and provider, as scores carry it: fraud/1@cpu."""
        return f"{self.bundle.manifest.name}/{self.bundle.manifest.version}@{self.provider}"

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score float32[n, F], in the feature spec's order. On the CPU a row's bits are the same in any batch."""
        if self._gpu is None or len(matrix) <= self._cpu_rows_max:
            return self._on_cpu(matrix)
        size = SLICE_ROWS["cuda"]
        with self._turn:
            return _joined([Scores(*self._gpu.run(part)) for part in _slices(matrix, size)])

    def _on_cpu(self, matrix: NDArray[np.float32]) -> Scores:
        return _joined([self._run_slice(part) for part in _slices(matrix, SLICE_ROWS["cpu"])])

    def _run_slice(self, matrix: NDArray[np.float32]) -> Scores:
        rows = len(matrix)
        padded = np.zeros((max(1, -(-rows // ROWS_STEP)) * ROWS_STEP, matrix.shape[1]), np.float32)
        padded[:rows] = matrix
        columns = self._session.run(Scores._fields, {INPUT: padded})
        return Scores(*(column[:rows] for column in columns))


def _slices(matrix: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    return [matrix[start : start + size] for start in range(0, max(1, len(matrix)), size)]


def _joined(parts: list[Scores]) -> Scores:
    return parts[0] if len(parts) == 1 else Scores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
