"""A state as it was at one moment, given out in pieces by another thread while the state moves on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

PIECE_BYTES = 1 << 20
"""Of rows, copied under the lock that a fold waits for: about 0.1 ms."""

Arrays = dict[str, NDArray[Any]]


def _do_nothing() -> None:
    """Nothing is held for a capture of copies."""


@dataclass(frozen=True, slots=True)
class Part:
    """One array: its type, its shape, and its content in order. Each piece is contiguous, and valid until the next one."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[NDArray[Any]]]

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Part":
        """An array that does not change any more."""
        whole = np.ascontiguousarray(array)
        return cls(whole.dtype, array.shape, lambda: iter([whole]))


@dataclass(frozen=True, slots=True)
class Capture:
    """parts: by name, called once, in any one thread. close: called in the state's thread, read to the end or not."""

    parts: Callable[[], dict[str, Part]]
    close: Callable[[], None] = _do_nothing

    @classmethod
    def of(cls, make: Callable[[], Arrays]) -> "Capture":
        """Of what `make` makes of copies; it is called in the other thread."""
        return cls(lambda: {name: Part.of(array) for name, array in make().items()})

    @classmethod
    def joined(cls, captures: Sequence["Capture"]) -> "Capture":
        """Several as one."""

        def parts() -> dict[str, Part]:
            return {name: part for capture in captures for name, part in capture.parts().items()}

        def close() -> None:
            for capture in captures:
                capture.close()

        return cls(parts, close)

    def arrays(self) -> Arrays:
        """All of it at once, in the state's thread. Closes the capture."""
        try:
            return {
                name: np.concatenate([np.empty((0, *part.shape[1:]), part.dtype), *map(np.copy, part.pieces())])
                for name, part in self.parts().items()
            }
        finally:
            self.close()


class RowCapture:
    """The first `used` rows of a table whose rows change, each as it was at the beginning.

    The reader copies piece by piece. A row that is about to change and is not copied yet is kept aside first: `keep`, under
    `lock`, which is held until the row has changed. So there is no second copy of the table, only of what changes meanwhile.
    """

    def __init__(self, rows: NDArray[np.uint32], used: int, changing: NDArray[np.int64]) -> None:
        """changing: rows that may change without `keep`."""
        self.lock = Lock()
        self._rows, self._used = rows, used
        self._copied = 0
        # given by the operating system page by page, as they are written
        self._place = np.zeros(used, np.uint32)
        self._kept = np.empty((used, rows.shape[1]), np.uint32)
        self.kept_rows = 0
        self.keep(changing)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Call before these rows change, holding the lock."""
        self.kept_rows = _keep(self._rows, rows, self._copied, self._place, self._kept, self.kept_rows)

    @property
    def part(self) -> Part:
        """The rows."""
        return Part(self._rows.dtype, (self._used, self._rows.shape[1]), self._pieces)

    def _pieces(self) -> Iterator[NDArray[np.uint32]]:
        step = max(1, PIECE_BYTES // self._rows[0].nbytes)
        piece = np.empty((min(step, self._used), self._rows.shape[1]), np.uint32)
        for first in range(0, self._used, step):
            last = min(first + step, self._used)
            with self.lock:
                _copy(self._rows, first, last, self._place, self._kept, piece)
                self._copied = last
            yield piece[: last - first]


@compiled
def _keep(rows, changing, copied, place, kept, kept_rows):  # type: ignore[no-untyped-def]
    """Copy rows that are neither copied nor kept; returns how many are kept. place: of each in `kept`, from 1; 0 for none."""
    for row in changing:
        if copied <= row < place.shape[0] and place[row] == 0:
            for word in range(rows.shape[1]):
                kept[kept_rows, word] = rows[row, word]
            kept_rows += 1
            place[row] = kept_rows
    return kept_rows


@compiled
def _copy(rows, first, last, place, kept, piece):  # type: ignore[no-untyped-def]
    """Copy the rows from first to last, those that are kept as they were."""
    for row in range(first, last):
        if place[row] == 0:
            for word in range(rows.shape[1]):
                piece[row - first, word] = rows[row, word]
        else:
            for word in range(rows.shape[1]):
                piece[row - first, word] = kept[place[row] - 1, word]
