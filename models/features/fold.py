"""The door: features of a batch, and the batch folded into the state."""

import numpy as np
from numpy.typing import NDArray

from models.features import kernel
from models.features.columns import TransactionColumns
from models.features.layout import id_fields
from models.features.local_time import local_ms
from models.features.profiles import TerminalProfiles
from models.features.state import FeatureState
from schemas.feature_spec import FeatureSpec

NOTHING_KNOWN = TerminalProfiles()


def fold(
    state: FeatureState, columns: TransactionColumns, profiles: TerminalProfiles = NOTHING_KNOWN
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features float32[n, F] of each payment as if scored one by one in order, and bool[n] whether it came too late.

    Changes `state`. A payment older than the newest one so far by more than the allowed lateness is late: scored from what
    is remembered, and leaves no trace. Any other is counted in its own bucket, out of order or not. profiles: what the whole
    stream knows of the terminals; read, never changed.
    """
    spec = state.spec
    times = np.ascontiguousarray(columns.event_time_ms, dtype=np.int64)
    amounts = np.ascontiguousarray(columns.amount, dtype=np.float64)
    late, clock_ms = _late(state, times)
    matrix = np.empty((len(columns), len(spec.features)), dtype=np.float32)
    source, column, log1p = state.plain
    kernel.run_plain(source, column, log1p, amounts, local_ms(times, spec.time_zone), matrix)
    for history in state.histories.values():
        history.fold(columns, times, amounts, late, matrix)
    if state.days is not None:
        terminal_ids = columns.ids["terminal_id"]
        profiles.fill(spec, terminal_ids, times, matrix)
        state.days.count(terminal_ids, times, late)
    state.clock_ms = clock_ms
    return matrix, late


def _late(state: FeatureState, times: NDArray[np.int64]) -> tuple[NDArray[np.bool_], int]:
    """Which payments are late, each against the clock just before it; and the clock after them all."""
    clocks = np.maximum.accumulate(np.concatenate([[np.int64(state.clock_ms)], times]))
    return times < clocks[:-1] - state.spec.lateness_ms, int(clocks[-1])


def warm(spec: FeatureSpec) -> None:
    """Compile the kernels, or load them from numba's cache, so that the first batch does not wait for them."""
    ids = {field: ["a"] for field in id_fields(spec)}
    fold(FeatureState(spec, cards_max=1), TransactionColumns(ids, np.zeros(1, dtype=np.int64), np.zeros(1)))
