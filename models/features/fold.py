"""The door: features of a batch, and the batch folded into the state."""

import numpy as np
from numpy.typing import NDArray

from models.features import index, kernel
from models.features.columns import TransactionColumns
from models.features.local_time import local_ms
from models.features.state import FeatureState
from schemas.feature_spec import FeatureSpec


def fold(state: FeatureState, columns: TransactionColumns) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features float32[n, F] of each payment as if scored one by one in order, and bool[n] whether it came too late.

    Changes `state`. A payment older than the newest one so far by more than the allowed lateness is late: scored from what
    is remembered, and leaves no trace. Any other is counted in its own bucket, out of order or not.
    """
    times = np.ascontiguousarray(columns.event_time_ms, dtype=np.int64)
    amounts = np.ascontiguousarray(columns.amount, dtype=np.float64)
    late, clock_ms = _late(state, times)
    matrix = np.empty((len(columns), len(state.spec.features)), dtype=np.float32)
    local = local_ms(times, state.spec.time_zone)
    words, tags = index.keys_of(columns.card_id)
    memory = state.rows.reshape(-1)
    flat = (memory, memory.view(np.float32), memory.view(np.int64))
    start = 0
    while start < len(columns):
        slots = state.resolve(words[start:], tags[start:], late[start:])
        part = slice(start, start + len(slots))
        kernel.run(
            state.program,
            *flat,
            slots,
            times[part],
            local[part],
            amounts[part],
            late[part],
            matrix[part],
        )
        start += len(slots)
        if start < len(columns):
            state.evict()
    state.clock_ms = clock_ms
    return matrix, late


def _late(state: FeatureState, times: NDArray[np.int64]) -> tuple[NDArray[np.bool_], int]:
    """Which payments are late, each against the clock just before it; and the clock after them all."""
    clocks = np.maximum.accumulate(np.concatenate([[np.int64(state.clock_ms)], times]))
    return times < clocks[:-1] - state.spec.lateness_ms, int(clocks[-1])


def warm(spec: FeatureSpec) -> None:
    """Compile the kernel, or load it from numba's cache, so that the first batch does not wait for it."""
    columns = TransactionColumns(["a"], ["a"], np.zeros(1, dtype=np.int64), np.zeros(1))
    fold(FeatureState(spec, cards_max=1), columns)
