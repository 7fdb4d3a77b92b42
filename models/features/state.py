"""The histories of the cards of one partition: columns of buckets, and who owns which row.

Memory for `cards_max` cards is reserved at once and given by the operating system page by page as cards appear, so growing
never copies and never pauses the stream.
"""

import numpy as np
from numpy.typing import NDArray

from models.features import index
from models.features.index import FREE, NO_ID, NOBODY, USED
from models.features.kernel import EMPTY, FIRST_MS, HEADS, ID_WORDS, LAST_MS
from models.features.layout import program
from schemas.feature_spec import FeatureSpec

EVICTED_SHARE = 64
"""One card in so many is evicted at a time, so that finding the longest idle ones costs little per card."""


class FeatureStateError(ValueError):
    """A snapshot that does not fit the spec or the settings."""


class FeatureState:
    """Histories of up to `cards_max` cards. Everything in it derives from event time and the log's order.

    cards: rows in use. clock_ms: newest event time folded (EMPTY before the first). Changed by `fold` only.
    """

    def __init__(self, spec: FeatureSpec, cards_max: int) -> None:
        if cards_max < 1:
            raise FeatureStateError(f"cards_max is {cards_max}; it must be at least 1.")
        self.spec = spec
        self.cards_max = cards_max
        self.program = program(spec)
        self.clock_ms = EMPTY
        try:
            self.rows = np.zeros((cards_max + 1, self.program.row_words), dtype=np.uint32)
        except MemoryError:
            raise FeatureStateError(
                f"Memory for {cards_max} cards of {self.row_bytes} bytes each cannot be reserved; lower cards_max."
            ) from None
        self.times = self.rows.view(np.int64)
        self.times[NOBODY, FIRST_MS:] = EMPTY
        self._blank = (FIRST_MS, HEADS + len(self.program.ring_bucket_ms), EMPTY)  # what a new card's times are
        self._table = index.table_for(cards_max)
        self._counters = np.array([1, 0], dtype=np.int64)
        self._free = np.zeros(cards_max, dtype=np.int64)

    @property
    def row_bytes(self) -> int:
        """Bytes of one card, its entries in the index (16 to 40) not counted."""
        return 4 * self.program.row_words

    @property
    def cards(self) -> int:
        """Cards remembered."""
        return int(self._counters[USED] - 1 - self._counters[FREE])

    def resolve(
        self, words: NDArray[np.uint32], tags: NDArray[np.uint32], late: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Rows of as many leading payments as can be placed without an eviction, new cards placed in order.

        words, tags: of `index.keys_of`. A late payment places nobody.
        """
        slots = np.empty(len(tags), dtype=np.int64)
        placed, _ = index.resolve(
            self._table, self.rows, self.times, self._blank, self._counters, self._free, words, tags, late, slots
        )
        return slots[:placed]

    def evict(self) -> None:
        """Forget the longest idle cards, by event time, then by row: one in EVICTED_SHARE, at least one. Only when full."""
        last_ms = self.times[1:, LAST_MS]
        number = max(1, self.cards_max // EVICTED_SHARE)
        limit = np.partition(last_ms, number - 1)[number - 1]
        older = np.flatnonzero(last_ms < limit)
        level = np.flatnonzero(last_ms == limit)[: number - len(older)]
        slots = np.sort(np.concatenate([older, level])) + 1
        index.remove(self._table, self.rows, self._counters, self._free, slots, ID_WORDS)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Copies of everything: `from_arrays` makes a state of them whose every later bit is the same.

        rows: uint32, those ever used, row 0 (nobody) included; each begins with its card's id.
        """
        used, free = self._counters.tolist()
        return {
            "spec_digest": np.frombuffer(bytes.fromhex(self.spec.digest()), dtype=np.uint8),
            "clock_ms": np.array([self.clock_ms], dtype=np.int64),
            "free_rows": self._free[:free].copy(),
            "rows": self.rows[:used].copy(),
        }

    @classmethod
    def from_arrays(cls, spec: FeatureSpec, cards_max: int, arrays: dict[str, NDArray[np.generic]]) -> "FeatureState":
        """The state that `to_arrays` described. Raises FeatureStateError where the arrays do not fit."""
        state = cls(spec, cards_max)
        names = ("spec_digest", "clock_ms", "free_rows", "rows")
        missing = [name for name in names if name not in arrays]
        if missing:
            raise FeatureStateError(f"The snapshot lacks {', '.join(missing)}; it is rebuilt from the log.")
        if arrays["spec_digest"].tobytes().hex() != spec.digest():
            raise FeatureStateError("The snapshot is of another feature spec; it is rebuilt from the log.")
        rows, free = arrays["rows"], arrays["free_rows"]
        if rows.ndim != 2 or rows.shape[1] != state.program.row_words or rows.dtype != np.uint32 or len(rows) < 1:
            raise FeatureStateError("The snapshot's rows have another shape; it is rebuilt from the log.")
        if len(rows) - 1 > cards_max:
            raise FeatureStateError(
                f"The snapshot holds {len(rows) - 1} cards, more than cards_max {cards_max}; raise cards_max."
            )
        if sorted(free.tolist()) != (np.flatnonzero(rows[1:, 0] == NO_ID) + 1).tolist():
            raise FeatureStateError("The snapshot's free rows are not the empty ones; it is rebuilt from the log.")
        state.rows[: len(rows)] = rows
        state._free[: len(free)] = free
        state._counters[:] = len(rows), len(free)
        index.insert_all(state._table, state.rows, len(rows), ID_WORDS)
        state.clock_ms = int(arrays["clock_ms"][0])
        return state
