"""The device that networks are fitted on, always with the same bits: a CUDA device where there is one."""

import os
from contextlib import AbstractContextManager

import torch

THREADS = 1
"""Fixed: sums in another order are other bits. Two threads are 1.4 times as fast on an idle machine, and on a busy one spin."""


def deterministic_torch(seed: int) -> torch.device:
    """Seed every draw and allow deterministic kernels alone. Returns the device to fit on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS's sums may differ from run to run
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where it helps: for the products on CUDA. It has float32's range, so the loss needs no scaling.

    Losses, weights and everything on the CPU stay float32. Micikevicius et al., "Mixed Precision Training", 2018.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
