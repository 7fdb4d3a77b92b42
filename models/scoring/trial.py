"""The process that tries a graph within limits: `models.scoring.child_check` starts it. It imports as little as it can."""

import io
import resource
import sys

import numpy as np

from models.bundle.graph import INPUT, OUTPUTS
from models.scoring.devices import open_session

CPU_S_MAX = 30
TRIAL_ROWS = 1024
"""As many as a scorer runs at once."""

PASSED, NO_NUMBERS = 0, 3


def main() -> int:
    """Exit status: PASSED, NO_NUMBERS, or that of an exception, whose last line says why."""
    memory = int(sys.argv[1]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    rows = given["rows"]
    session = open_session(given["graph"].tobytes(), ["CPUExecutionProvider"])
    answers = session.run(list(OUTPUTS), {INPUT: rows})
    session.run(list(OUTPUTS), {INPUT: np.zeros((TRIAL_ROWS, rows.shape[1]), np.float32)})
    return PASSED if all(np.isfinite(answer).all() for answer in answers) else NO_NUMBERS


if __name__ == "__main__":
    sys.exit(main())
