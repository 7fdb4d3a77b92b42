"""Snapshots of a partition's state: a cache of the log, so a bad one costs time and never a wrong score.

File: one JSON line (format version, state key, log id, offset, names of the arrays, SHA-256 over them), then the arrays
as NumPy writes them. Neither writing nor reading holds the state twice. The newest two are kept.

A snapshot belongs to one log: a topic that was made again under the same name has another id, which stands in the file's name.
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

from services.storage import Storage

FORMAT_VERSION = 3
KEPT = 2
HEADER_BYTES_MAX = 1 << 16

NO_LOG_ID = "0" * 32
"""Of a log whose brokers know no topic ids (before Kafka 2.8)."""

NAME = re.compile(r"\d{20}(\.[0-9a-f]{32})?\.snapshot")
"""Offset and log id. Earlier versions kept no id: their snapshots are of an unknown log, and are not loaded."""

DAMAGED = (ValueError, KeyError, TypeError, SyntaxError, EOFError, tokenize.TokenError)
"""What our checks and NumPy's reader raise on bytes that are no snapshot."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State as of just before `offset`."""

    offset: int
    arrays: Arrays
    before: tuple[int, str] | None = None
    """Offset and fingerprint of the record before, where the log has no id."""


def fingerprint(record: Any) -> str:
    """SHA-256 (hex) over offset, timestamp, key and value, each with its length or that it is missing."""
    digest = hashlib.sha256(f"{record.offset}:{record.timestamp}".encode())
    for part in (record.key, record.value):
        digest.update(b"-" if part is None else b"%d:%s" % (len(part), part))
    return digest.hexdigest()


class SnapshotStore:
    """The snapshots of one partition in a place of their own."""

    def __init__(self, storage: Storage, state_key: str, log_id: str = NO_LOG_ID) -> None:
        """log_id: 32 hex digits that name the log whose fold the state is."""
        self._storage = storage
        self._state_key = state_key
        self.log_id = self._log_id = log_id

    def save(self, offset: int, arrays: Arrays, before: Any = None) -> int:
        """Write a snapshot; returns its size in bytes. before: the record before. Raises OSError."""
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        header = {
            "format_version": FORMAT_VERSION,
            "state_key": self._state_key,
            "log_id": self._log_id,
            "offset": offset,
            "before": [before.offset, fingerprint(before)]
            if before is not None and self._log_id == NO_LOG_ID
            else None,
            "arrays": list(arrays),
            "sha256": _digest(arrays),
        }

        def fill(file: BinaryIO) -> None:
            file.write(json.dumps(header).encode() + b"\n")
            for array in arrays.values():
                npy.write_array(file, array, allow_pickle=False)

        self._storage.write(f"{offset:020d}.{self._log_id}.snapshot", fill)
        for old in self._outdated(offset):
            self._storage.delete(old)
        return sum(array.nbytes for array in arrays.values())

    def newest(self, offset_max: int) -> Iterator[Snapshot | str]:
        """Usable snapshots not beyond `offset_max`, newest first; in between, in words, what is wrong with the others."""
        try:
            names = self._names()
        except OSError as error:
            yield f"they cannot be listed: {error}"
            return
        for name in names:
            if not self._ours(name):
                yield f"{name} is of another log of this name"
                continue
            if _offset(name) > offset_max:
                yield f"{name} is ahead of the committed offset {offset_max}"
                continue
            try:
                yield self._read(name)
            except (*DAMAGED, OSError, MemoryError) as error:
                yield f"{name} is not usable: {error}"

    def newest_offset(self) -> int | None:
        """Of this log's newest snapshot, usable or not; None where there is none, or they cannot be listed."""
        with contextlib.suppress(OSError):
            return next((_offset(name) for name in self._names() if self._ours(name)), None)
        return None

    def former_log_id(self) -> str | None:
        """Of the newest snapshot where all are of other logs with an id; None where one is ours, or there is none."""
        with contextlib.suppress(OSError):
            named = [name for name in self._names() if len(name.split(".")) == 3]
            if named and self._log_id != NO_LOG_ID and not any(map(self._ours, named)):
                former = named[0].split(".")[1]
                return former if former != NO_LOG_ID else None
        return None

    def _names(self) -> list[str]:
        """Newest first, those of other logs among them."""
        return sorted((name for name in self._storage.names() if NAME.fullmatch(name)), reverse=True)

    def _ours(self, name: str) -> bool:
        return name.split(".")[1] == self._log_id

    def _outdated(self, saved: int) -> list[str]:
        """What makes room for the one just saved: other logs', and ours beyond the newest, those ahead of it counted apart."""
        names = self._names()
        ours = [name for name in names if self._ours(name)]
        ahead = [name for name in ours if _offset(name) > saved]
        kept = {*ahead[:KEPT], *[name for name in ours if _offset(name) <= saved][:KEPT]}
        return [name for name in names if name not in kept]

    def _read(self, name: str) -> Snapshot:
        with self._storage.open(name) as file:
            header = json.loads(file.readline(HEADER_BYTES_MAX))
            if not isinstance(header, dict):
                raise ValueError("it begins with something else than a header")
            if header["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format version {header['format_version']}, not {FORMAT_VERSION}")
            if header["log_id"] != self._log_id:
                raise ValueError("of another log of this name")
            if header["state_key"] != self._state_key:
                raise ValueError("made by another feature spec or state layout")
            arrays = {str(array): npy.read_array(file, allow_pickle=False) for array in header["arrays"]}
            if header["sha256"] != _digest(arrays) or file.read(1):
                raise ValueError("checksum differs")
        before = header.get("before")
        return Snapshot(int(header["offset"]), arrays, (int(before[0]), str(before[1])) if before else None)


def _offset(name: str) -> int:
    return int(name.partition(".")[0])


def _digest(arrays: Arrays) -> str:
    """SHA-256 (hex) over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
