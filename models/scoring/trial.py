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
    _limit(resource.RLIMIT_AS, int(sys.argv[1]) << 20)
    _limit(resource.RLIMIT_CPU, CPU_S_MAX)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    rows = given["rows"]
    session = open_session(given["graph"].tobytes(), ["CPUExecutionProvider"])
    answers = session.run(list(OUTPUTS), {INPUT: rows})
    session.run(list(OUTPUTS), {INPUT: np.zeros((TRIAL_ROWS, rows.shape[1]), np.float32)})
    return PASSED if all(np.isfinite(answer).all() for answer in answers) else NO_NUMBERS


def _limit(kind: int, most: int) -> None:
    """No more than `most`, nor than what we were given: a hard limit below it cannot be raised."""
    hard = resource.getrlimit(kind)[1]
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))


if __name__ == "__main__":
    sys.exit(main())
