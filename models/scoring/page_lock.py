"""Host memory that a card copies from directly. Pageable memory goes through a buffer of the driver's first.

ONNX Runtime has no such buffer for Python before 1.28, so CUDA's own `cudaHostRegister` is called: see "Memory Management" of
https://docs.nvidia.com/cuda/cuda-runtime-api.
"""

import ctypes
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray


def page_lock(owner: object, buffer: NDArray[np.float32]) -> bool:
    """Lock a buffer's pages for as long as its owner lives. False where that failed: copies are then slower, and right."""
    runtime = _runtime()
    if runtime is None:
        return False
    address = ctypes.c_void_p(buffer.ctypes.data)
    if runtime.cudaHostRegister(address, ctypes.c_size_t(buffer.nbytes), ctypes.c_uint(0)) != 0:
        return False
    weakref.finalize(owner, _unlock, runtime, buffer)
    return True


def _unlock(runtime: Any, buffer: NDArray[np.float32]) -> None:
    """Before the memory is freed, which the reference to it here makes sure of."""
    runtime.cudaHostUnregister(ctypes.c_void_p(buffer.ctypes.data))


def _runtime() -> Any:
    """The CUDA runtime that ONNX Runtime was built for; None where there is none."""
    import onnxruntime  # here, since a session is made of it already

    version = getattr(onnxruntime, "cuda_version", "")
    try:
        return ctypes.CDLL(f"libcudart.so.{version.split('.')[0]}") if version else None
    except OSError:
        return None
