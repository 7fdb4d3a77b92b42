"""Whether rows of a snapshot can be ones that the kernels wrote: what they hold is how far compiled code goes, unchecked."""

import numpy as np
from numpy.typing import NDArray

from models.features.index import NO_ID, NO_ROW
from models.features.kernel import EMPTY, FIRST_MS, HEADS, LAST_MS
from models.features.layout import Program
from models.features.memory import MemoryProgram

TIME_MS_BOUND = 1 << 53
"""No time is further from 1970: sums of them fit 64 bits."""


def plausible(given: NDArray[np.generic], program: Program, memory: MemoryProgram | None) -> bool:
    """Whether each row that belongs to an id fits the layout. Contents of buckets may be anything: they are only added up."""
    rows: NDArray[np.uint32] = np.ascontiguousarray(given, np.uint32)
    times = rows.view(np.int64)
    owned = np.flatnonzero(rows[:, 0] != NO_ID)
    owned = owned[owned != NO_ROW]
    first_ms, last_ms = times[owned, FIRST_MS], times[owned, LAST_MS]
    good = (first_ms >= -TIME_MS_BOUND) & (first_ms <= last_ms) & (last_ms <= TIME_MS_BOUND)
    rings = len(program.ring_bucket_ms)
    for ring, bucket_ms in enumerate(program.ring_bucket_ms.tolist()):
        span = rows[owned, 2 * (HEADS + rings) + ring]
        good &= times[owned, HEADS + ring] == last_ms // bucket_ms  # each payment that is folded is in every ring
        good &= (span >= 1) & (span <= program.ring_buckets[ring])
    if memory is not None:
        good &= _memory(rows, times, owned, last_ms, memory)
    return bool(good.all())


def _memory(
    rows: NDArray[np.uint32],
    times: NDArray[np.int64],
    owned: NDArray[np.int64],
    last_ms: NDArray[np.int64],
    memory: MemoryProgram,
) -> NDArray[np.bool_]:
    """The same of what lies behind the amounts' rings."""
    good = np.ones(len(owned), np.bool_)
    first = memory.heads + 1
    rings = len(memory.rings.series)
    for ring, bucket_ms in enumerate(memory.rings.bucket_ms.tolist()):
        head, span = times[owned, first + ring], rows[owned, 2 * (first + rings) + ring]
        within = (head >= -TIME_MS_BOUND) & (head <= last_ms // bucket_ms)
        good &= (head == EMPTY) | (within & (span >= 1) & (span <= memory.rings.buckets[ring]))
    written = times[owned, memory.heads] != EMPTY
    for start, slots in zip(memory.tables.start.tolist(), memory.tables.slots.tolist(), strict=True):
        good &= ~written | (rows[owned, start] <= slots)
    return good
