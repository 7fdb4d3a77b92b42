"""Ids seen before, which decide what is scored: so a part of the state."""

from collections import deque
from collections.abc import Sequence

from models.features import text_arrays
from models.features.capture import Arrays, Capture


class DuplicateWindow:
    """The ids of the last `records_max` accepted records of a partition. The cut into batches makes no difference."""

    def __init__(self, records_max: int) -> None:
        self.records_max = records_max
        self._order: deque[str] = deque()
        self._seen: set[str] = set()

    def repeated(self, ids: Sequence[str]) -> list[int]:
        """Take in ids, in order; returns the places of those that were seen before, which are not taken in."""
        if self.records_max == 0:
            return []
        if self._seen.isdisjoint(ids):
            before = len(self._seen)
            self._seen.update(ids)
            if len(self._seen) == before + len(ids):
                self._order.extend(ids)
                self._forget()
                return []
            self._seen.difference_update(ids)  # one is in it twice: one by one, then
        places = []
        for place, transaction_id in enumerate(ids):
            if transaction_id in self._seen:
                places.append(place)
                continue
            self._order.append(transaction_id)
            self._seen.add(transaction_id)
            self._forget()
        return places

    def _forget(self) -> None:
        order = self._order
        self._seen.difference_update([order.popleft() for _ in range(len(order) - self.records_max)])

    def to_arrays(self) -> Arrays:
        """The window as arrays."""
        return self.capture().arrays()

    def capture(self) -> Capture:
        """The same, packed by another thread."""
        ids = list(self._order)

        def pack() -> Arrays:
            text, ends = text_arrays.pack(ids)
            return {"duplicates_text": text, "duplicates_end": ends}

        return Capture.of(pack)

    def load(self, arrays: Arrays) -> None:
        """Take over a window. Raises KeyError or ValueError, itself untouched, where the arrays do not fit."""
        ids = text_arrays.unpack(arrays["duplicates_text"], arrays["duplicates_end"])
        if len(set(ids)) != len(ids) or len(ids) > self.records_max:
            raise ValueError("the duplicate window has another size")
        self._order, self._seen = deque(ids), set(ids)
