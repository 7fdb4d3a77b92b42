"""Where a model runs: the CPU, or a GPU that was really there when asked."""

from typing import Literal

import onnxruntime

Device = Literal["auto", "cpu", "cuda"]
Provider = Literal["cpu", "cuda"]

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"

CUDA_OPTIONS = {"use_tf32": "0", "enable_cuda_graph": "1"}
"""TF32 keeps 10 bits of a factor, too few for scores within 1e-4 of the CPU's. A captured graph runs on bound buffers only, so
a session on CUDA is run by `BoundGraph`."""


class DeviceError(ValueError):
    """The device asked for is not usable here: one sentence that says what to do."""


def create_session(model: bytes, device: Device) -> tuple[onnxruntime.InferenceSession, Provider]:
    """An ONNX Runtime session on `device`; auto takes CUDA where it works, else the CPU. Raises DeviceError.

    ONNX Runtime falls back to the CPU in silence when CUDA fails to start, so the session is asked what it runs on.
    """
    offered = onnxruntime.get_available_providers()
    if device != "cpu" and _CUDA in offered:
        session = open_session(model, [(_CUDA, CUDA_OPTIONS), _CPU])
        if session.get_providers()[0] == _CUDA:
            return session, "cuda"
    if device == "cuda":
        why = (
            "ONNX Runtime could not start CUDA (is there a GPU with its driver?)"
            if _CUDA in offered
            else "this ONNX Runtime is built without CUDA (install assay-scoring[gpu] in place of [cpu])"
        )
        raise DeviceError(f"Device cuda is not usable: {why}; or set ASSAY_DEVICE=cpu.")
    return open_session(model, [_CPU]), "cpu"


def open_session(model: bytes | str, providers: list[str | tuple[str, dict[str, str]]]) -> onnxruntime.InferenceSession:
    """A session as every scorer has it, of a graph's bytes or (benchmarks only) its path."""
    options = onnxruntime.SessionOptions()
    # One core a session: partitions are what runs in parallel. Spinning threads would take the cores from them.
    options.intra_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=providers)
