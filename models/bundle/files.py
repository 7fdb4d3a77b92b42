"""The files of a bundle, their names and limits, and the digest over all of them."""

import hashlib
from collections.abc import Mapping

MANIFEST = "manifest.json"
MODEL = "model.onnx"
REFERENCE = "reference.json"
REPORT = "report.html"

BYTES_MAX = {MANIFEST: 1 << 20, MODEL: 64 << 20, REFERENCE: 4 << 20, REPORT: 4 << 20}
"""Every file of a bundle and its largest size; no other file may lie beside them."""

OPTIONAL = frozenset({REPORT})
"""Files that a scorer does not need. Where the manifest lists one, it must be there all the same."""


class BundleError(ValueError):
    """A bundle that must not be used: one sentence that says why."""


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over every file's name and SHA-256, sorted by name: equal exactly if all files are equal."""
    lines = [f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
