"""Writes a bundle directory: all of it or nothing."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from models.bundle.directory import replace_directory
from models.bundle.files import (
    BYTES_MAX,
    GOLDEN,
    HELD_OUT,
    MANIFEST,
    MODEL,
    REFERENCE,
    REPORT,
    SIGNATURE,
    BundleError,
    digests,
)
from models.bundle.verdict import statement
from schemas.golden import Golden
from schemas.manifest import Manifest
from schemas.reference import Reference


def stated(manifest: Manifest, model: bytes, reference: Reference, held_out: bytes | None = None) -> Manifest:
    """The manifest with the statement that its figures are of this graph and reference. For the code that measured them."""
    return manifest.model_copy(update={"statement": statement(manifest, model, _json(reference), held_out)})


def pack_bundle(
    path: Path,
    manifest: Manifest,
    model: bytes,
    reference: Reference,
    report: bytes | None = None,
    golden: Golden | None = None,
    held_out: bytes | None = None,
) -> None:
    """Write the bundle, unsigned, to the directory `path`, replacing a bundle that is there. Raises BundleError.

    `manifest.files` is filled in here.
    """
    files = {MODEL: model, REFERENCE: _json(reference)}
    if report is not None:
        files[REPORT] = report
    if held_out is not None:
        files[HELD_OUT] = held_out
    if golden is not None:
        files[GOLDEN] = _json(golden)
    write_files(path, {**files, MANIFEST: _json(manifest.model_copy(update={"files": digests(files)}))})


def with_manifest(files: Mapping[str, bytes], manifest: Manifest) -> dict[str, bytes]:
    """The files with another manifest, which lists the others as they are; a signature falls."""
    others = {name: content for name, content in files.items() if name not in (MANIFEST, SIGNATURE)}
    return {**others, MANIFEST: _json(manifest.model_copy(update={"files": digests(others)}))}


def write_files(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle's files to the directory `path`, replacing a bundle that is there. Raises BundleError.

    The bundle is complete before it takes its name: a reader meets the old one or the new one, and so does the next command
    after a kill.
    """
    for name, content in files.items():
        if len(content) > BYTES_MAX[name]:
            raise BundleError(f"{name} has {len(content)} bytes; a bundle takes {BYTES_MAX[name]} at most.")
    if path.exists() and not (path / MANIFEST).is_file() and any(path.iterdir()):
        raise BundleError(f"{path} holds other files, not a bundle: choose another directory.")
    replace_directory(path, files)


def _json(message: BaseModel) -> bytes:
    return (message.model_dump_json(indent=1, exclude_none=True) + "\n").encode()
