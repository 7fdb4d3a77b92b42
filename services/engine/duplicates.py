"""Ids seen before, which decide what is scored: so a part of the state.

The window is a row of generations, each a stretch of accepted records. They are closed and forgotten whole, by the records'
own timestamps and their number alone: so by the log, whatever the cut into batches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from models.features import id_tables
from models.features.capture import Arrays, Capture, Part
from models.features.id_tables import Hashes, IdTable
from models.features.index import Keys
from services.settings.processing import RuntimeSettings

GENERATIONS = 4
"""In a window, as a rule: each costs a lookup, and a whole one is kept longer than asked for."""

LOG_IDS_MIN = 1024

SPARE_RATIO_MAX = 2
"""A forgotten generation's table is used again unless it is so many times too large."""


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How long an id is remembered: for window_ms, and through records_min accepted records, however long ago.

    At most a quarter longer. Not beyond records_max ids, where that is more than records_min asks for. records_min 0: no id
    is remembered at all.
    """

    records_min: int
    window_ms: int = 0
    records_max: int = 0

    @classmethod
    def of(cls, runtime: RuntimeSettings) -> "WindowLimits":
        """As the settings have them."""
        return cls(
            runtime.duplicate_window_records_min,
            round(runtime.duplicate_window_s * 1000),
            runtime.duplicate_window_records_max,
        )

    @property
    def key(self) -> str:
        """Names them in a state's key."""
        return f"{self.records_min}:{self.window_ms}:{self.records_max}"

    @property
    def detail(self) -> str:
        """What a repetition's dead letter says."""
        time = f"{self.window_ms / 1000:g} s, or " if self.window_ms else ""
        return f"id seen on its partition within the last {time}{self.records_min} records"

    @property
    def span_ms(self) -> int:
        """Of a generation, once it has `ids_min`."""
        return self.window_ms // GENERATIONS

    @property
    def ids_min(self) -> int:
        """Of a generation."""
        return max(1, self.records_min // GENERATIONS)

    @property
    def ids_max(self) -> int:
        """Of a generation."""
        return max(self.ids_min, self.records_max // GENERATIONS)


@dataclass(slots=True)
class Generation:
    """A stretch of accepted records. first_ms, last_ms: the clock at its beginning and at its last record. ids: how many.

    log: while it is the newest, its ids as they came. What is written there does not change, so a thread can read it.
    """

    first_ms: int
    last_ms: int
    table: IdTable
    log: Hashes | None
    ids: int = 0

    @classmethod
    def begin(cls, now_ms: int, ids: int, table: IdTable) -> "Generation":
        """An empty one that may come to hold so many ids."""
        return cls(now_ms, now_ms, table, np.empty((max(ids, LOG_IDS_MIN), 2), np.uint64))

    @classmethod
    def of(cls, hashes: Hashes, first_ms: int, last_ms: int) -> "Generation":
        """A closed one. Raises ValueError where an id is in it twice."""
        table = id_tables.table_for(len(hashes))
        if not id_tables.fill(*table, hashes)[0]:
            raise ValueError("an id is twice in the duplicate window")
        return cls(first_ms, last_ms, table, None, len(hashes))

    def add(self, hashes: Hashes, held: NDArray[np.bool_]) -> int:
        """Add to the newest one what is not held yet; what is in it becomes held. Returns how many were added."""
        before, wanted = self.ids, self.ids + len(hashes)
        log = self.log if self.log is not None else np.empty((0, 2), np.uint64)
        if wanted > len(log):
            grown = np.empty((2 * wanted, 2), np.uint64)
            grown[:before] = log[:before]
            self.log = log = grown  # a capture may still read the other
        if wanted > self.table.ids_max:
            self.table = id_tables.table_for(2 * wanted)
            id_tables.fill(*self.table, log[:before])
        self.ids, _ = id_tables.add(*self.table, hashes, held, log, before)
        return self.ids - before

    def pieces(self) -> Callable[[], Iterator[Hashes]]:
        """What gives out all of it as it is now, in another thread."""
        if self.log is None:
            return self.table.pieces
        log = self.log[: self.ids]
        return lambda: iter([log])


class DuplicateWindow:
    """The ids of a partition's accepted records, for as long as `limits` say."""

    def __init__(self, limits: WindowLimits) -> None:
        self.limits = limits
        self._key = id_tables.random_key()
        self._clock_ms = 0
        self._ids = 0
        self._generations: list[Generation] = []
        self._spare: IdTable | None = None
        self._captured = False

    def __len__(self) -> int:
        return self._ids

    def repeated(self, ids: Sequence[str], timestamps_ms: NDArray[np.int64], words: Keys | None = None) -> list[int]:
        """Take in ids, in order, with their records' timestamps. words: the ids as `index.keys_of` has them, if at hand.

        Returns the places of those that were seen before, which are not taken in.
        """
        if self.limits.records_min == 0 or not ids:
            return []
        clock_ms = np.maximum.accumulate(timestamps_ms)
        np.maximum(clock_ms, self._clock_ms, out=clock_ms)
        held = np.zeros(len(ids), np.bool_)
        self._take_in(id_tables.hashes_of(ids, self._key, words), clock_ms, held)
        places: list[int] = np.flatnonzero(held).tolist()
        return places

    def _take_in(self, hashes: Hashes, clock_ms: NDArray[np.int64], held: NDArray[np.bool_]) -> None:
        """Halves what meets the end of a generation, until that lies between two records."""
        last_ms = int(clock_ms[-1])
        if len(hashes) == 1:
            self._turn(last_ms)
        elif self._may_turn(len(hashes), last_ms):
            half = len(hashes) // 2
            self._take_in(hashes[:half], clock_ms[:half], held[:half])
            self._take_in(hashes[half:], clock_ms[half:], held[half:])
            return
        self._clock_ms = last_ms
        *closed, newest = self._generations
        for generation in closed:
            id_tables.mark_held(*generation.table, hashes, held)
        self._ids += newest.add(hashes, held)
        newest.last_ms = last_ms

    def _may_turn(self, records: int, last_ms: int) -> bool:
        """Whether a generation may have to be closed or forgotten before the last of so many records. Seldom without need."""
        if not self._generations:
            return True
        limits, newest, oldest, more = self.limits, self._generations[-1], self._generations[0], records - 1
        if newest.ids + more >= self._ids_max(newest, last_ms):
            return True
        return (
            newest is not oldest
            and self._ids + more - oldest.ids >= limits.records_min
            and (last_ms - oldest.last_ms > limits.window_ms or self._ids + more >= limits.records_max)
        )

    def _turn(self, now_ms: int) -> None:
        """Close and forget what is due before a record at that time."""
        limits, generations = self.limits, self._generations
        while (
            generations
            and self._ids - generations[0].ids >= limits.records_min
            and (now_ms - generations[0].last_ms > limits.window_ms or self._ids >= limits.records_max)
        ):
            forgotten = generations.pop(0)
            self._ids -= forgotten.ids
            self._spare = None if self._captured else forgotten.table
        newest = generations[-1] if generations else None
        if newest is None or newest.ids >= self._ids_max(newest, now_ms):
            self._begin(now_ms)

    def _ids_max(self, newest: Generation, now_ms: int) -> int:
        """How many make the newest generation full at that time."""
        over = now_ms - newest.first_ms >= self.limits.span_ms
        return self.limits.ids_min if over else self.limits.ids_max

    def _begin(self, now_ms: int) -> None:
        """A new generation, with room for as many ids as the one before has: at a steady rate no table grows."""
        ids = 0
        if self._generations:
            ids, self._generations[-1].log = self._generations[-1].ids, None
        table, self._spare = self._spare, None
        if table is None or not ids <= table.ids_max <= SPARE_RATIO_MAX * max(ids, LOG_IDS_MIN):
            table = id_tables.table_for(ids)
        self._generations.append(Generation.begin(now_ms, ids, table.emptied()))

    def to_arrays(self) -> Arrays:
        """The window as arrays."""
        return self.capture().arrays()

    def capture(self) -> Capture:
        """The same, packed by another thread: closed generations do not change, and the newest one's log only grows."""
        held = [generation.pieces() for generation in self._generations]
        numbers = [(g.ids, g.first_ms, g.last_ms) for g in self._generations]
        small = {
            "duplicates_generations": np.array(numbers, np.int64).reshape(-1, 3),
            "duplicates_key": self._key,
            "duplicates_clock_ms": np.array([self._clock_ms], np.int64),
        }
        hashes = Part(np.dtype(np.uint64), (self._ids, 2), lambda: chain.from_iterable(pieces() for pieces in held))
        self._captured = True
        return Capture(
            lambda: {"duplicates_hashes": hashes, **{name: Part.of(array) for name, array in small.items()}},
            self._close,
        )

    def _close(self) -> None:
        self._captured = False

    def load(self, arrays: Arrays) -> None:
        """Take over a window. Raises KeyError or ValueError, itself untouched, where the arrays do not fit."""
        hashes = np.require(arrays["duplicates_hashes"], np.uint64, ["C", "W"])  # as compiled code takes it
        (clock_ms,) = arrays["duplicates_clock_ms"].astype(np.int64).tolist()
        key = np.array(arrays["duplicates_key"], np.uint64)
        counted = arrays["duplicates_generations"].astype(np.int64).reshape(-1, 3).tolist()
        if hashes.ndim != 2 or hashes.shape[1] != 2 or key.shape != (2,):
            raise ValueError("the duplicate window has another form")
        if any(ids < 0 for ids, *_ in counted) or sum(ids for ids, *_ in counted) != len(hashes):
            raise ValueError("the duplicate window has another size")
        generations, start = [], 0
        for ids, first_ms, last_ms in counted:
            generations.append(Generation.of(hashes[start : start + ids], first_ms, last_ms))
            start += ids
        if generations:
            newest = generations[-1]
            newest.log = hashes[len(hashes) - newest.ids :].copy()
        self._spare = None
        self._generations, self._ids, self._key, self._clock_ms = generations, len(hashes), key, clock_ms


def warm() -> None:
    """Compile before the first batch, or load what was compiled."""
    window = DuplicateWindow(WindowLimits(1))
    for i in range(3):
        window.repeated([str(i), "again"], np.zeros(2, np.int64))
    window.load(window.to_arrays())
