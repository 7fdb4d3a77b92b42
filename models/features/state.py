"""The histories of the cards of one partition: columns of buckets, and who owns which row.

Memory for `cards_max` cards is reserved at once and given by the operating system page by page as cards appear, so growing
never copies and never pauses the stream.
"""

import numpy as np
from numpy.typing import NDArray

from models.features.layout import EMPTY, HEADS, LAST_MS, program
from schemas.feature_spec import FeatureSpec

NOBODY = 0
"""The row that stays empty: a late payment of an unknown card is scored from it."""

EVICTED_SHARE = 64
"""One card in so many is evicted at a time, so that finding the longest idle ones costs little per card."""

UNSEEN = -1


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
        self._times = self.rows.view(np.int64)[:, : HEADS + len(self.program.ring_bucket_ms)]
        self._times[NOBODY] = EMPTY
        self._slots: dict[str, int] = {}
        self._owners: list[str] = [""]  # by row; "" is nobody
        self._free: list[int] = []

    @property
    def row_bytes(self) -> int:
        """Bytes of one card's history, its id and its place in the dictionary not counted."""
        return 4 * self.program.row_words

    @property
    def cards(self) -> int:
        """Cards remembered."""
        return len(self._slots)

    def resolve(self, card_ids: list[str], late: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rows of as many leading payments as can be placed without an eviction, new cards placed in order.

        A late payment places nobody.
        """
        found = map(self._slots.get, card_ids, [UNSEEN] * len(card_ids))
        slots = np.fromiter(found, dtype=np.int64, count=len(card_ids))
        placed: list[int] = []
        for position in np.flatnonzero(slots == UNSEEN).tolist():
            card_id = card_ids[position]
            slot = self._slots.get(card_id, UNSEEN)
            if slot == UNSEEN:
                if late[position]:
                    slot = NOBODY
                elif self._free or len(self._owners) <= self.cards_max:
                    slot = self._place(card_id)
                    placed.append(slot)
                else:
                    slots = slots[:position]
                    break
            slots[position] = slot
        self._times[placed] = EMPTY
        return slots

    def _place(self, card_id: str) -> int:
        if self._free:
            slot = self._free.pop()
            self._owners[slot] = card_id
        else:
            slot = len(self._owners)
            self._owners.append(card_id)
        self._slots[card_id] = slot
        return slot

    def evict(self) -> None:
        """Forget the longest idle cards, by event time, then by row: one in EVICTED_SHARE, at least one. Only when full."""
        last_ms = self._times[1 : len(self._owners), LAST_MS]
        number = max(1, len(last_ms) // EVICTED_SHARE)
        limit = np.partition(last_ms, number - 1)[number - 1]
        older = np.flatnonzero(last_ms < limit)
        level = np.flatnonzero(last_ms == limit)[: number - len(older)]
        for slot in (np.sort(np.concatenate([older, level])) + 1).tolist():
            del self._slots[self._owners[slot]]
            self._owners[slot] = ""
            self._free.append(slot)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Copies of everything: `from_arrays` makes a state of them whose every later bit is the same.

        Card ids are UTF-8 bytes and the row's end in them; rows are those ever used, row 0 (nobody) included.
        """
        rows = len(self._owners)
        owners = [owner.encode() for owner in self._owners]
        return {
            "spec_digest": np.frombuffer(bytes.fromhex(self.spec.digest()), dtype=np.uint8),
            "clock_ms": np.array([self.clock_ms], dtype=np.int64),
            "owner_bytes": np.frombuffer(b"".join(owners), dtype=np.uint8),
            "owner_ends": np.cumsum([len(owner) for owner in owners], dtype=np.int64),
            "free_rows": np.array(self._free, dtype=np.int64),
            "rows": self.rows[:rows].copy(),
        }

    @classmethod
    def from_arrays(cls, spec: FeatureSpec, cards_max: int, arrays: dict[str, NDArray[np.generic]]) -> "FeatureState":
        """The state that `to_arrays` described. Raises FeatureStateError where the arrays do not fit."""
        state = cls(spec, cards_max)
        names = ("spec_digest", "clock_ms", "owner_bytes", "owner_ends", "free_rows", "rows")
        missing = [name for name in names if name not in arrays]
        if missing:
            raise FeatureStateError(f"The snapshot lacks {', '.join(missing)}; it is rebuilt from the log.")
        if arrays["spec_digest"].tobytes().hex() != spec.digest():
            raise FeatureStateError("The snapshot is of another feature spec; it is rebuilt from the log.")
        rows = len(arrays["owner_ends"])
        if rows - 1 > cards_max:
            raise FeatureStateError(f"The snapshot holds {rows - 1} cards, more than cards_max {cards_max}; raise cards_max.")
        if arrays["rows"].shape != (rows, state.program.row_words) or arrays["rows"].dtype != np.uint32:
            raise FeatureStateError("The snapshot's rows have another shape; it is rebuilt from the log.")
        state.rows[:rows] = arrays["rows"]
        text, ends = arrays["owner_bytes"].tobytes(), arrays["owner_ends"].tolist()
        state._owners = [text[start:end].decode() for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        state._slots = {owner: row for row, owner in enumerate(state._owners) if owner}
        state._free = arrays["free_rows"].tolist()
        state.clock_ms = int(arrays["clock_ms"][0])
        return state

