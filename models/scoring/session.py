"""A bundle ready to score."""

import contextlib
import threading

import numpy as np
from numpy.typing import NDArray

from models.bundle.graph import INPUT
from models.bundle.load import Bundle
from models.scoring.devices import Device, create_session
from models.scoring.scores import Scores

ROWS_STEP = 16
"""Batches are padded to a multiple of this: whole vectors for every kernel, so a row's bits never depend on its neighbours."""

SLICE_ROWS = {"cpu": 1024, "cuda": 16_384}
"""Rows per call of ONNX Runtime: more cost memory (2.5 KB a row) and gain no speed."""


class ModelSession:
    """One bundle on one device. `run` may be called from any thread."""

    def __init__(self, bundle: Bundle, device: Device = "auto") -> None:
        """Raises DeviceError if `device` is not usable."""
        self.bundle = bundle
        self._session, self.provider = create_session(bundle.model, device)
        # ONNX Runtime's CUDA provider does not take concurrent runs; the CPU's does.
        self._turn = threading.Lock() if self.provider == "cuda" else contextlib.nullcontext()

    @property
    def model_name(self) -> str:
        """Bundle name, version and provider, as scores carry it: fraud/1@cpu."""
        return f"{self.bundle.manifest.name}/{self.bundle.manifest.version}@{self.provider}"

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score float32[n, F], in the feature spec's order. On the CPU a row's bits are the same in any batch."""
        size = SLICE_ROWS[self.provider]
        parts = [self._run_slice(matrix[start : start + size]) for start in range(0, max(1, len(matrix)), size)]
        return (
            parts[0] if len(parts) == 1 else Scores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        )

    def _run_slice(self, matrix: NDArray[np.float32]) -> Scores:
        rows = len(matrix)
        padded = np.zeros((max(1, -(-rows // ROWS_STEP)) * ROWS_STEP, matrix.shape[1]), np.float32)
        padded[:rows] = matrix
        with self._turn:
            columns = self._session.run(Scores._fields, {INPUT: padded})
        return Scores(*(column[:rows] for column in columns))
