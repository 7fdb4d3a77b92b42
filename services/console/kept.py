"""What is dear to read and may be some seconds old: kept, and read again beside those who ask, not before them."""

import math
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from services.clock import monotonic_s

T = TypeVar("T")


class Kept(Generic[T]):
    """A value and its age. Safe between threads: one reads at a time, and only who has nothing usable waits for it."""

    def __init__(self, fresh_s: float, usable_s: float = math.inf) -> None:
        """fresh_s: until then it is not read again. usable_s: beyond that no one is given it."""
        self._fresh_s, self._usable_s = fresh_s, usable_s
        self._held: tuple[float, T] | None = None
        self._reading = threading.Lock()

    def get(self, read: Callable[[], T]) -> T:
        """The value, at most `usable_s` old. Raises what `read` raises where it has to wait."""
        held = self._held
        if held is None or monotonic_s() - held[0] > self._usable_s:
            with self._reading:
                if self._held is held:  # else another one has read it meanwhile
                    self._read(read)
            assert self._held is not None
            return self._held[1]
        if monotonic_s() - held[0] > self._fresh_s and self._reading.acquire(blocking=False):
            threading.Thread(target=self._read_beside, args=(read,), name="kept", daemon=True).start()
        return held[1]

    def _read_beside(self, read: Callable[[], T]) -> None:
        try:
            self._read(read)
        finally:
            self._reading.release()

    def _read(self, read: Callable[[], T]) -> None:
        begun_s = monotonic_s()
        self._held = begun_s, read()
