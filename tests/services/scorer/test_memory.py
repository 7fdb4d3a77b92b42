"""Swapping models for ever must not fill memory: ONNX Runtime's arenas and destroyed sessions have been known to stay."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.services.harness import ROOT
from tests.services.scorer.swapping import SWAPS

WARM_SWAPS = 300
"""Until the allocator has most of the arenas that the threads ask for, some 50 MB."""

BLOCK = 20
"""Swaps whose median is one size."""

RISE_BYTES_MAX = 1_200_000
"""A block, usually: 60 kB a swap, where a session of this graph that stays takes ten times as much and its arenas.

The median, since an arena that a thread asks for late is a step of up to 20 MB, once; a leak rises in every block.
"""

BYTES_MAX = 60_000_000
"""In all: half of what 200 sessions that stay would take, should they come in steps."""


@pytest.mark.slow
def test_200_swaps_leave_resident_memory_flat(tmp_path: Path) -> None:
    """Of a process that does nothing else: the test run's own memory grows and shrinks as it likes."""
    command = [sys.executable, "-m", "tests.services.scorer.swapping", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    sizes = json.loads(done.stdout.splitlines()[-1])
    assert len(sizes) == SWAPS
    blocks = np.median(np.reshape(sizes[WARM_SWAPS:], (-1, BLOCK)), axis=1)
    assert np.median(np.diff(blocks)) < RISE_BYTES_MAX, blocks
    assert blocks[-1] - blocks[0] < BYTES_MAX, blocks
