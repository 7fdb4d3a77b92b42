"""The files of a bundle, their names and limits, and the digest over all of them."""

import hashlib
from collections.abc import Mapping
from typing import Literal

MANIFEST = "manifest.json"
MODEL = "model.onnx"
REFERENCE = "reference.json"
REPORT = "report.html"
GOLDEN = "golden.json"
HELD_OUT = "held_out.json"
SIGNATURE = "model.sig"

BYTES_MAX = {
    MANIFEST: 1 << 20,
    MODEL: 64 << 20,
    REFERENCE: 4 << 20,
    REPORT: 4 << 20,
    GOLDEN: 1 << 20,
    HELD_OUT: 32 << 20,
    SIGNATURE: 64 << 10,
}
"""Every file of a bundle and its largest size; no other file may be in the directory."""

OPTIONAL = frozenset({REPORT, GOLDEN, HELD_OUT, SIGNATURE})
"""Files that a bundle may lack. Where the manifest lists one, it must be there all the same."""

Files = dict[str, bytes]
"""Name -> content of a bundle's files, as they were read."""

Refusal = Literal[
    "unreadable",
    "sealed",
    "unsigned",
    "signature",
    "content",
    "graph",
    "older",
    "features",
    "golden",
    "device",
    "failed",
]
"""Why a bundle is refused, in one word: the label of a metric."""


class BundleError(ValueError):
    """A bundle that must not be used: one sentence that says why, and one word for it."""

    def __init__(self, sentence: str, reason: Refusal = "content") -> None:
        super().__init__(sentence)
        self.reason: Refusal = reason


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over every file's name and SHA-256, sorted by name: equal exactly if all files are equal.

    Without the signature: who signed a bundle, and whether, does not change what it is.
    """
    lines = [f"{name} {digest}\n" for name, digest in digests(files).items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 (hex) of every file but the signature, sorted by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items()) if name != SIGNATURE}
