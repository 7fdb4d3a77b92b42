"""Reads a bundle and trusts nothing in it that has not been checked: its signature first, before a byte is parsed.

Each file is read once, into memory, and only those bytes are used afterwards: what was checked is what runs.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from models.bundle.container import CONTAINER_BYTES_MAX
from models.bundle.directory import standing
from models.bundle.files import (
    BYTES_MAX,
    GOLDEN,
    HELD_OUT,
    MANIFEST,
    MODEL,
    OPTIONAL,
    REFERENCE,
    REPORT,
    BundleError,
    Files,
    bundle_digest,
    digests,
)
from models.bundle.graph import GraphError, check_graph
from models.bundle.trust import ANYBODY, Trust
from models.sources.fits import misfit
from schemas.control import BundleRef
from schemas.golden import Golden
from schemas.manifest import Manifest
from schemas.reference import Reference

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle. model: the ONNX graph's bytes. digest: SHA-256 (hex) over all files but the signature.

    report: HTML, if it has one. golden: rows with their expected answers, if it has them. signed_by: fingerprint of the pinned
    key that signed it; None where no one was asked for. reference_json: the reference as the file has it.
    held_out: scores of rows that it was not trained on, unparsed, if it carries them.
    """

    manifest: Manifest
    model: bytes
    reference: Reference
    digest: str
    report: bytes | None = None
    golden: Golden | None = None
    signed_by: str | None = None
    reference_json: bytes = b""
    held_out: bytes | None = None

    @property
    def ref(self) -> BundleRef:
        """What names it."""
        return BundleRef(name=self.manifest.name, version=self.manifest.version, digest=self.digest)


def load_bundle(path: Path, trust: Trust = ANYBODY) -> Bundle:
    """The bundle in a directory or a container. Raises BundleError, one sentence, if anything about it is not right."""
    try:
        return parse_bundle(read_files(path, trust), f"Bundle {path}", trust)
    except OSError as error:
        raise BundleError(f"Bundle {path} cannot be read: {error.strerror}.", "unreadable") from None


def open_bundle(content: bytes, where: str, trust: Trust) -> Bundle:
    """The bundle in a container's bytes. where: what BundleError's sentence calls it."""
    try:
        files = trust.opened(content)
    except BundleError as error:
        raise BundleError(f"{where} is refused: {error}.", error.reason) from None
    return parse_bundle(files, where, trust)


def read_files(path: Path, trust: Trust = ANYBODY) -> Files:
    """Every file's bytes, unparsed. Raises OSError, BundleError."""
    try:
        if standing(path).is_dir():
            return _read(standing(path))
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return trust.opened(_read_file(directory, path.name, CONTAINER_BYTES_MAX))
        finally:
            os.close(directory)
    except BundleError as error:
        raise BundleError(f"Bundle {path} is refused: {str(error).rstrip('.')}.", error.reason) from None


def parse_bundle(files: Files, where: str, trust: Trust) -> Bundle:
    """Signature first, then everything else about the files. Raises BundleError."""
    try:
        signed_by = trust.signer(files)
        return _parsed(files, trust.version_min, signed_by)
    except GraphError as error:
        raise BundleError(f"{where} is refused: {error}.", "graph") from None
    except BundleError as error:
        raise BundleError(f"{where} is refused: {error}.", error.reason) from None


def _parsed(files: Files, version_min: int, signed_by: str | None) -> Bundle:
    manifest = _parse(Manifest, MANIFEST, files)
    _check_digests(manifest, files)
    if manifest.version < version_min:
        raise BundleError(f"version {manifest.version} is older than ASSAY_BUNDLE_VERSION_MIN={version_min}", "older")
    if manifest.product == "fraud" and (problem := misfit(manifest.feature_spec, manifest.source)):
        raise BundleError(f"its specs do not fit: {problem.rstrip('.')}")
    reference = _parse(Reference, REFERENCE, files)
    golden = _parse(Golden, GOLDEN, files) if GOLDEN in files else None
    names = manifest.feature_spec.names
    if tuple(histogram.name for histogram in reference.features) != names:
        raise BundleError(f"{REFERENCE} describes other features than {MANIFEST}")
    for name, rows in ((REFERENCE, reference.background), (GOLDEN, golden.rows if golden else ())):
        if any(len(row) != len(names) for row in rows):
            raise BundleError(f"a row of {name} has not {len(names)} features")
    graph = check_graph(files[MODEL], len(names))
    return Bundle(
        manifest,
        graph,
        reference,
        bundle_digest(files),
        files.get(REPORT),
        golden,
        signed_by,
        files[REFERENCE],
        files.get(HELD_OUT),
    )


def _read(path: Path) -> Files:
    """Every file's bytes, read through one open directory, so that a swap of the directory cannot mix two bundles."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        present = set(os.listdir(directory))
        if missing := set(BYTES_MAX) - OPTIONAL - present:
            raise BundleError(f"{', '.join(sorted(missing))} is missing")
        if extra := present - set(BYTES_MAX):
            raise BundleError(f"{', '.join(sorted(extra))} does not belong there")
        return {name: _read_file(directory, name, BYTES_MAX[name]) for name in sorted(present)}
    finally:
        os.close(directory)


def _read_file(directory: int, name: str, bytes_max: int) -> bytes:
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise BundleError(f"{name} is not a regular file")
    # NOFOLLOW and NONBLOCK: what was a file a moment ago may be a link or a pipe by now.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise BundleError(f"{name} is larger than {bytes_max} bytes")
    return content


def _check_digests(manifest: Manifest, files: Files) -> None:
    found = {name: digest for name, digest in digests(files).items() if name != MANIFEST}
    if set(manifest.files) != set(found):
        raise BundleError(f"{MANIFEST} does not list exactly {', '.join(found)}")
    for name, digest in manifest.files.items():
        if found[name] != digest:
            raise BundleError(f"{name} is not the file that {MANIFEST} lists (SHA-256 differs)")


def _parse(schema: type[M], name: str, files: Files) -> M:
    try:
        return schema.model_validate_json(files[name])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise BundleError(f"{name} is not valid at {where}: {first['msg']}") from None
