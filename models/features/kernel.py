"""The compiled loop: one payment after the other, features first, then its trace in the card's history.

No fastmath and one fixed order of additions, so the bits do not depend on how the stream was cut into batches.
"""

import math

import numpy as np
from numba import njit

from models.features.layout import (
    EMPTY,
    FIRST_MS,
    HEADS,
    LAST_MS,
    OP_AMOUNT,
    OP_COUNT,
    OP_HOUR,
    OP_IS_NIGHT,
    OP_IS_WEEKEND,
    OP_MAX,
    OP_MEAN,
    OP_RATIO,
    OP_SINCE_FIRST,
    OP_SINCE_LAST,
    OP_STD,
    OP_SUM,
)

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
THURSDAY = 3  # 1970-01-01, Monday = 0
SATURDAY = 5
NIGHT_HOUR_LAST = 6

COUNT, SUM, SPREAD, MAX = range(4)  # columns of the scratch space of windows
ROWS_AHEAD = 16
LINE_WORDS = 16  # a cache line of 64 bytes

compiled = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def _touch(words, row_words, slots):  # type: ignore[no-untyped-def]
    """Load rows into the cache. The loads do not wait for each other, so many rows cost little more than one."""
    total = np.uint32(0)
    for slot in slots:
        for word in range(slot * row_words, (slot + 1) * row_words, LINE_WORDS):
            total ^= words[word]
    return total


@compiled
def _read_plain(words, numbers, at, column, buckets, steps, plane, out):  # type: ignore[no-untyped-def]
    """Add `steps` buckets backwards from `column` to out: counts and sums."""
    count = 0
    total = out[SUM]
    for _ in range(steps):
        count += words[at + column]
        total += numbers[at + column + plane]
        column = column - 1 if column > 0 else buckets - 1
    out[COUNT] += count
    out[SUM] = total
    return column


@compiled
def _read_full(words, numbers, at, column, buckets, steps, program, out):  # type: ignore[no-untyped-def]
    """The same with spreads and maxima. `out` holds the present payment already, so its count is at least 1."""
    for _ in range(steps):
        n = words[at + column]
        if n > 0:
            total = numbers[at + column + program.sum_plane * buckets]
            if program.spread_plane > 0:  # two groups merged: Chan, Golub and LeVeque 1979
                gap = total / n - out[SUM] / out[COUNT]
                spread = numbers[at + column + program.spread_plane * buckets]
                out[SPREAD] += spread + gap * gap * out[COUNT] * n / (out[COUNT] + n)
            if program.max_plane > 0:
                out[MAX] = max(out[MAX], np.float64(numbers[at + column + program.max_plane * buckets]))
            if program.sum_plane > 0:
                out[SUM] += total
            out[COUNT] += n
        column = column - 1 if column > 0 else buckets - 1
    return column


@compiled
def _read_ring(program, ring, words, numbers, at, now, head, windows):  # type: ignore[no-untyped-def]
    """Fill the ring's windows, which end in bucket `now`; each goes on where the shorter one before it stopped."""
    buckets = program.ring_buckets[ring]
    bucket = min(now, head)
    column = bucket % buckets
    for window in range(program.ring_windows[ring], program.ring_windows[ring + 1]):
        if window > program.ring_windows[ring]:
            windows[window] = windows[window - 1]
        oldest = max(now - program.window_buckets[window] + 1, head - buckets + 1)
        steps = max(bucket - oldest + 1, 0)
        if program.max_plane > 0 or program.spread_plane > 0:
            column = _read_full(words, numbers, at, column, buckets, steps, program, windows[window])
        else:
            column = _read_plain(words, numbers, at, column, buckets, steps, program.sum_plane * buckets, windows[window])
        bucket -= steps


@compiled
def _remember(program, ring, words, numbers, at, now, head, amount):  # type: ignore[no-untyped-def]
    """Fold one payment into a ring whose newest bucket is `head`."""
    buckets = program.ring_buckets[ring]
    column = now % buckets
    planes = 1 + max(program.sum_plane, program.spread_plane, program.max_plane)
    stale = column
    for _ in range(min(max(now - head, 0), buckets)):
        for plane in range(planes):
            words[at + plane * buckets + stale] = 0  # the bits of 0.0 too
        stale = stale - 1 if stale > 0 else buckets - 1
    at += column
    n = words[at]
    if program.spread_plane > 0 and n > 0:
        gap = amount - numbers[at + program.sum_plane * buckets] / n
        numbers[at + program.spread_plane * buckets] += gap * gap * n / (n + 1.0)
    words[at] = n + 1
    if program.sum_plane > 0:
        numbers[at + program.sum_plane * buckets] += amount
    if program.max_plane > 0:
        largest = at + program.max_plane * buckets
        numbers[largest] = max(np.float64(numbers[largest]), amount)


@compiled
def _value(op, argument, amount, time_ms, local_ms, first_ms, last_ms, windows):  # type: ignore[no-untyped-def]
    """One feature."""
    if op == OP_COUNT:
        return windows[argument, COUNT]
    if op == OP_MEAN:
        return windows[argument, SUM] / windows[argument, COUNT]
    if op == OP_RATIO:  # a mean of 0 means that the present amount is 0 too
        total = windows[argument, SUM]
        return amount * windows[argument, COUNT] / total if total > 0.0 else 1.0
    if op == OP_SUM:
        return windows[argument, SUM]
    if op == OP_MAX:
        return windows[argument, MAX]
    if op == OP_STD:
        return math.sqrt(windows[argument, SPREAD] / windows[argument, COUNT])
    if op == OP_AMOUNT:
        return amount
    if op == OP_HOUR:
        return (local_ms % DAY_MS) / HOUR_MS
    if op == OP_IS_NIGHT:
        return 1.0 if (local_ms % DAY_MS) // HOUR_MS <= NIGHT_HOUR_LAST else 0.0
    if op == OP_IS_WEEKEND:
        return 1.0 if (local_ms // DAY_MS + THURSDAY) % 7 >= SATURDAY else 0.0
    if op == OP_SINCE_LAST:
        return argument / 1000.0 if last_ms == EMPTY else min(max(time_ms - last_ms, 0), argument) / 1000.0
    if op == OP_SINCE_FIRST:
        return 0.0 if first_ms == EMPTY else min(max(time_ms - first_ms, 0), argument) / 1000.0
    raise ValueError("unknown operation")


@compiled
def _payment(program, words, numbers, times, slot, time_ms, local_ms, amount, late, windows, out):  # type: ignore[no-untyped-def]
    """Features of one payment into `out`, then its trace unless it is late."""
    at = slot * program.row_words
    row_times = at // 2
    for ring in range(program.ring_bucket_ms.shape[0]):
        first = program.ring_windows[ring]
        windows[first, COUNT], windows[first, SUM], windows[first, SPREAD], windows[first, MAX] = 1.0, amount, 0.0, amount
        now = time_ms // program.ring_bucket_ms[ring]
        head = times[row_times + HEADS + ring]
        _read_ring(program, ring, words, numbers, at + program.ring_start[ring], now, head, windows)
        if not late:
            _remember(program, ring, words, numbers, at + program.ring_start[ring], now, head, amount)
            times[row_times + HEADS + ring] = max(now, head)
    first_ms = times[row_times + FIRST_MS]
    last_ms = times[row_times + LAST_MS]
    for feature in range(program.ops.shape[0]):
        op, argument = program.ops[feature], program.arguments[feature]
        value = _value(op, argument, amount, time_ms, local_ms, first_ms, last_ms, windows)
        out[feature] = math.log1p(value) if program.log1p[feature] else value
    if not late:
        times[row_times + LAST_MS] = max(last_ms, time_ms)
        times[row_times + FIRST_MS] = time_ms if first_ms == EMPTY else min(first_ms, time_ms)


@compiled
def run(program, words, numbers, times, slots, time_ms, local_ms, amounts, late, matrix):  # type: ignore[no-untyped-def]
    """Score and fold n payments, in order.

    words uint32, numbers float32, times int64: the rows' one memory, flat. slots, time_ms, local_ms: int64[n].
    amounts: float64[n]. late: bool[n], not folded. matrix: float32[n, F], filled.
    """
    windows = np.empty((program.window_buckets.shape[0], 4), dtype=np.float64)
    touched = np.uint32(0)
    for row in range(slots.shape[0]):
        if row % ROWS_AHEAD == 0:
            touched ^= _touch(words, program.row_words, slots[row : row + ROWS_AHEAD])
        _payment(
            program,
            words,
            numbers,
            times,
            slots[row],
            time_ms[row],
            local_ms[row],
            amounts[row],
            late[row],
            windows,
            matrix[row],
        )
    return touched  # so that the compiler keeps the loads
