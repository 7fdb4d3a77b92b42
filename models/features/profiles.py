"""What the whole stream knows of each terminal: payments and frauds by day, and the features made of them."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.features import delayed, text_arrays
from models.features.capture import Capture
from models.features.history import Arrays, FeatureStateError
from models.features.terminal_days import DAY_MS
from schemas.base import COUNT_MAX
from schemas.feature_kinds.history import ProfileFeature
from schemas.feature_spec import PROFILE_DAYS, FeatureSpec

PAYMENTS, FRAUDS = 0, 1
NEVER = -(2**31)
ROWS_FIRST = 1024
NEWEST_SHARE = 10

ESTABLISHED_PAYMENTS, ESTABLISHED_DAYS = 3, 2
"""So many payments, on so many days, and a terminal counts as one that comes back; so does one with a reported fraud."""


class Profile(NamedTuple):
    """One terminal: payments and frauds of the days up to `last_day`, oldest first; days before them had none."""

    last_day: int
    payments: list[int]
    frauds: list[int]


WORTH_ROWS = 10_000
"""Looked at together."""


class Forgotten(NamedTuple):
    """Terminals that made room for others, all of one kind."""

    kind: Literal["fresh", "established"]
    terminals: list[str]


class TerminalProfiles:
    """The last PROFILE_DAYS days of every terminal. Terminals without payments for longer are evicted when room is needed."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._sums = np.zeros((ROWS_FIRST, 2, PROFILE_DAYS), np.int32)
        self._last_day = np.full(ROWS_FIRST, NEVER, np.int64)  # row 0 is no one's
        self._free: list[int] = []
        self._scattered = False
        """Whether rows lie in another order than that in which their terminals came."""
        self._worth: _Worth | None = None
        """Of each row, once it is asked for."""

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, terminal_id: str) -> bool:
        return terminal_id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def add(self, day: int, terminal_ids: Sequence[str], payments: Sequence[int], frauds: Sequence[int]) -> int:
        """Add to the terminals' sums of one day, UTC, since 1970-01-01. Returns how many had it behind what is kept."""
        self._reserve(len(terminal_ids))  # first: making room moves rows
        rows = np.array([self._row(terminal_id) for terminal_id in terminal_ids], np.int64)
        later = rows[self._last_day[rows] < day]
        column_days = day - (day - np.arange(PROFILE_DAYS)) % PROFILE_DAYS
        kept = column_days <= self._last_day[later, None]
        self._sums[later] *= kept[:, None, :]
        self._last_day[later] = day
        known = day > self._last_day[rows] - PROFILE_DAYS
        column = day % PROFILE_DAYS
        touched, where = np.unique(rows[known], return_inverse=True)
        for kind, counts in ((PAYMENTS, payments), (FRAUDS, frauds)):
            total = self._sums[touched, kind, column].astype(np.int64)
            np.add.at(total, where, np.asarray(counts, np.int64)[known])
            self._sums[touched, kind, column] = np.clip(total, -COUNT_MAX, COUNT_MAX)  # full, instead of wrapped around
        if self._worth is not None:
            self._worth.update(self._sums, touched)
        return int(np.count_nonzero(~known))

    def profile(self, terminal_id: str) -> Profile:
        """What is known of a terminal that has been added."""
        row = self._rows[terminal_id]
        last_day = int(self._last_day[row])
        days = np.arange(last_day - PROFILE_DAYS + 1, last_day + 1) % PROFILE_DAYS
        payments, frauds = self._sums[row][:, days]
        first = int(np.argmax((payments != 0) | (frauds != 0)))
        return Profile(last_day, payments[first:].tolist(), frauds[first:].tolist())

    def put(self, terminal_id: str, profile: Profile) -> None:
        """Replace what is known of a terminal."""
        self._reserve(1)
        row = self._row(terminal_id)
        days = np.arange(profile.last_day - len(profile.payments) + 1, profile.last_day + 1)[-PROFILE_DAYS:]
        self._sums[row] = 0
        self._sums[row, PAYMENTS, days % PROFILE_DAYS] = profile.payments[-PROFILE_DAYS:]
        self._sums[row, FRAUDS, days % PROFILE_DAYS] = profile.frauds[-PROFILE_DAYS:]
        self._last_day[row] = profile.last_day
        self._worth = None

    def fill(
        self, spec: FeatureSpec, terminal_ids: Sequence[str], times: NDArray[np.int64], matrix: NDArray[np.float32]
    ) -> None:
        """Fill the profile features' columns of float32[n, F]. times: int64[n], event time in ms."""
        wanted = [(c, f) for c, f in enumerate(spec.features) if isinstance(f, ProfileFeature)]
        wanted.sort(key=lambda pair: pair[1].window_days)
        rows = np.fromiter(map(self._rows.get, terminal_ids, repeat(0)), np.int64, len(terminal_ids))
        _fill(
            self._sums,
            self._last_day,
            rows,
            (times - delayed.back_ms(spec.label_delay_days * DAY_MS, DAY_MS)) // DAY_MS,
            np.array([column for column, _ in wanted], np.int64),
            np.array([feature.window_days for _, feature in wanted], np.int64),
            np.array([feature.aggregation == "fraud_rate" for _, feature in wanted], np.bool_),
            np.array([feature.transform == "log1p" for _, feature in wanted], np.bool_),
            matrix,
        )

    def to_arrays(self) -> Arrays:
        """Copies of everything, in the order in which the terminals came."""
        return self.capture().arrays()

    def capture(self) -> Capture:
        """The same, packed by another thread. Rows are given in that order, so that they are copied as they lie."""
        terminals, rows, end = list(self._rows), self._in_order(), 1 + len(self._rows) + len(self._free)
        # as they lie: to put them in order takes ten times as long, and is the other thread's
        sums, last_day = self._sums[:end].copy(), self._last_day[:end].copy()

        def pack() -> Arrays:
            text, ends = text_arrays.pack(terminals)
            return {
                "profiles_text": text,
                "profiles_end": ends,
                "profiles_sums": sums[rows],
                "profiles_last_day": last_day[rows],
            }

        return Capture.of(pack)

    def load(self, arrays: Arrays) -> None:
        """Become what `to_arrays` described. Raises FeatureStateError, itself untouched, where the arrays do not fit."""
        try:
            terminals = text_arrays.unpack(arrays["profiles_text"], arrays["profiles_end"])
            sums, last_day = arrays["profiles_sums"], arrays["profiles_last_day"]
        except (KeyError, ValueError):
            raise FeatureStateError("The snapshot's profiles do not fit; it is rebuilt from the log.") from None
        count = len(terminals)
        if sums.shape != (count, 2, PROFILE_DAYS) or last_day.shape != (count,) or len(set(terminals)) != count:
            raise FeatureStateError("The snapshot's profiles have another shape; it is rebuilt from the log.")
        self._rows = {terminal: row for row, terminal in enumerate(terminals, 1)}
        self._sums = np.concatenate([np.zeros((1, 2, PROFILE_DAYS), np.int32), sums.astype(np.int32)])
        self._last_day = np.concatenate([[np.int64(NEVER)], last_day.astype(np.int64)])
        self._free, self._scattered, self._worth = [], False, None

    def remove(self, terminal_id: str) -> None:
        """Forget a terminal, if it is known."""
        row = self._rows.pop(terminal_id, None)
        if row is not None:
            self._sums[row], self._last_day[row] = 0, NEVER
            self._free.append(row)
            self._scattered = True

    def trim(self) -> list[str]:
        """Forget terminals that no feature can see any more, although there is room. Returns them."""
        return self._make_room(0)

    def forget(self, number: int, fresh_min: int) -> Forgotten:
        """Forget `number` of them, so that others find room: those that are worth least.

        Fresh ones first, while there are `fresh_min` or more: those of the fewest payments, and of these the longest idle.
        Else of the established the longest idle. The same state forgets the same.
        """
        if self._worth is None:
            self._worth = _Worth(self._sums)
        rows = self._in_order()
        payments, established = self._worth.payments[rows], self._worth.established[rows]
        last_day, fresh = self._last_day[rows], np.flatnonzero(~established)
        from_fresh = len(fresh) >= fresh_min
        candidates = fresh if from_fresh else np.flatnonzero(established)
        # lexsort is stable: of equals those that came first
        worth = (last_day[candidates], payments[candidates]) if from_fresh else (last_day[candidates],)
        chosen = candidates[np.lexsort(worth)[:number]].tolist()
        terminals = list(self._rows)
        gone = [terminals[place] for place in chosen]
        for terminal_id in gone:
            self.remove(terminal_id)
        return Forgotten("fresh" if from_fresh else "established", gone)

    def _in_order(self) -> Any:
        """Where the rows lie, in the order in which their terminals came."""
        if not self._scattered:
            return slice(1, len(self._rows) + 1)
        return np.fromiter(self._rows.values(), np.int64, len(self._rows))

    def _row(self, terminal_id: str) -> int:
        """The terminal's row, a new one where it has none. There must be room."""
        row = self._rows.get(terminal_id)
        if row is None:
            row = self._rows[terminal_id] = self._free.pop() if self._free else len(self._rows) + 1
            self._sums[row], self._last_day[row] = 0, NEVER
        return row

    def _reserve(self, terminals: int) -> None:
        """Room for so many new ones. A caller that holds a row across this holds another terminal's."""
        if len(self._rows) + terminals >= len(self._last_day):
            self._make_room(terminals)

    def _make_room(self, terminals: int) -> list[str]:
        """Forget terminals whose every day is older than what any feature reads; then double until half is free. Returns them.

        Today is a day that one terminal in NEWEST_SHARE has reached: no few of them, whatever day they claim, end the others.
        """
        last_days = np.append(self._last_day[self._in_order()], NEVER)  # with row 0, so never empty
        newest = int(np.sort(last_days)[len(last_days) - 1 - len(self._rows) // NEWEST_SHARE])
        seen = last_days[:-1] > newest - PROFILE_DAYS
        kept = [terminal for terminal, is_seen in zip(self._rows, seen.tolist(), strict=True) if is_seen]
        gone = [terminal for terminal, is_seen in zip(self._rows, seen.tolist(), strict=True) if not is_seen]
        rows = np.array([0, *(self._rows[terminal] for terminal in kept)], np.int64)
        size = len(self._last_day)
        while size <= max(2 * len(kept), len(kept) + terminals):
            size *= 2
        sums, last_day = np.zeros((size, 2, PROFILE_DAYS), np.int32), np.full(size, NEVER, np.int64)
        sums[: len(rows)], last_day[: len(rows)] = self._sums[rows], self._last_day[rows]
        self._rows, self._sums, self._last_day = {t: row for row, t in enumerate(kept, 1)}, sums, last_day
        self._free, self._scattered, self._worth = [], False, None
        return gone


class _Worth:
    """What a row's sums say of its terminal. They change where a row is added to, and nowhere else.

    payments: int64[rows], of all days kept. established: bool[rows].
    """

    def __init__(self, sums: NDArray[np.int32]) -> None:
        self.payments = np.zeros(len(sums), np.int64)
        self.established = np.zeros(len(sums), np.bool_)
        for start in range(0, len(sums), WORTH_ROWS):
            self.update(sums, np.arange(start, min(start + WORTH_ROWS, len(sums))))

    def update(self, sums: NDArray[np.int32], rows: NDArray[np.int64]) -> None:
        """rows: int64[n], those that changed."""
        paid, frauds = sums[rows, PAYMENTS], sums[rows, FRAUDS]
        self.payments[rows] = paid.sum(axis=1, dtype=np.int64)
        comes_back = (self.payments[rows] >= ESTABLISHED_PAYMENTS) & ((paid > 0).sum(axis=1) >= ESTABLISHED_DAYS)
        self.established[rows] = comes_back | (frauds > 0).any(axis=1)


@compiled
def _fill(sums, last_days, rows, window_last_days, columns, window_days, rate, log1p, matrix):  # type: ignore[no-untyped-def]
    """Sums over each row's windows, sorted by length; each continues where the next shorter one stopped."""
    for place in range(rows.shape[0]):
        row, payments, frauds, back = rows[place], 0, 0, 0
        for feature in range(columns.shape[0]):
            while back < window_days[feature]:
                day = window_last_days[place] - back
                if last_days[row] - PROFILE_DAYS < day <= last_days[row]:
                    payments += sums[row, PAYMENTS, day % PROFILE_DAYS]
                    frauds += sums[row, FRAUDS, day % PROFILE_DAYS]
                back += 1
            part = frauds if rate[feature] else payments
            matrix[place, columns[feature]] = delayed.value(part, payments, rate[feature], log1p[feature])
