"""Arrays in files: columns of a history that need not fit into memory, as ordinary numpy arrays over mapped files.

The operating system keeps of them what there is room for. What is chosen of a mapped array lies in a file beside it, so rows
and bits are those of an array in memory.
"""

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

BYTES = 64 << 20
"""Copied at once."""

_numbers = itertools.count()


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether the content lies in a file."""
    return _file_of(array) is not None


def write(path: Path, parts: Iterable[NDArray[Any]], dtype: DTypeLike, width: int | None = None) -> NDArray[Any]:
    """The parts one after the other in a file, and that as an array: [n], or [n, width]."""
    kind, rows = np.dtype(dtype), 0
    with path.open("wb") as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, kind).data.cast("B") if len(part) else b"")
            rows += len(part)
    return opened(path, kind, (rows,) if width is None else (rows, width))


def opened(path: Path, dtype: DTypeLike, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
    """What `write` wrote. Changes of it stay in memory; none are made."""
    if not np.prod(shape):
        return np.empty(shape, dtype)  # an empty file cannot be mapped
    return np.memmap(path, dtype, "c", offset, shape)


def chosen(array: NDArray[Any], rows: NDArray[np.bool_] | NDArray[np.int64]) -> NDArray[Any]:
    """The rows of a mask, bool[n]: a view where they follow each other, else a copy, in a file where the array lies in one.

    Places, int64[k], are copied into memory.
    """
    if rows.dtype != np.bool_:
        return array[rows]
    first, count = int(rows.argmax()) if len(rows) else 0, int(np.count_nonzero(rows))
    if count and rows[first : first + count].all():
        return array[first : first + count]
    file = _file_of(array)
    if file is None:
        return array[rows]
    step = max(1, BYTES // max(1, array[:1].nbytes))
    starts = range(0, len(array), step)
    return _beside(file, (array[at : at + step][rows[at : at + step]] for at in starts), array)


def joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One after the other; in a file where the first lies in one."""
    file = _file_of(arrays[0])
    return np.concatenate(arrays) if file is None else _beside(file, arrays, arrays[0])


def _beside(file: Path, parts: Iterable[NDArray[Any]], like: NDArray[Any]) -> NDArray[Any]:
    """In a file of this process's own, which goes with the folder."""
    path = file.with_name(f"rows-{os.getpid()}-{next(_numbers)}.bin")
    return write(path, parts, like.dtype, like.shape[1] if like.ndim > 1 else None)


def handle(array: NDArray[Any]) -> Any:
    """What another process opens it by: the file and the place in it; the array itself where it lies in memory."""
    backing = _backing(array)
    if backing is None or not array.flags.c_contiguous or backing.filename is None:
        return array
    place = array.__array_interface__["data"][0] - backing.__array_interface__["data"][0]
    return (str(backing.filename), array.dtype.str, array.shape, backing.offset + place)


def unhandled(given: Any) -> NDArray[Any]:
    """The array of a handle."""
    if not isinstance(given, tuple):
        return np.asarray(given)
    path, dtype, shape, offset = given
    return opened(Path(path), dtype, shape, offset)


def _backing(array: NDArray[Any]) -> "np.memmap[Any, Any] | None":
    """The whole mapped file that an array is a view of."""
    found, at = None, array
    while isinstance(at, np.ndarray):
        if isinstance(at, np.memmap):
            found = at
        at = at.base  # type: ignore[assignment]
    return found


def _file_of(array: NDArray[Any]) -> Path | None:
    backing = _backing(array)
    return None if backing is None or backing.filename is None else Path(str(backing.filename))
