"""The histories of one key's ids in one partition: rows of buckets, and who owns which row.

Memory for `ids_max` ids is reserved at once and given by the operating system page by page as they appear, so growing
never copies and never pauses the stream.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from models.features import index, kernel, memory, memory_kernel
from models.features.capture import Capture, Part, RowCapture
from models.features.columns import TransactionColumns
from models.features.history_checks import plausible
from models.features.index import FREE, NO_ID, NO_ROW, USED
from models.features.kernel import EMPTY, FIRST_MS, HEADS, ID_WORDS, LAST_MS, SKETCH_BITS
from models.features.layout import counted_fields, memory_of, program
from schemas.feature_kinds.base import IdField
from schemas.feature_spec import FeatureSpec

EVICTED_SHARE = 64
"""One id in so many is evicted at a time, so that finding the longest idle ones costs little per id."""

KEPT_EVENTS_MIN = 3
"""An id with so many payments has a history: ids with fewer, however many, push it out only where histories fill the room."""

FRESH_SHARE = 8
"""One row in so many is for ids without a history, so that new ones can come to one where histories fill the room."""

Arrays = dict[str, NDArray[np.generic]]


class FeatureStateError(ValueError):
    """A snapshot that does not fit the spec or the settings."""


class KeyHistory:
    """Histories of up to `ids_max` ids of one key. Everything in it derives from event time and the log's order.

    evicted: ids without a history, and with one, since this object was made. Not part of the state.
    """

    def __init__(self, spec: FeatureSpec, key: str, ids_max: int) -> None:
        if ids_max < 1:
            raise FeatureStateError(f"cards_max is {ids_max}; it must be at least 1.")
        self.ids_max = ids_max
        self.program, self.memory = program(spec, key), memory_of(spec, key)
        self._reader = memory.Reader(spec, key)
        self.field = spec.keys[key]
        self._key, self._counted, self._lateness_ms = key, counted_fields(spec, key), spec.lateness_ms
        try:
            self.rows = np.zeros((ids_max + 1, self.program.row_words), dtype=np.uint32)
        except MemoryError:
            raise FeatureStateError(
                f"Memory for {ids_max} histories of {self.row_bytes} bytes each cannot be reserved; lower cards_max."
            ) from None
        self._times = self.rows.view(np.int64)
        self._events = np.zeros(ids_max + 1, dtype=np.uint8)
        self.evicted = (0, 0)
        self._times[NO_ROW, FIRST_MS:] = EMPTY
        rings = len(self.program.ring_bucket_ms)
        end = HEADS + rings if self.memory is None else self.memory.heads + 1 + len(self.memory.rings.series)
        self._blank = (FIRST_MS, end, EMPTY)  # what a new id's times are
        self._secret = index.SECRET
        self._table = index.table_for(ids_max)
        self._counters = np.array([1, 0], dtype=np.int64)
        self._free = np.zeros(ids_max, dtype=np.int64)
        self._capture: RowCapture | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of one id, its entries in the index (16 to 40) not counted."""
        return 4 * self.program.row_words

    @property
    def ids(self) -> int:
        """Ids remembered."""
        return int(self._counters[USED] - 1 - self._counters[FREE])

    def fold(
        self,
        columns: TransactionColumns,
        keys: Mapping[IdField, index.Keys],
        times: NDArray[np.int64],
        amounts: NDArray[np.float64],
        late: NDArray[np.bool_],
        matrix: NDArray[np.float32],
    ) -> None:
        """Fill this key's columns of the matrix, and remember what is not late. times, amounts: the columns', contiguous.

        keys: of the ids, by field. late: bool[n], rows that are not remembered; filled up with what is too old for its history.
        """
        words = keys[self.field]
        tags = index.secret_tags(words, self._secret)
        sketch_bits = np.empty((len(times), len(self._counted)), dtype=np.uint8)
        for place, field in enumerate(self._counted):
            sketch_bits[:, place] = index.public_tags(keys[field]) % SKETCH_BITS
        flat = self.rows.reshape(-1)
        views = flat, flat.view(np.float32), flat.view(np.int64)
        given = self._reader.given(columns, keys) if self.memory is not None else None
        start = 0
        with self._unread():
            while start < len(times):
                slots = self._resolve(words[start:], tags[start:], late[start:])
                part = slice(start, start + len(slots))
                self._keep(slots)
                now = slots, times[part]
                kernel.run(
                    self.program,
                    self._lateness_ms,
                    *views,
                    self._events,
                    *now,
                    amounts[part],
                    sketch_bits[part],
                    late[part],
                    matrix[part],
                )
                if self.memory is not None and given is not None:  # behind, since it knows then what is late
                    degrees = flat.view(np.float64)
                    memory_kernel.run(self.memory, *views, degrees, *now, given.part(part), late[part], matrix[part])
                start += len(slots)
                if start < len(times):
                    self._evict()

    def _resolve(
        self, words: NDArray[np.uint32], tags: NDArray[np.uint32], late: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Rows of as many leading payments as can be placed without an eviction, new ids placed in order.

        words: of `index.keys_of`; tags: of `index.secret_tags`. late: what is known to be: it places no one.
        """
        slots = np.empty(len(tags), dtype=np.int64)
        placed, _ = index.resolve(
            self._table, self.rows, self._times, self._blank, self._counters, self._free, words, tags, late, slots
        )
        return slots[:placed]

    def _evict(self) -> None:
        """Forget one id in EVICTED_SHARE, at least one. Only when full.

        The longest idle of those without a history while these fill their share of the room, else of those with one.
        """
        number = max(1, self.ids_max // EVICTED_SHARE)
        kept = self._events[1:] >= KEPT_EVENTS_MIN
        fresh = self.ids_max - int(np.count_nonzero(kept))
        passing = min(number, fresh, max(0, fresh + number - self.ids_max // FRESH_SHARE))
        slots = np.concatenate([self._idle(~kept, passing), self._idle(kept, number - passing)])
        self._keep(slots)
        index.remove(self._table, self.rows, self._counters, self._free, np.sort(slots), ID_WORDS, self._secret)
        self.evicted = self.evicted[0] + passing, self.evicted[1] + number - passing

    def _idle(self, chosen: NDArray[np.bool_], number: int) -> NDArray[np.int64]:
        """The rows of so many of the chosen ids: the longest idle ones by event time, then by row."""
        rows = np.flatnonzero(chosen) + 1
        last_ms = self._times[rows, LAST_MS]
        if number == 0:
            return rows[:0]
        limit = np.partition(last_ms, number - 1)[number - 1]
        older = rows[last_ms < limit]
        return np.concatenate([older, rows[last_ms == limit][: number - len(older)]])

    def _unread(self) -> AbstractContextManager[object]:
        """While rows change, a capture reads none."""
        return nullcontext() if self._capture is None else self._capture.lock

    def _keep(self, rows: NDArray[np.int64]) -> None:
        """Call before rows change, other than free ones that a new id takes: a capture has those."""
        if self._capture is not None:
            self._capture.keep(rows)

    def capture(self) -> Capture:
        """What `to_arrays` would give now, read by another thread while the fold goes on. One at a time."""
        if self._capture is not None:
            raise RuntimeError("the capture before is not closed")
        used, free = self._counters.tolist()
        free_rows, events = self._free[:free].copy(), self._events[:used].copy()
        rows = self._capture = RowCapture(self.rows, used, free_rows)
        return Capture(
            lambda: {
                f"{self._key}_free_rows": Part.of(free_rows),
                f"{self._key}_rows": rows.part,
                f"{self._key}_events": Part.of(events),
            },
            self._release,
        )

    def _release(self) -> None:
        self._capture = None

    def to_arrays(self) -> Arrays:
        """Copies of everything, for `load`. rows: those ever used, row 0 (no one) included; each begins with its id."""
        used, free = self._counters.tolist()
        return {
            f"{self._key}_free_rows": self._free[:free].copy(),
            f"{self._key}_rows": self.rows[:used].copy(),
            f"{self._key}_events": self._events[:used].copy(),
        }

    def load(self, arrays: Arrays) -> None:
        """Become what `to_arrays` described; only a history that is still empty. Raises FeatureStateError."""
        rows, free, events = (self._array(arrays, name) for name in ("rows", "free_rows", "events"))
        if rows.ndim != 2 or rows.shape[1] != self.program.row_words or rows.dtype != np.uint32 or len(rows) < 1:
            raise FeatureStateError("The snapshot's rows have another shape; it is rebuilt from the log.")
        if len(rows) - 1 > self.ids_max:
            raise FeatureStateError(
                f"The snapshot holds {len(rows) - 1} {self._key}s, more than cards_max {self.ids_max}; raise cards_max."
            )
        if sorted(free.tolist()) != (np.flatnonzero(rows[1:, 0] == NO_ID) + 1).tolist():
            raise FeatureStateError("The snapshot's free rows are not the empty ones; it is rebuilt from the log.")
        if events.shape != (len(rows),) or events.dtype != np.uint8:
            raise FeatureStateError("The snapshot's counts of payments do not fit; it is rebuilt from the log.")
        if not (np.array_equal(rows[NO_ROW], self.rows[NO_ROW]) and plausible(rows, self.program, self.memory)):
            raise FeatureStateError("The snapshot's rows are none that were written here; it is rebuilt from the log.")
        self.rows[: len(rows)] = rows
        self._events[: len(rows)] = events
        self._free[: len(free)] = free
        self._counters[:] = len(rows), len(free)
        index.insert_all(self._table, self.rows, len(rows), ID_WORDS, self._secret)

    def _array(self, arrays: Arrays, name: str) -> NDArray[np.generic]:
        if f"{self._key}_{name}" not in arrays:
            raise FeatureStateError(f"The snapshot lacks {self._key}_{name}; it is rebuilt from the log.")
        return arrays[f"{self._key}_{name}"]
