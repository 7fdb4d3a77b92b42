"""Terminal profiles from a finite history, as the stream would have had them on each day: for training and back-fills."""

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.features.profiles import TerminalProfiles


class HistoryProfiles:
    """Takes whole days in order of time. A day's payments are known on the next day, its frauds after the label delay."""

    def __init__(self, label_delay_days: int) -> None:
        self._label_delay_days = label_delay_days
        self._profiles = TerminalProfiles()
        self._payments: deque[tuple[int, Counter[str]]] = deque()
        self._frauds: deque[tuple[int, Counter[str]]] = deque()

    def add(self, day: int, terminal_ids: Sequence[str], is_fraud: NDArray[np.bool_]) -> None:
        """Payments of a day, UTC, since 1970-01-01; the same day may come again, an earlier one may not."""
        self._payments.append((day, Counter(terminal_ids)))
        frauds = Counter([terminal_ids[row] for row in np.flatnonzero(is_fraud).tolist()])
        self._frauds.append((day, frauds))

    def on(self, day: int) -> TerminalProfiles:
        """What is known at the beginning of a day; valid until the next call."""
        while self._payments and self._payments[0][0] < day:
            known, payments = self._payments.popleft()
            self._profiles.add(known, list(payments), list(payments.values()), [0] * len(payments))
        while self._frauds and self._frauds[0][0] < day - self._label_delay_days:
            known, frauds = self._frauds.popleft()
            self._profiles.add(known, list(frauds), [0] * len(frauds), list(frauds.values()))
        return self._profiles
