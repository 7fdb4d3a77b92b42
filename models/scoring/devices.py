"""Where a model runs: the CPU, or a GPU that was really there when asked."""

import contextlib
import functools
import re
import sys
from typing import TYPE_CHECKING, Any, Literal

from models.installation import lacking

if TYPE_CHECKING:
    import onnxruntime

Device = Literal["auto", "cpu", "cuda"]
Provider = Literal["cpu", "cuda"]

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"

CUDA_OPTIONS = {"use_tf32": "0", "enable_cuda_graph": "1"}
"""TF32 keeps 10 bits of a factor, too few for scores within 1e-4 of the CPU's. A captured graph runs on bound buffers only, so
a session on CUDA is run by `BoundGraph`."""


class DeviceError(OSError, ValueError):
    """The device asked for is not usable here: one sentence that says what to do."""


def create_session(model: bytes | str, device: Device) -> "tuple[onnxruntime.InferenceSession, Provider]":
    """An ONNX Runtime session on `device`; auto takes CUDA where it works, else the CPU. Raises DeviceError.

    model: a graph's bytes, or (benchmarks only) its path.
    A CUDA that does not start shows in two ways: an error where its libraries are there and the card is not, and a session on
    the CPU, without a warning, where the libraries are not. So the session is asked what it runs on.
    """
    offered = _CUDA in _runtime().get_available_providers()
    why = "this ONNX Runtime is built without CUDA (install assay-scoring[gpu] in place of [cpu])"
    if device != "cpu" and offered:
        why = "ONNX Runtime could not start CUDA (is there a GPU with its driver?)"
        _load_libraries()
        try:
            session = open_session(model, [(_CUDA, CUDA_OPTIONS), _CPU])
            if session.get_providers()[0] == _CUDA:
                return session, "cuda"
        except Exception as error:  # ONNX Runtime's errors have no common base
            why = f"{why}: {reason_of(error)}"
    if device == "cuda":
        raise DeviceError(f"Device cuda is not usable: {why}; or set ASSAY_DEVICE=cpu.")
    return open_session(model, [_CPU]), "cpu"


@functools.cache  # once a process: what is loaded stays, and a swap makes sessions while others score
def _load_libraries() -> None:
    """Libraries of CUDA that pip installed are found by this only; what it does not find, the session says."""
    with contextlib.redirect_stdout(sys.stderr):
        _runtime().preload_dlls()


def reason_of(error: Exception) -> str:
    """What an error of ONNX Runtime's says: its own trace, which names files and the host, left out."""
    text = str(error).strip() or type(error).__name__
    found = re.search(r"CUDA failure \d+: [^;]+", text)
    return (found.group() if found else text.splitlines()[0])[:200].strip()


def open_session(
    model: bytes | str, providers: list[str | tuple[str, dict[str, str]]]
) -> "onnxruntime.InferenceSession":
    """A session as every scorer has it."""
    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    # One core a session: partitions are what runs in parallel. Spinning threads would take the cores from them.
    options.intra_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    # Its own fallback prints to the standard output, which belongs to what a command answers.
    return onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)


def _runtime() -> Any:
    """The module onnxruntime. Raises DeviceError where it is not installed."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise DeviceError(lacking("Scoring needs", error, "cpu")) from None
    return onnxruntime
