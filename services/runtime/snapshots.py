"""Snapshots of a partition's state: a cache of the log, so a bad one costs time and never a wrong score.

File: one JSON line (format version, state key, offset, SHA-256 of the rest), then a NumPy archive. Written beside the old
one under a temporary name, flushed to disk, renamed; the newest two are kept.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT_VERSION = 1
KEPT = 2

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State as of just before `offset`."""

    offset: int
    arrays: Arrays


class SnapshotStore:
    """The snapshots of one partition in a directory."""

    def __init__(self, directory: Path, group: str, topic: str, partition: int, state_key: str) -> None:
        self._directory = directory / group / f"{topic}-{partition}"
        self._state_key = state_key

    def save(self, offset: int, arrays: Arrays) -> int:
        """Write a snapshot; returns its size in bytes. Raises OSError."""
        body = io.BytesIO()
        np.savez(body, allow_pickle=False, **arrays)
        payload = body.getbuffer()
        header = {
            "format_version": FORMAT_VERSION,
            "state_key": self._state_key,
            "offset": offset,
            "sha256": hashlib.sha256(payload).hexdigest(),
        }
        self._directory.mkdir(parents=True, exist_ok=True)
        temporary = self._directory / f"{offset}.{os.getpid()}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(json.dumps(header).encode() + b"\n")
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._directory / f"{offset:020d}.snapshot")
        finally:
            temporary.unlink(missing_ok=True)
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)
        return len(payload)

    def newest(self, offset_max: int) -> Iterator[Snapshot | str]:
        """Usable snapshots not beyond `offset_max`, newest first; in between, in words, what is wrong with the others."""
        for path in self._files():
            if int(path.stem) > offset_max:
                yield f"{path.name} is ahead of the committed offset {offset_max}"
                continue
            try:
                yield self._read(path)
            except (OSError, ValueError, KeyError) as error:
                yield f"{path.name} is not usable: {error}"

    def _files(self) -> list[Path]:
        """Newest first."""
        if not self._directory.is_dir():
            return []
        named = (path for path in self._directory.iterdir() if re.fullmatch(r"\d{20}\.snapshot", path.name))
        return sorted(named, reverse=True)

    def _read(self, path: Path) -> Snapshot:
        with path.open("rb") as file:
            header = json.loads(file.readline(4096))
            payload = file.read()
        if header["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {header['format_version']}, not {FORMAT_VERSION}")
        if header["state_key"] != self._state_key:
            raise ValueError("made by another feature spec or state layout")
        if header["sha256"] != hashlib.sha256(payload).hexdigest():
            raise ValueError("checksum differs")
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            return Snapshot(int(header["offset"]), {name: archive[name] for name in archive.files})
