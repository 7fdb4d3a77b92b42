"""A peer: Quix Streams with ONNX Runtime, in an environment of its own: it requires a Kafka client that excludes ours.

The environment is built once, from the package registry that pip asks, with our versions of the libraries that both use.
"""

import hashlib
import os
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import command
from tests.services.harness import ROOT

SHARED = ("msgspec", "numpy", "onnxruntime")
VERSION = "3.28.1"
REQUIRED = [f"quixstreams=={VERSION}", *(f"{name}=={version(name)}" for name in SHARED)]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"


def python() -> Path:
    """The environment's interpreter, wherever it is built."""
    digest = hashlib.sha256(" ".join([sys.version, *REQUIRED]).encode()).hexdigest()[:12]
    return CACHE / f"quix-{digest}" / "bin" / "python"


def build() -> None:
    """Build it where it is not. Raises OptionError."""
    if python().exists():
        return
    place = python().parents[1]
    fresh = place.with_name(f"{place.name}-{os.getpid()}")  # moved as a whole: half of one is never taken for it
    venv.create(fresh, with_pip=True)
    installing = [fresh / "bin" / "python", "-m", "pip", "install", "--quiet", *REQUIRED]
    done = subprocess.run(installing, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        raise command.OptionError(f"--quix: {' '.join(REQUIRED)} cannot be installed ({last}): leave --quix out.")
    fresh.rename(place)


def scoring(bootstrap: str, source: str, out: str, count: int) -> list[str]:
    """Scores `source` to `out` from its beginning; after `count` records it prints how many a second, and ends."""
    return [str(python()), "-m", "tests.benchmarks.quix.peer", bootstrap, source, out, str(count)]


def environment() -> dict[str, str]:
    """Of its process: nothing of ours is imported but the message and the graph."""
    return {"PYTHONPATH": str(ROOT)}
