"""`python -m tests.chaos.shifted`: a scorer whose wall clock is wrong by TEST_CLOCK_SHIFT_S seconds.

Patches Python's clocks before anything of the scorer is loaded: everything that it decides, it decides in Python.
libfaketime would do the same for C code, and is not on every machine.
"""

import os
import runpy
import time

SHIFT_S = int(os.environ["TEST_CLOCK_SHIFT_S"])
_time, _time_ns = time.time, time.time_ns


def _shifted_time() -> float:
    return _time() + SHIFT_S


def _shifted_time_ns() -> int:
    return _time_ns() + SHIFT_S * 1_000_000_000


if __name__ == "__main__":
    time.time, time.time_ns = _shifted_time, _shifted_time_ns
    runpy.run_module("services.scorer", run_name="__main__")
