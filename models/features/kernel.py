"""The compiled loop: one payment after the other, features first, then its trace in the card's history.

No fastmath and one fixed order of additions, so the bits do not depend on how the stream was cut into batches. Inner
functions take whole arrays and offsets: a slice handed over costs more than the arithmetic behind it.
"""

import math

import numpy as np

from models.compiled import compiled

# numba's cache notices a change of this file only: a constant that compiled code reads is defined beside that code.

AMOUNT, HOUR, IS_NIGHT, IS_WEEKEND, PLAIN = range(5)
"""What a payment says on its own."""

SINCE_LAST, SINCE_FIRST, WINDOWS = range(3)
"""The registers of a key's history: what is computed for every payment. From WINDOWS on, stretches of one a window."""

COUNT, SUM, MEAN, MAX, STD, RATIO, DISTINCT = range(7)
"""The registers of a window; from DISTINCT on one for each field whose different values are counted."""

ID_BYTES, ID_WORDS = 64, 16
"""A row begins with the card's id in UTF-8, padded; see `index`."""

FIRST_MS, LAST_MS, HEADS = 8, 9, 10
"""Columns of a row read as int64: first and last event time; from HEADS on the newest bucket of each ring.

After them, a word for each ring: how many of its buckets, back from the newest, hold anything; older ones are void.
"""

EMPTY = -(2**62)
"""In the times: nothing yet."""

EVENTS_MAX = 255

SKETCH_BITS = 64
"""Bits of a bucket for each field whose different values are counted: linear counting, Whang et al. 1990."""

ESTIMATE = np.round(SKETCH_BITS * np.log(SKETCH_BITS / np.maximum(SKETCH_BITS - np.arange(SKETCH_BITS + 1.0), 1.0)))
"""How many different values, by the number of bits that they set."""

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
THURSDAY = 3  # 1970-01-01, Monday = 0
SATURDAY = 5
NIGHT_HOUR_LAST = 6

ROWS_AHEAD = 16
LINE_WORDS = 16  # a cache line of 64 bytes


@compiled
def _touch(words, row_words, slots, first):  # type: ignore[no-untyped-def]
    """Load the next rows into the cache. The loads do not wait for each other: many rows cost little more than one."""
    total = np.uint32(0)
    for row in range(first, min(first + ROWS_AHEAD, slots.shape[0])):
        for word in range(slots[row] * row_words, (slots[row] + 1) * row_words, LINE_WORDS):
            total ^= words[word]
    return total


@compiled
def run_plain(sources, columns, log1p, amounts, local_ms, matrix):  # type: ignore[no-untyped-def]
    """Fill the columns of the features that need no history. sources: int64, which of the PLAIN ones."""
    registers = np.empty(PLAIN, dtype=np.float64)
    for row in range(amounts.shape[0]):
        of_day_ms = local_ms[row] % DAY_MS
        registers[AMOUNT] = amounts[row]
        registers[HOUR] = of_day_ms / HOUR_MS
        registers[IS_NIGHT] = 1.0 if of_day_ms // HOUR_MS <= NIGHT_HOUR_LAST else 0.0
        registers[IS_WEEKEND] = 1.0 if (local_ms[row] // DAY_MS + THURSDAY) % 7 >= SATURDAY else 0.0
        for feature in range(sources.shape[0]):
            value = registers[sources[feature]]
            matrix[row, columns[feature]] = math.log1p(value) if log1p[feature] else value


@compiled
def _bits(word):  # type: ignore[no-untyped-def]
    """How many bits of a uint32 are set."""
    word -= (word >> np.uint32(1)) & np.uint32(0x55555555)
    word = (word & np.uint32(0x33333333)) + ((word >> np.uint32(2)) & np.uint32(0x33333333))
    word = (word + (word >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return ((word * np.uint32(0x01010101)) >> np.uint32(24)) & np.uint32(0xFF)  # numba multiplies in 64 bits


@compiled
def _read_ring(words, numbers, here, bucket_layout, now, newest, amount, windows, of_window, registers):  # type: ignore[no-untyped-def]
    """The registers of a ring's windows, which end in bucket `now`; each continues where the next shorter one stopped.

    here: word of the ring's first bucket, and how many it has. newest: bucket, and how many back from it are not void.
    windows: first and last + 1.
    of_window: how many buckets each has, and how many registers. The present payment is included.
    """
    sum_at, m2_at, max_at, _, stride = bucket_layout
    (at, buckets), (head, span), (window_buckets, per_window) = here, newest, of_window
    count, total, m2, largest = np.int64(1), amount, 0.0, amount
    bucket = min(now, head)
    word = at + bucket % buckets * stride
    for window in range(windows[0], windows[1]):
        oldest = max(now - window_buckets[window], head - span) + 1
        while bucket >= oldest:
            n = np.int64(words[word])
            if m2_at > 0 and n > 0:  # two groups merged: Chan, Golub and LeVeque 1979
                gap = numbers[word + sum_at] / n - total / count
                m2 += numbers[word + m2_at] + gap * gap * count * n / (count + n)
            if max_at > 0 and n > 0:  # an empty bucket's 0 is above a refund
                largest = max(largest, np.float64(numbers[word + max_at]))
            if sum_at > 0:
                total += numbers[word + sum_at]
            count += n  # an empty bucket adds nothing; to ask first costs more than to add
            word = word - stride if word > at else at + (buckets - 1) * stride
            bucket -= 1
        register = WINDOWS + window * per_window
        mean = total / count
        registers[register + COUNT] = count
        registers[register + SUM] = total
        registers[register + MEAN] = mean
        registers[register + MAX] = largest
        registers[register + STD] = math.sqrt(m2 / count) if m2_at > 0 else 0.0
        registers[register + RATIO] = amount / mean if mean > 0.0 else 1.0  # a mean of 0: the present amount is 0 too


@compiled
def _read_sketch(words, here, bucket_layout, now, newest, windows, of_window, mark, field, registers):  # type: ignore[no-untyped-def]
    """The registers of a ring's windows that count different values of one field. mark: the present value's bit."""
    (at, buckets), (head, span), (window_buckets, per_window) = here, newest, of_window
    sketch_at, stride = bucket_layout[3], bucket_layout[4]
    low, high = np.uint32(mark & np.uint64(0xFFFFFFFF)), np.uint32(mark >> np.uint64(32))
    bucket = min(now, head)
    for window in range(windows[0], windows[1]):
        oldest = max(now - window_buckets[window], head - span) + 1
        while bucket >= oldest:
            word = at + bucket % buckets * stride + sketch_at + 2 * field
            low |= words[word]
            high |= words[word + 1]
            bucket -= 1
        registers[WINDOWS + window * per_window + DISTINCT + field] = ESTIMATE[_bits(low) + _bits(high)]


@compiled
def _clear(words, at, buckets, stride, last, number):  # type: ignore[no-untyped-def]
    """Empty so many buckets, back from `last`."""
    word = at + last % buckets * stride
    for _ in range(number):
        for plane in range(stride):
            words[word + plane] = 0  # the bits of 0.0 too
        word = word - stride if word > at else at + (buckets - 1) * stride


@compiled
def _remember(words, numbers, here, bucket_layout, now, newest, amount, sketch_bits, row):  # type: ignore[no-untyped-def]
    """Fold one payment into a ring; the newest bucket and how many are not void, afterwards."""
    sum_at, m2_at, max_at, sketch_at, stride = bucket_layout
    (at, buckets), (head, span) = here, newest
    if now > head:  # there were no payments in between; void buckets are not touched
        near = now - head < buckets
        _clear(words, at, buckets, stride, now, now - head if near else 1)
        span = min(span + now - head, buckets) if near else 1
        head = now
    elif now <= head - span:
        _clear(words, at, buckets, stride, head - span, head - span - now + 1)
        span = head - now + 1
    word = at + now % buckets * stride
    n = words[word]
    if m2_at > 0 and n > 0:
        gap = amount - numbers[word + sum_at] / n
        numbers[word + m2_at] += gap * gap * n / (n + 1.0)
    words[word] = n + 1
    if sum_at > 0:
        numbers[word + sum_at] += amount
    if max_at > 0:
        numbers[word + max_at] = max(np.float64(numbers[word + max_at]), amount) if n > 0 else amount
    for field in range(sketch_bits.shape[1]):
        words[word + sketch_at + 2 * field + sketch_bits[row, field] // 32] |= np.uint32(1) << np.uint32(
            sketch_bits[row, field] % 32
        )
    return head, span


@compiled
def run(program, lateness_ms, words, numbers, times, events, slots, time_ms, amounts, sketch_bits, late, matrix):  # type: ignore[no-untyped-def]
    """Score and fold n payments of one key, in order, into its columns of the matrix.

    words uint32, numbers float32, times int64: the rows' one memory, flat. events: uint8[rows], payments remembered, up to
    EVENTS_MAX. slots, time_ms: int64[n]. amounts: float64[n].
    sketch_bits: uint8[n, fields], which bit stands for the value. matrix: float32[n, F]. late: bool[n], not folded; filled
    up with those older than the newest of their own row by more than lateness_ms: no other id's times matter.
    """
    (
        bucket_ms,
        buckets,
        starts,
        ring_windows,
        window_buckets,
        source,
        column,
        at_most,
        log1p,
        bucket_layout,
        row_words,
    ) = program
    per_window = DISTINCT + sketch_bits.shape[1]
    of_window = (window_buckets, per_window)
    registers = np.empty(WINDOWS + window_buckets.shape[0] * per_window, dtype=np.float64)
    rings = bucket_ms.shape[0]
    touched = np.uint32(0)
    for row in range(slots.shape[0]):
        if row % ROWS_AHEAD == 0:
            touched ^= _touch(words, row_words, slots, row)
        at, time, amount = slots[row] * row_words, time_ms[row], amounts[row]
        key = at // 2
        spans = at + 2 * (HEADS + rings)
        first_ms, last_ms = times[key + FIRST_MS], times[key + LAST_MS]
        if time < last_ms - lateness_ms:
            late[row] = True
        registers[SINCE_LAST] = np.inf if last_ms == EMPTY else max(time - last_ms, 0) / 1000.0
        registers[SINCE_FIRST] = 0.0 if first_ms == EMPTY else max(time - first_ms, 0) / 1000.0
        for ring in range(rings):
            now, ring_at = time // bucket_ms[ring], at + starts[ring]
            newest = (times[key + HEADS + ring], np.int64(words[spans + ring]))
            here, windows = (ring_at, buckets[ring]), (ring_windows[ring], ring_windows[ring + 1])
            _read_ring(words, numbers, here, bucket_layout, now, newest, amount, windows, of_window, registers)
            for field in range(sketch_bits.shape[1]):
                mark = np.uint64(1) << np.uint64(sketch_bits[row, field])
                _read_sketch(words, here, bucket_layout, now, newest, windows, of_window, mark, field, registers)
            if not late[row]:
                head, span = _remember(words, numbers, here, bucket_layout, now, newest, amount, sketch_bits, row)
                times[key + HEADS + ring] = head
                words[spans + ring] = span
        for feature in range(source.shape[0]):
            value = min(registers[source[feature]], at_most[feature])
            matrix[row, column[feature]] = math.log1p(value) if log1p[feature] else value
        if not late[row]:
            times[key + FIRST_MS] = time if first_ms == EMPTY else min(first_ms, time)
            times[key + LAST_MS] = max(last_ms, time)
            count = 0 if first_ms == EMPTY else events[slots[row]]
            events[slots[row]] = min(count + 1, EVENTS_MAX)
    return touched  # so that the compiler keeps the loads


@compiled
def move_clock(clock, card, times, arrived_ms, words, late):  # type: ignore[no-untyped-def]
    """Move a partition's clock over n payments, in order: the newest time that two different cards have reached.

    clock: int64[2], the time, and the newest of one card alone; card: uint32[16], that card's id. A payment's time is at most
    that of its arrival in the log. So no card on its own moves the clock, whatever it says. Late payments do not count.
    """
    for row in range(times.shape[0]):
        time = min(times[row], arrived_ms[row])
        if late[row] or time <= clock[0]:
            continue
        same = clock[1] != EMPTY
        for word in range(card.shape[0]):
            same &= card[word] == words[row, word]
        if not same:
            clock[0] = max(clock[0], min(time, clock[1]))
        if time > clock[1]:
            clock[1] = time
            for word in range(card.shape[0]):
                card[word] = words[row, word]
