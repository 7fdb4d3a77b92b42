"""A peer: Quix Streams with ONNX Runtime, in an environment of its own: it requires a Kafka client that excludes ours.

The environment is built once, from the package registry that pip asks, with our versions of the libraries that both use.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime

from tests.benchmarks import command
from tests.services.harness import ROOT

VERSION = "3.28.1"
REQUIRED = [
    f"quixstreams=={VERSION}",
    f"msgspec=={msgspec.__version__}",
    f"numpy=={np.__version__}",
    f"onnxruntime=={onnxruntime.__version__}",
]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"
MISSING = (
    "Quix Streams is left out: `assay bench throughput --quix` makes its environment, once, from the package registry."
)


def python() -> Path:
    """The environment's interpreter, wherever it is built."""
    digest = hashlib.sha256(" ".join([sys.version, *REQUIRED]).encode()).hexdigest()[:12]
    return CACHE / f"quix-{digest}" / "bin" / "python"


def built() -> bool:
    """Whether it is there."""
    return python().exists()


def build() -> None:
    """Build it where it is not. Raises OptionError."""
    if built():
        return
    place = python().parents[1]
    fresh = place.with_name(f"{place.name}-{os.getpid()}")  # moved as a whole: half of one is never taken for it
    try:
        venv.create(fresh, with_pip=True)
        installing = [fresh / "bin" / "python", "-m", "pip", "install", "--quiet", *REQUIRED]
        subprocess.run(installing, capture_output=True, text=True, check=True)
        fresh.rename(place)
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise command.OptionError(
            f"--quix: {' '.join(REQUIRED)} cannot be installed ({said[-1]}): leave --quix out."
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def scoring(bootstrap: str, source: str, out: str, count: int) -> list[str]:
    """Scores `source` to `out` from its beginning; after `count` records it prints how many a second, and ends."""
    return [str(python()), "-m", "tests.benchmarks.quix.peer", bootstrap, source, out, str(count)]


def environment() -> dict[str, str]:
    """Of its process: nothing of ours is imported but the message and the graph."""
    return {"PYTHONPATH": str(ROOT)}
