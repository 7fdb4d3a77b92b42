"""Snapshots of a partition's state: a cache of the log, so a bad one costs time and never a wrong score.

File: one JSON line (format version, state key, log id, offset, names of the arrays), the arrays as NumPy writes them, a line
with the SHA-256 over all of it. They are written as they are read from the state, piece by piece. The newest two are kept.

Where a key is set, the last line has an HMAC of the SHA-256 too: who can write files, but has no key, can only cost time.

A snapshot belongs to one log: a topic that was made again under the same name has another id, which stands in the file's name.
"""

import contextlib
import hashlib
import hmac
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from models.features.capture import Arrays, Capture
from services.storage import Storage

FORMAT_VERSION = 4
KEPT = 2
HEADER_BYTES_MAX = 1 << 16
DIGEST_BYTES, LAST_LINE_BYTES_MAX = 64, 1 << 8

NO_LOG_ID = "0" * 32
"""Of a log whose brokers know no topic ids (before Kafka 2.8)."""

NAME = re.compile(r"\d{20}(\.[0-9a-f]{32})?\.snapshot")
"""Offset and log id. Earlier versions kept no id: their snapshots are of an unknown log, and are not loaded."""

DAMAGED = (
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RecursionError,
    SyntaxError,
    EOFError,
    tokenize.TokenError,
)
"""What our checks and NumPy's reader raise on bytes that are no snapshot."""


class AbandonedError(OSError):
    """No one waits for this snapshot any more."""


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

    def __init__(self, storage: Storage, state_key: str, log_id: str = NO_LOG_ID, key: bytes | None = None) -> None:
        """log_id: 32 hex digits that name the log whose fold the state is. key: of this partition, which authenticates."""
        self._key = key
        self._storage = storage
        self._state_key = state_key
        self.log_id = log_id

    def save(
        self, offset: int, capture: Capture, before: Any = None, given_up: Callable[[], bool] = lambda: False
    ) -> int:
        """Write a snapshot; returns its size in bytes. before: the record before. given_up: asked between pieces.

        Raises OSError, AbandonedError among them; then nothing is written.
        """
        parts = capture.parts()
        header = {
            "format_version": FORMAT_VERSION,
            "state_key": self._state_key,
            "log_id": self.log_id,
            "offset": offset,
            "before": [before.offset, fingerprint(before)] if before is not None and self.log_id == NO_LOG_ID else None,
            "arrays": list(parts),
        }

        def fill(file: BinaryIO) -> None:
            file.write(json.dumps(header).encode() + b"\n")
            digest = _begun(header)
            for name, part in parts.items():
                _begin(digest, name, part.dtype, part.shape)
                layout = {"descr": npy.dtype_to_descr(part.dtype), "fortran_order": False, "shape": part.shape}
                npy.write_array_header_1_0(file, layout)
                for piece in part.pieces():
                    if given_up():
                        raise AbandonedError("given up")
                    content = _bytes(piece)
                    digest.update(content)
                    file.write(content)
            file.write(self._last_line(digest.hexdigest()))

        self._storage.write(f"{offset:020d}.{self.log_id}.snapshot", fill)
        if not given_up():  # else the partition may have another owner, and the folder another log's snapshots
            for old in self._outdated(offset):
                self._storage.delete(old)
        return sum(int(np.prod(part.shape)) * part.dtype.itemsize for part in parts.values())

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
            if named and self.log_id != NO_LOG_ID and not any(map(self._ours, named)):
                former = named[0].split(".")[1]
                return former if former != NO_LOG_ID else None
        return None

    def _names(self) -> list[str]:
        """Newest first, those of other logs among them."""
        return sorted((name for name in self._storage.names() if NAME.fullmatch(name)), reverse=True)

    def _ours(self, name: str) -> bool:
        return name.split(".")[1] == self.log_id

    def _outdated(self, saved: int) -> list[str]:
        """What makes room for the one just saved: other logs', and ours beyond the newest, those ahead of it counted apart."""
        names = self._names()
        ours = [name for name in names if self._ours(name)]
        ahead = [name for name in ours if _offset(name) > saved]
        kept = {*ahead[:KEPT], *[name for name in ours if _offset(name) <= saved][:KEPT]}
        return [name for name in names if name not in kept]

    def _last_line(self, digest: str) -> bytes:
        """The SHA-256 (hex) of header and arrays, and under a key its HMAC-SHA-256 (hex)."""
        line = digest if self._key is None else f"{digest} {hmac.new(self._key, digest.encode(), 'sha256').hexdigest()}"
        return line.encode() + b"\n"

    def _read(self, name: str) -> Snapshot:
        with self._storage.open(name) as file:
            header = json.loads(file.readline(HEADER_BYTES_MAX))
            if not isinstance(header, dict):
                raise ValueError("it begins with something else than a header")
            if header["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format version {header['format_version']}, not {FORMAT_VERSION}")
            if header["log_id"] != self.log_id:
                raise ValueError("of another log of this name")
            if header["state_key"] != self._state_key:
                raise ValueError("made by another feature spec or state layout")
            if header["offset"] != _offset(name):
                raise ValueError("of another offset than its name says")
            arrays = {str(array): npy.read_array(file, allow_pickle=False) for array in header["arrays"]}
            last_line = file.read(LAST_LINE_BYTES_MAX)
            expected = self._last_line(_digest(header, arrays))
            if last_line[:DIGEST_BYTES] != expected[:DIGEST_BYTES]:
                raise ValueError("checksum differs")
            if self._key is not None and not hmac.compare_digest(last_line, expected):
                raise ValueError("not written under ASSAY_SNAPSHOT_KEY, or changed since")
        before = header.get("before")
        return Snapshot(int(header["offset"]), arrays, (int(before[0]), str(before[1])) if before else None)


def _offset(name: str) -> int:
    return int(name.partition(".")[0])


def partition_key(secret: bytes, source: str) -> bytes:
    """The key of one partition's snapshots: no other partition's are taken for them. source: group, topic, partition."""
    return hmac.digest(secret, b"assay snapshot 1\n" + source.encode(), "sha256")


def _begun(header: dict[str, Any]) -> Any:
    """A SHA-256 that has the header."""
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode())


def _digest(header: dict[str, Any], arrays: Arrays) -> str:
    """SHA-256 (hex) over the header, and each array's name, type, shape and bytes."""
    digest = _begun(header)
    for name, array in arrays.items():
        _begin(digest, name, array.dtype, array.shape)
        digest.update(_bytes(array))
    return str(digest.hexdigest())


def _begin(digest: Any, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    digest.update(f"{name}:{dtype.str}:{shape};".encode())


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
