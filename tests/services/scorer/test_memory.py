"""Swapping models for ever must not fill memory: ONNX Runtime's arenas and destroyed sessions have been known to stay."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.services.harness import ROOT
from tests.services.scorer.swapping import SWAPS

WARM_SWAPS = 300
"""Until the allocator has all the arenas that the threads ask for, some 50 MB."""

BYTES_MAX = 12_000_000
"""Far less than 200 sessions of this graph would take: 0.6 MB of weights each, and their arenas."""


def test_200_swaps_leave_resident_memory_flat(tmp_path: Path) -> None:
    """Of a process that does nothing else: the test run's own memory grows and shrinks as it likes."""
    command = [sys.executable, "-m", "tests.services.scorer.swapping", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    sizes = json.loads(done.stdout.splitlines()[-1])
    assert len(sizes) == SWAPS
    before, after = np.median(sizes[WARM_SWAPS : WARM_SWAPS + 20]), np.median(sizes[-20:])
    assert after - before < BYTES_MAX, [size // 1_000_000 for size in sizes[::10]]
