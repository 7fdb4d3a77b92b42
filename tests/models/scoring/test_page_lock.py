"""Pages are locked while their owner lives, and where CUDA cannot lock them nothing else changes."""

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

from models.scoring import page_lock as module
from models.scoring.page_lock import page_lock


class Owner:
    """Something that lives and ends."""


class Runtime:
    """The two functions of CUDA's runtime, with what they were asked."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.locked: list[tuple[int | None, int]] = []
        self.unlocked: list[int | None] = []

    def cudaHostRegister(self, address: ctypes.c_void_p, size: ctypes.c_size_t, _: ctypes.c_uint) -> int:  # noqa: N802
        """The address and the bytes."""
        self.locked.append((address.value, size.value))
        return self.answer

    def cudaHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802
        """The address."""
        self.unlocked.append(address.value)
        return 0


def test_pages_stay_locked_while_the_owner_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlocked with the owner, before the memory is freed."""
    runtime, owner = Runtime(0), Owner()
    monkeypatch.setattr(module, "_runtime", lambda: runtime)
    buffer = np.zeros((16, 4), np.float32)
    address = buffer.ctypes.data
    assert page_lock(owner, buffer)
    del buffer
    gc.collect()
    assert (runtime.locked, runtime.unlocked) == ([(address, 256)], [])
    del owner
    gc.collect()
    assert runtime.unlocked == [address]


@pytest.mark.parametrize("runtime", [None, Runtime(2)])
def test_memory_that_cannot_be_locked_stays_as_it_is(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No runtime, or one that says no (2: out of memory): nothing to undo either."""
    monkeypatch.setattr(module, "_runtime", lambda: runtime)
    owner = Owner()
    assert not page_lock(owner, np.zeros(16, np.float32))
    del owner
    gc.collect()
    assert runtime is None or runtime.unlocked == []
