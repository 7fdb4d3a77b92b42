"""Snapshots of a partition's state: a cache of the log, so a bad one costs time and never a wrong score.

File: one JSON line (format version, state key, offset, names of the arrays, SHA-256 over them), then the arrays as NumPy
writes them. Neither writing nor reading holds the state twice. The newest two are kept.
"""

import contextlib
import hashlib
import json
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from services.storage import Place

FORMAT_VERSION = 2
KEPT = 2
HEADER_BYTES_MAX = 1 << 16

DAMAGED = (ValueError, KeyError, TypeError, SyntaxError, EOFError, tokenize.TokenError)
"""What our checks and NumPy's reader raise on bytes that are no snapshot."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State as of just before `offset`."""

    offset: int
    arrays: Arrays


class SnapshotStore:
    """The snapshots of one partition in a place of their own."""

    def __init__(self, place: Place, state_key: str) -> None:
        self._place = place
        self._state_key = state_key

    def save(self, offset: int, arrays: Arrays) -> int:
        """Write a snapshot; returns its size in bytes. Raises OSError."""
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        header = {
            "format_version": FORMAT_VERSION,
            "state_key": self._state_key,
            "offset": offset,
            "arrays": list(arrays),
            "sha256": _digest(arrays),
        }

        def fill(file: BinaryIO) -> None:
            file.write(json.dumps(header).encode() + b"\n")
            for array in arrays.values():
                npy.write_array(file, array, allow_pickle=False)

        self._place.write(f"{offset:020d}.snapshot", fill)
        for old in self._names()[KEPT:]:
            self._place.delete(old)
        return sum(array.nbytes for array in arrays.values())

    def newest(self, offset_max: int) -> Iterator[Snapshot | str]:
        """Usable snapshots not beyond `offset_max`, newest first; in between, in words, what is wrong with the others."""
        try:
            names = self._names()
        except OSError as error:
            yield f"they cannot be listed: {error}"
            return
        for name in names:
            if _offset(name) > offset_max:
                yield f"{name} is ahead of the committed offset {offset_max}"
                continue
            try:
                yield self._read(name)
            except (*DAMAGED, OSError, MemoryError) as error:
                yield f"{name} is not usable: {error}"

    def newest_offset(self) -> int | None:
        """Of the newest snapshot, usable or not; None where there is none, or they cannot be listed."""
        with contextlib.suppress(OSError):
            return next((_offset(name) for name in self._names()), None)
        return None

    def _names(self) -> list[str]:
        """Newest first."""
        return sorted((name for name in self._place.names() if re.fullmatch(r"\d{20}\.snapshot", name)), reverse=True)

    def _read(self, name: str) -> Snapshot:
        with self._place.open(name) as file:
            header = json.loads(file.readline(HEADER_BYTES_MAX))
            if not isinstance(header, dict):
                raise ValueError("it begins with something else than a header")
            if header["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format version {header['format_version']}, not {FORMAT_VERSION}")
            if header["state_key"] != self._state_key:
                raise ValueError("made by another feature spec or state layout")
            arrays = {str(array): npy.read_array(file, allow_pickle=False) for array in header["arrays"]}
            if header["sha256"] != _digest(arrays) or file.read(1):
                raise ValueError("checksum differs")
        return Snapshot(int(header["offset"]), arrays)


def _offset(name: str) -> int:
    return int(name.partition(".")[0])


def _digest(arrays: Arrays) -> str:
    """SHA-256 (hex) over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
