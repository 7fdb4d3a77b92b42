"""Payments of each terminal on each day, in one partition: partial sums, which the profiler adds up over partitions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features import text_arrays
from models.features.capture import Capture
from models.features.history import Arrays, FeatureStateError

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class DaySums:
    """Payments by terminal on one UTC day. day: since 1970-01-01."""

    day: int
    payments: dict[str, int]


class TerminalDays:
    """The payments that are not reported yet, by day: of two days as a rule."""

    def __init__(self) -> None:
        self._open: dict[int, Counter[str]] = {}

    def count(self, terminal_ids: Sequence[str], times: NDArray[np.int64], late: NDArray[np.bool_]) -> None:
        """Take in payments. Late ones leave no trace."""
        days = times // DAY_MS
        if len(days) and days.min() == days.max() and not late.any():
            self._open.setdefault(int(days[0]), Counter()).update(terminal_ids)
            return
        for day in np.unique(days[~late]).tolist():
            rows = np.flatnonzero((days == day) & ~late).tolist()
            self._open.setdefault(day, Counter()).update([terminal_ids[row] for row in rows])

    def close(self, until_ms: int) -> list[DaySums]:
        """Take out the days that end at `until_ms` or before, the oldest first."""
        closed = sorted(day for day in self._open if (day + 1) * DAY_MS <= until_ms)
        return [DaySums(day, dict(self._open.pop(day))) for day in closed]

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()

    def to_arrays(self) -> Arrays:
        """The open days as arrays, one entry a terminal and day."""
        return _arrays(self._open)

    def capture(self) -> Capture:
        """The same, sorted and packed by another thread."""
        days = {day: payments.copy() for day, payments in self._open.items()}
        return Capture.of(lambda: _arrays(days))

    def load(self, arrays: Arrays) -> None:
        """Take over days. Raises FeatureStateError where the arrays do not fit."""
        try:
            terminals = text_arrays.unpack(arrays["terminal_days_text"], arrays["terminal_days_end"])
            columns = arrays["terminal_days_day"].tolist(), arrays["terminal_days_payments"].tolist()
            entries = list(zip(*columns, terminals, strict=True))
        except (KeyError, ValueError):
            raise FeatureStateError("The snapshot's terminal days do not fit; it is rebuilt from the log.") from None
        for day, payments, terminal in entries:
            self._open.setdefault(day, Counter())[terminal] = payments


def _arrays(days: Mapping[int, Mapping[str, int]]) -> Arrays:
    entries = [(day, *entry) for day in sorted(days) for entry in sorted(days[day].items())]
    text, ends = text_arrays.pack(terminal for _, terminal, _ in entries)
    return {
        "terminal_days_text": text,
        "terminal_days_end": ends,
        "terminal_days_day": np.array([day for day, _, _ in entries], np.int64),
        "terminal_days_payments": np.array([payments for _, _, payments in entries], np.int64),
    }
