"""The compiled loop behind `kernel`: windows over the numbers of a series, and whom or what a key has met.

As there: one payment after the other, features first, then its trace; one fixed order of additions, no fastmath.
"""

import math

import numpy as np

from models.compiled import compiled

# numba's cache notices a change of this file only: what compiled code reads or calls is defined beside that code, so `_clear`
# and `_add` stand here and in `kernel`. One that both called would leave the other's old code in the cache.

COUNT, SUM, MEAN, MAX, STD, RATIO, REGISTERS = range(7)
"""The registers of a window."""

FIRST, MET, SINCE = range(3)
"""What a feature says of a meeting."""

TABLE_HEAD_WORDS, SLOT_WORDS = 1, 3
"""A table: how many slots are used; then the seconds of all slots, then the lower and the upper halves of their ids' hashes."""

PLACE_COLUMNS = 3
"""A place: time in ms, latitude, longitude, of 8 bytes each."""

EARTH_KM = 6371.0088
"""Mean radius (IUGG)."""

SECOND_MS, HOUR_MS = 1_000, 3_600_000

EMPTY = -(2**62)
"""In the heads: nothing yet. The first head is the mark: whether the row holds anything of this."""


@compiled
def _read_ring(words, numbers, at, buckets, layout, now, head, span, value, windows, window_buckets, registers):  # type: ignore[no-untyped-def]
    """The registers of a ring's windows, which end in bucket `now`. value: the present payment's, NaN where it does not count.

    windows: first and last + 1. NaN in a register: nothing counts.
    """
    sum_at, m2_at, max_at, stride = layout[0], layout[1], layout[2], layout[3]
    counts = value == value
    count, total = (np.int64(1), value) if counts else (np.int64(0), 0.0)
    m2, largest = 0.0, value if counts else -np.inf
    bucket = min(now, head)
    word = at + bucket % buckets * stride
    for window in range(windows[0], windows[1]):
        oldest = max(now - window_buckets[window], head - span) + 1
        while bucket >= oldest:
            n = np.int64(words[word])
            if n > 0:
                if m2_at > 0:  # two groups merged: Chan, Golub and LeVeque 1979
                    m2 += np.float64(numbers[word + m2_at])
                    if count > 0:
                        gap = numbers[word + sum_at] / n - total / count
                        m2 += gap * gap * count * n / (count + n)
                if max_at > 0:
                    largest = max(largest, np.float64(numbers[word + max_at]))
                if sum_at > 0:
                    total += numbers[word + sum_at]
                count += n
            word = word - stride if word > at else at + (buckets - 1) * stride
            bucket -= 1
        register = window * REGISTERS
        registers[register + COUNT] = count
        registers[register + SUM] = total
        mean = total / count if count > 0 else np.nan
        registers[register + MEAN] = mean
        registers[register + MAX] = largest if count > 0 else np.nan
        registers[register + STD] = math.sqrt(m2 / count) if count > 0 else np.nan
        registers[register + RATIO] = np.nan
        if counts:
            registers[register + RATIO] = value / mean if mean > 0.0 else 1.0


@compiled
def _clear(words, at, buckets, stride, last, number):  # type: ignore[no-untyped-def]
    """Empty so many buckets, back from `last`."""
    word = at + last % buckets * stride
    for _ in range(number):
        for plane in range(stride):
            words[word + plane] = 0  # the bits of 0.0 too
        word = word - stride if word > at else at + (buckets - 1) * stride


@compiled
def _add(words, numbers, at, buckets, layout, now, head, span, value):  # type: ignore[no-untyped-def]
    """Fold one number into a ring; the newest bucket and how many are not void, afterwards. As `kernel._remember`."""
    sum_at, m2_at, max_at, stride = layout[0], layout[1], layout[2], layout[3]
    if now > head:
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
        gap = value - numbers[word + sum_at] / n
        numbers[word + m2_at] += gap * gap * n / (n + 1.0)
    words[word] = n + 1
    if sum_at > 0:
        numbers[word + sum_at] += value
    if max_at > 0:
        numbers[word + max_at] = max(np.float64(numbers[word + max_at]), value) if n > 0 else value
    return head, span


@compiled
def _find(words, at, slots, used, low, high):  # type: ignore[no-untyped-def]
    """The slot of an id in a table, -1 where it is not there."""
    for slot in range(used):
        same = words[at + 1 + slots + slot] == low
        if same and words[at + 1 + 2 * slots + slot] == high:
            return slot
    return -1


@compiled
def _met(words, at, used, after_s):  # type: ignore[no-untyped-def]
    """How many ids of a table were met after that second."""
    count = 0
    for slot in range(used):
        count += np.int64(words[at + 1 + slot]) > after_s
    return count


@compiled
def _meet(words, at, slots, used, slot, low, high, now_s):  # type: ignore[no-untyped-def]
    """Remember an id: in its slot, a free one, or that of the id not met for longest."""
    if slot >= 0:
        words[at + 1 + slot] = max(words[at + 1 + slot], np.uint32(now_s))
        return
    if used < slots:
        slot = used
        words[at] = used + 1
    else:
        slot = 0
        for other in range(1, slots):
            if words[at + 1 + other] < words[at + 1 + slot]:
                slot = other
    words[at + 1 + slot] = np.uint32(now_s)
    words[at + 1 + slots + slot] = low
    words[at + 1 + 2 * slots + slot] = high


@compiled
def _say(tables, table, words, at, used, slot, known, now_s, row, matrix):  # type: ignore[no-untyped-def]
    """Fill the columns of a table's features."""
    for feature in range(tables.features[table], tables.features[table + 1]):
        after_s = now_s - tables.window_s[feature]
        met = slot >= 0 and np.int64(words[at + 1 + slot]) > after_s
        part = tables.part[feature]
        if part == MET:
            value = min(
                np.float64(_met(words, at, used, after_s) + (0 if met or not known else 1)), tables.at_most[feature]
            )
        elif not known:
            matrix[row, tables.column[feature]] = tables.missing[feature]
            continue
        elif part == FIRST:
            value = 0.0 if met else 1.0
        else:
            value = tables.at_most[feature]
            if met:
                value = min(np.float64(max(now_s - np.int64(words[at + 1 + slot]), 0)), value)
        matrix[row, tables.column[feature]] = math.log1p(value) if tables.log1p[feature] else value


@compiled
def _distance_km(latitude, longitude, other_latitude, other_longitude):  # type: ignore[no-untyped-def]
    """On the great circle, by the haversine (Sinnott 1984), which is exact for near places, too."""
    north, south = math.radians(latitude), math.radians(other_latitude)
    half = math.sin((south - north) / 2.0)
    across = math.sin(math.radians(other_longitude - longitude) / 2.0)
    chord = half * half + math.cos(north) * math.cos(south) * across * across
    return 2.0 * EARTH_KM * math.asin(min(1.0, math.sqrt(chord)))


@compiled
def _travel(places, times, degrees, at, fresh, time, given, row, matrix):  # type: ignore[no-untyped-def]
    """Fill the columns of the features of places."""
    for feature in range(places.place.shape[0]):
        place = places.place[feature]
        here = at + places.start[place]
        latitude, longitude = given[place, 0, row], given[place, 1, row]
        if fresh or times[here] == EMPTY or latitude != latitude or longitude != longitude:
            matrix[row, places.column[feature]] = places.missing[feature]
            continue
        value = _distance_km(degrees[here + 1], degrees[here + 2], latitude, longitude)
        if places.speed[feature]:
            value = value * HOUR_MS / max(abs(time - times[here]), SECOND_MS)
        value = min(value, places.at_most[feature])
        matrix[row, places.column[feature]] = math.log1p(value) if places.log1p[feature] else value


@compiled
def _arrive(places, times, degrees, at, time, given, row):  # type: ignore[no-untyped-def]
    """Remember where a payment was, unless a newer one is known."""
    for place in range(places.start.shape[0]):
        here = at + places.start[place]
        latitude, longitude = given[place, 0, row], given[place, 1, row]
        if time >= times[here] and latitude == latitude and longitude == longitude:
            times[here], degrees[here + 1], degrees[here + 2] = time, latitude, longitude


@compiled
def run(program, words, numbers, times, degrees, slots, time_ms, given, late, matrix):  # type: ignore[no-untyped-def]
    """Score and fold n payments of one key, in order, into the columns of its memory's features.

    program: `memory.MemoryProgram`. words uint32, numbers float32, times int64, degrees float64: the rows' one memory, flat.
    slots, time_ms: int64[n]. given: `memory.Given`. late: bool[n], not folded. matrix: float32[n, F].
    """
    rings, tables, places, heads, row_words = program
    values, hashes, degrees_given = given
    of_rings = rings.series.shape[0]
    registers = np.empty(rings.window_buckets.shape[0] * REGISTERS, dtype=np.float64)
    for row in range(slots.shape[0]):
        at = slots[row] * row_words
        mark = at // 2 + heads
        spans = 2 * (mark + 1 + of_rings)
        fresh = times[mark] == EMPTY
        if fresh and not late[row]:
            for table in range(tables.start.shape[0]):
                words[at + tables.start[table]] = 0
            for place in range(places.start.shape[0]):
                times[at // 2 + places.start[place]] = EMPTY
            times[mark] = 0
        for ring in range(of_rings):
            value, ring_at = values[rings.series[ring], row], at + rings.start[ring]
            now, head, span = (
                time_ms[row] // rings.bucket_ms[ring],
                times[mark + 1 + ring],
                np.int64(words[spans + ring]),
            )
            windows, layout = (rings.windows[ring], rings.windows[ring + 1]), rings.layout[ring]
            _read_ring(
                words, numbers, ring_at, rings.buckets[ring], layout, now, head, span, value, windows,
                rings.window_buckets, registers,
            )  # fmt: skip
            if value == value and not late[row]:
                head, span = _add(words, numbers, ring_at, rings.buckets[ring], layout, now, head, span, value)
                times[mark + 1 + ring] = head
                words[spans + ring] = span
        for feature in range(rings.source.shape[0]):
            value = registers[rings.source[feature]]
            if value != value:
                value = rings.empty[feature]
            elif rings.log1p[feature]:
                value = math.log1p(value)
            matrix[row, rings.column[feature]] = value
        now_s = time_ms[row] // 1000
        for table in range(tables.start.shape[0]):
            here = at + tables.start[table]
            used = np.int64(0) if fresh and late[row] else np.int64(words[here])
            known = hashes[table, row] != np.uint64(0)
            low, high = (
                np.uint32(hashes[table, row] & np.uint64(0xFFFFFFFF)),
                np.uint32(hashes[table, row] >> np.uint64(32)),
            )
            slot = _find(words, here, tables.slots[table], used, low, high) if known else -1
            _say(tables, table, words, here, used, slot, known, now_s, row, matrix)
            if known and not late[row]:
                _meet(words, here, tables.slots[table], used, slot, low, high, now_s)
        _travel(places, times, degrees, at // 2, fresh, time_ms[row], degrees_given, row, matrix)
        if not late[row]:
            _arrive(places, times, degrees, at // 2, time_ms[row], degrees_given, row)
