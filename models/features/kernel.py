"""The compiled loop: one payment after the other, features first, then its trace in the card's history.

No fastmath and one fixed order of additions, so the bits do not depend on how the stream was cut into batches. Inner
functions take whole arrays and offsets: a slice handed over costs more than the arithmetic behind it.
"""

import math

import numpy as np
from numba import njit

# numba's cache notices a change of this file only: a constant that compiled code reads is defined beside that code.

AMOUNT, HOUR, IS_NIGHT, IS_WEEKEND, SINCE_LAST, SINCE_FIRST, WINDOWS = range(7)
"""The kernel's registers: what it computes for every payment. From WINDOWS on PER_WINDOW for each window."""

COUNT, SUM, MEAN, MAX, STD, RATIO, PER_WINDOW = range(7)
"""The registers of a window."""

ID_BYTES, ID_WORDS = 64, 16
"""A row begins with the card's id in UTF-8, padded; see `index`."""

FIRST_MS, LAST_MS, HEADS = 8, 9, 10
"""Columns of a row read as int64: first and last event time; from HEADS on the newest bucket of each ring."""

EMPTY = -(2**62)
"""In the times: nothing yet."""

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
THURSDAY = 3  # 1970-01-01, Monday = 0
SATURDAY = 5
NIGHT_HOUR_LAST = 6

ROWS_AHEAD = 16
LINE_WORDS = 16  # a cache line of 64 bytes

compiled = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def _touch(words, row_words, slots, first):  # type: ignore[no-untyped-def]
    """Load the next rows into the cache. The loads do not wait for each other: many rows cost little more than one."""
    total = np.uint32(0)
    for row in range(first, min(first + ROWS_AHEAD, slots.shape[0])):
        for word in range(slots[row] * row_words, (slots[row] + 1) * row_words, LINE_WORDS):
            total ^= words[word]
    return total


@compiled
def _read_clock(time_ms, local_ms, first_ms, last_ms, registers):  # type: ignore[no-untyped-def]
    """The registers of the calendar and of the card's first and last payment."""
    of_day_ms = local_ms % DAY_MS
    registers[HOUR] = of_day_ms / HOUR_MS
    registers[IS_NIGHT] = 1.0 if of_day_ms // HOUR_MS <= NIGHT_HOUR_LAST else 0.0
    registers[IS_WEEKEND] = 1.0 if (local_ms // DAY_MS + THURSDAY) % 7 >= SATURDAY else 0.0
    registers[SINCE_LAST] = np.inf if last_ms == EMPTY else max(time_ms - last_ms, 0) / 1000.0
    registers[SINCE_FIRST] = 0.0 if first_ms == EMPTY else max(time_ms - first_ms, 0) / 1000.0


@compiled
def _read_ring(words, numbers, at, buckets, planes, now, head, amount, windows, window_buckets, registers):  # type: ignore[no-untyped-def]
    """The registers of a ring's windows, which end in bucket `now`; each goes on where the shorter one before it stopped.

    at: word of the ring's first count. windows: first and last + 1. The present payment is included.
    """
    sum_plane, spread_plane, max_plane = planes
    count, total, spread, largest = 1.0, amount, 0.0, amount
    bucket = min(now, head)
    column = at + bucket % buckets
    for window in range(windows[0], windows[1]):
        oldest = max(now - window_buckets[window] + 1, head - buckets + 1)
        while bucket >= oldest:
            n = words[column]
            if spread_plane > 0 and n > 0:  # two groups merged: Chan, Golub and LeVeque 1979
                gap = numbers[column + sum_plane * buckets] / n - total / count
                spread += numbers[column + spread_plane * buckets] + gap * gap * count * n / (count + n)
            if max_plane > 0:
                largest = max(largest, np.float64(numbers[column + max_plane * buckets]))
            if sum_plane > 0:
                total += numbers[column + sum_plane * buckets]
            count += n
            column = column - 1 if column > at else at + buckets - 1
            bucket -= 1
        register = WINDOWS + window * PER_WINDOW
        mean = total / count
        registers[register + COUNT] = count
        registers[register + SUM] = total
        registers[register + MEAN] = mean
        registers[register + MAX] = largest
        registers[register + STD] = math.sqrt(spread / count) if spread_plane > 0 else 0.0
        registers[register + RATIO] = amount / mean if mean > 0.0 else 1.0  # a mean of 0: the present amount is 0 too


@compiled
def _remember(words, numbers, at, buckets, planes, now, head, amount):  # type: ignore[no-untyped-def]
    """Fold one payment into a ring whose newest bucket is `head`."""
    sum_plane, spread_plane, max_plane = planes
    planes_kept = 1 + max(sum_plane, spread_plane, max_plane)
    column = at + now % buckets
    if now - head >= buckets:
        for word in range(at, at + planes_kept * buckets):
            words[word] = 0  # the bits of 0.0 too
    else:
        stale = column
        for _ in range(now - head):
            for plane in range(planes_kept):
                words[stale + plane * buckets] = 0
            stale = stale - 1 if stale > at else at + buckets - 1
    n = words[column]
    if spread_plane > 0 and n > 0:
        gap = amount - numbers[column + sum_plane * buckets] / n
        numbers[column + spread_plane * buckets] += gap * gap * n / (n + 1.0)
    words[column] = n + 1
    if sum_plane > 0:
        numbers[column + sum_plane * buckets] += amount
    if max_plane > 0:
        largest = column + max_plane * buckets
        numbers[largest] = max(np.float64(numbers[largest]), amount)


@compiled
def run(program, words, numbers, times, slots, time_ms, local_ms, amounts, late, matrix):  # type: ignore[no-untyped-def]
    """Score and fold n payments, in order.

    words uint32, numbers float32, times int64: the rows' one memory, flat. slots, time_ms, local_ms: int64[n].
    amounts: float64[n]. late: bool[n], not folded. matrix: float32[n, F], filled.
    """
    bucket_ms, buckets, starts, ring_windows, window_buckets, source, at_most, log1p, planes, row_words = program
    registers = np.empty(WINDOWS + window_buckets.shape[0] * PER_WINDOW, dtype=np.float64)
    touched = np.uint32(0)
    for row in range(slots.shape[0]):
        if row % ROWS_AHEAD == 0:
            touched ^= _touch(words, row_words, slots, row)
        at, time, amount = slots[row] * row_words, time_ms[row], amounts[row]
        card = at // 2
        registers[AMOUNT] = amount
        _read_clock(time, local_ms[row], times[card + FIRST_MS], times[card + LAST_MS], registers)
        for ring in range(bucket_ms.shape[0]):
            now, head, ring_at = time // bucket_ms[ring], times[card + HEADS + ring], at + starts[ring]
            windows = (ring_windows[ring], ring_windows[ring + 1])
            _read_ring(
                words, numbers, ring_at, buckets[ring], planes, now, head, amount, windows, window_buckets, registers
            )
            if not late[row]:
                _remember(words, numbers, ring_at, buckets[ring], planes, now, head, amount)
                times[card + HEADS + ring] = max(now, head)
        for feature in range(source.shape[0]):
            value = min(registers[source[feature]], at_most[feature])
            matrix[row, feature] = math.log1p(value) if log1p[feature] else value
        if not late[row]:
            first_ms = times[card + FIRST_MS]
            times[card + FIRST_MS] = time if first_ms == EMPTY else min(first_ms, time)
            times[card + LAST_MS] = max(times[card + LAST_MS], time)
    return touched  # so that the compiler keeps the loads
