"""A bundle's graph is loaded and asked its golden rows in a process of its own first, with limits of memory and time.

What a graph costs is bounded by its walk (`models.bundle.graph_shapes`); what ONNX Runtime makes of it is tried where a crash,
a loop or a hunger for memory ends a child and not a scorer. The child gets the walked graph and rows, no key and no setting.
"""

import io
import os
import subprocess
import sys

import numpy as np

from models.bundle.files import BundleError
from models.bundle.load import Bundle
from models.scoring.trial import CPU_S_MAX, NO_NUMBERS, PASSED

MEMORY_MIB_MAX = 4096
"""Of address space, of which ONNX Runtime and numpy take some 1,500 before a graph is there."""

WALL_S_MAX = 60.0

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "TMPDIR")


def check_in_child(bundle: Bundle, memory_mib_max: int = MEMORY_MIB_MAX, wall_s_max: float = WALL_S_MAX) -> None:
    """Raises BundleError where the child does not load and run the graph within the limits, or an answer is not a number."""
    name = f"{bundle.manifest.name}/{bundle.manifest.version}"
    rows = np.array(bundle.golden.rows if bundle.golden else bundle.reference.background, np.float32)
    given = io.BytesIO()
    np.savez(given, graph=np.frombuffer(bundle.model, np.uint8), rows=rows)
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(part for part in sys.path if part)
    command = [sys.executable, "-m", "models.scoring.trial", str(memory_mib_max)]
    try:
        done = subprocess.run(
            command, input=given.getvalue(), env=environment, capture_output=True, timeout=wall_s_max, check=False
        )
    except subprocess.TimeoutExpired:
        raise BundleError(
            f"{name} is refused: loading and running its graph once takes more than {wall_s_max:g} s.", "graph"
        ) from None
    except OSError as error:
        raise BundleError(f"{name} cannot be tried in a process of its own: {error.strerror}.", "graph") from None
    if done.returncode == NO_NUMBERS:
        raise BundleError(f"{name} is refused: it answers with what is no number.", "golden")
    if done.returncode != PASSED:
        how = f"ended with signal {-done.returncode}" if done.returncode < 0 else "failed"
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no words"])[-1][:200]
        raise BundleError(
            f"{name} is refused: loading and running its graph in a process of its own, with {memory_mib_max} MiB and "
            f"{CPU_S_MAX} s, {how}: {last}",
            "graph",
        )
