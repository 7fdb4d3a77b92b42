"""The door: features of a batch, and the batch folded into the state."""

import numpy as np
from numpy.typing import NDArray

from models.features import inputs, kernel
from models.features.columns import NO_VALUE, TransactionColumns
from models.features.layout import id_fields, number_fields
from models.features.local_time import local_ms
from models.features.profiles import TerminalProfiles
from models.features.state import FeatureState
from schemas.feature_spec import FeatureSpec

NOTHING_KNOWN = TerminalProfiles()


def fold(
    state: FeatureState, columns: TransactionColumns, profiles: TerminalProfiles = NOTHING_KNOWN
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features float32[n, F] of each payment as if scored one by one in order, and bool[n] whether it came too late.

    Changes `state`. A payment older than its card's newest one by more than the allowed lateness is late: scored from what is
    remembered, and leaves no trace. Any other is counted in its own bucket, out of order or not. The histories of other keys
    leave out what is too old for themselves; without a card's history, the first key's decides. profiles: what the whole stream
    knows of the terminals; read, never changed.
    """
    spec = state.spec
    if state.derive is not None:
        columns = state.derive(columns)
    times = np.ascontiguousarray(columns.event_time_ms, dtype=np.int64)
    amounts = np.ascontiguousarray(columns.amount, dtype=np.float64)
    late = np.zeros(len(columns), dtype=np.bool_)
    keys = {field: columns.keys(field) for field in state.keyed if field in columns.ids}
    matrix = np.empty((len(columns), len(spec.features)), dtype=np.float32)
    source, column, log1p = state.plain
    kernel.run_plain(source, column, log1p, amounts, local_ms(times, spec.time_zone), matrix)
    inputs.fill(state.inputs, columns, matrix)
    for place, history in enumerate(state.in_order):
        history.fold(columns, keys, times, amounts, late if place == 0 else late.copy(), matrix)
    if len(state.entity_places):
        matrix[:, state.entity_places] = 0 if columns.entities is None else columns.entities
    if spec.profiled:
        profiles.fill(spec, columns.ids["terminal_id"], times, matrix)
    if "terminal_id" in columns.ids:
        state.days.count(columns.ids["terminal_id"], times, late)
    if "card_id" in keys:
        arrived_ms = times if columns.arrived_ms is None else columns.arrived_ms
        kernel.move_clock(state.clock, state.clock_card, times, arrived_ms, keys["card_id"], late)
    return matrix, late


def warm(spec: FeatureSpec) -> None:
    """Compile the kernels, or load them from numba's cache, so that the first batch does not wait for them."""
    ids: dict[str, list[str]] = {field: ["a"] for field in id_fields(spec)}
    state = FeatureState(spec, cards_max=1)
    numbers = dict.fromkeys(number_fields(spec), np.zeros(1))
    ids |= {name: [NO_VALUE] for name in id_fields(spec) - {"card_id", "terminal_id"}}
    fold(state, TransactionColumns(ids, np.zeros(1, dtype=np.int64), np.zeros(1), numbers=numbers))
    state.capture().arrays()
