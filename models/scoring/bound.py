"""A graph bound to buffers of its own, one set for each size of batch: what a GPU needs to score without allocating.

On CUDA each set is captured as one CUDA graph at its first run, and replayed after: one launch instead of one for each
operator. See "I/O Binding" and "Using CUDA Graphs" of https://onnxruntime.ai/docs: fixed shapes and addresses, one
`gpu_graph_id` for each capture, and never a run from a second thread: each thread has captures of its own.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.scoring.page_lock import page_lock

if TYPE_CHECKING:
    import onnxruntime

BUCKETS = (16, 64, 256, 1024, 4096, 16_384)
"""Sizes of batches; a batch is padded to the next one."""

CALIBRATION_RUNS = 3


class _Bucket:
    """The buffers of one size: a host's to fill, the device's in and out."""

    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        entry: str,
        outputs: Sequence[str],
        shape: tuple[int, int],
        device: str,
    ) -> None:
        import onnxruntime  # here, since a session is made of it already

        self.host = np.zeros(shape, np.float32)
        self.input = onnxruntime.OrtValue.ortvalue_from_numpy(self.host.copy(), device, 0)
        self.binding = session.io_binding()
        self.binding.bind_ortvalue_input(entry, self.input)
        self.outputs = []
        for name in outputs:
            value = onnxruntime.OrtValue.ortvalue_from_shape_and_type([shape[0]], np.float32, device, 0)
            self.binding.bind_ortvalue_output(name, value)
            self.outputs.append(value)
        self.options = onnxruntime.RunOptions()
        self.page_locked = device == "cuda" and page_lock(self, self.host)
        if device == "cuda":
            self.options.add_run_config_entry("gpu_graph_id", str(shape[0]))


class BoundGraph:
    """One session, run in buckets. On CUDA all runs must come from one thread."""

    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        entry: str,
        outputs: Sequence[str],
        width: int,
        buckets: Sequence[int] = BUCKETS,
        device: str = "cuda",
    ) -> None:
        """entry: the input float32[n, width]. outputs: names of outputs float32[n]. device: where the buffers are."""
        self._session = session
        self._buckets = {rows: _Bucket(session, entry, outputs, (rows, width), device) for rows in sorted(buckets)}

    @property
    def page_locked(self) -> bool:
        """Whether the card copies from the buffers directly."""
        return all(bucket.page_locked for bucket in self._buckets.values())

    def run(self, matrix: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The outputs, float32[n] each, for float32[n, width] of at most the largest bucket's rows."""
        rows = len(matrix)
        bucket = next(found for size, found in self._buckets.items() if size >= rows)
        bucket.host[:rows] = matrix
        bucket.host[rows:] = 0.0
        bucket.input.update_inplace(bucket.host)
        self._session.run_with_iobinding(bucket.binding, bucket.options)
        return [value.numpy()[:rows].copy() for value in bucket.outputs]


def seconds(work: Callable[[], object]) -> float:
    """The best of a few runs, after one that allocates and captures."""
    work()
    taken = []
    for _ in range(CALIBRATION_RUNS):
        begun_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun_s)
    return min(taken)


def crossover(cpu_s: Sequence[float], gpu_s: Sequence[float], buckets: Sequence[int] = BUCKETS) -> int:
    """Rows up to which the CPU is at least as fast: the bucket before the first at which the GPU is faster; 0 for none."""
    rows_max = 0
    for rows, cpu, gpu in zip(buckets, cpu_s, gpu_s, strict=True):
        if gpu < cpu:
            break
        rows_max = rows
    return rows_max
