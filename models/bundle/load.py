"""Reads a bundle directory and believes nothing in it that has not been checked.

Each file is read once, into memory, and only those bytes are used afterwards: what was checked is what runs.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from models.bundle.files import BYTES_MAX, MANIFEST, MODEL, OPTIONAL, REFERENCE, REPORT, BundleError, bundle_digest
from models.bundle.graph import GraphError, check_graph
from schemas.manifest import Manifest
from schemas.reference import Reference

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle. model: the ONNX graph's bytes. digest: SHA-256 (hex) over all files. report: HTML, if it has one."""

    manifest: Manifest
    model: bytes
    reference: Reference
    digest: str
    report: bytes | None = None


def load_bundle(path: Path) -> Bundle:
    """The bundle in the directory `path`. Raises BundleError, one sentence, if anything about it is not right."""
    try:
        files = _read(path)
        manifest = _parse(Manifest, MANIFEST, files)
        _check_digests(manifest, files)
        reference = _parse(Reference, REFERENCE, files)
        names = manifest.feature_spec.names
        if tuple(histogram.name for histogram in reference.features) != names:
            raise BundleError(f"{REFERENCE} describes other features than {MANIFEST}")
        if any(len(row) != len(names) for row in reference.background):
            raise BundleError(f"a background row of {REFERENCE} has not {len(names)} features")
        check_graph(files[MODEL], len(names))
    except OSError as error:
        raise BundleError(f"Bundle {path} cannot be read: {error.strerror}.") from None
    except (BundleError, GraphError) as error:
        raise BundleError(f"Bundle {path} is refused: {error}.") from None
    return Bundle(manifest, files[MODEL], reference, bundle_digest(files), files.get(REPORT))


def _read(path: Path) -> dict[str, bytes]:
    """Every file's bytes, read through one open directory, so that a swap of the directory cannot mix two bundles."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        present = set(os.listdir(directory))
        if missing := set(BYTES_MAX) - OPTIONAL - present:
            raise BundleError(f"{', '.join(sorted(missing))} is missing")
        if extra := present - set(BYTES_MAX):
            raise BundleError(f"{', '.join(sorted(extra))} does not belong there")
        return {name: _read_file(directory, name) for name in sorted(present)}
    finally:
        os.close(directory)


def _read_file(directory: int, name: str) -> bytes:
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise BundleError(f"{name} is not a regular file")
    # NOFOLLOW and NONBLOCK: what was a file a moment ago may be a link or a pipe by now.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(BYTES_MAX[name] + 1)
    if len(content) > BYTES_MAX[name]:
        raise BundleError(f"{name} is larger than {BYTES_MAX[name]} bytes")
    return content


def _check_digests(manifest: Manifest, files: dict[str, bytes]) -> None:
    expected = set(files) - {MANIFEST}
    if set(manifest.files) != expected:
        raise BundleError(f"{MANIFEST} does not list exactly {', '.join(sorted(expected))}")
    for name, digest in manifest.files.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise BundleError(f"{name} is not the file that {MANIFEST} lists (SHA-256 differs)")


def _parse(schema: type[M], name: str, files: dict[str, bytes]) -> M:
    try:
        return schema.model_validate_json(files[name])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise BundleError(f"{name} is not valid at {where}: {first['msg']}") from None
