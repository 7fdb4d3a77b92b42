"""Texts with an expiry each, in 26 bytes an entry: whether many are among them, at once.

Two hashes of a text stand for it: Python's own (SipHash under a key that is random in each process) of the text, and of the
text with a mark. 128 bits: no two texts agree by chance, and none can be made to, so every process finds the same.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Hashes = NDArray[np.uint64]
Times = NDArray[np.int64]
Rows = NDArray[np.intp]

NEVER_MS = 2**63 - 1
"""Expiry of what does not expire."""

GONE_MS = -1
"""Expiry of what was taken back: before every event."""

RECENT_MIN = 4096
RECENT_SHARE = 64
"""Changes are kept apart until they are so many, or such a part of the entries: joining them costs a pass over all."""

FILTER_BITS_MIN, FILTER_BITS_MAX = 12, 28
FILTER_BITS_PER_ENTRY = 16
RECENT_BITS_MIN, RECENT_BITS_MAX = 16, 20
NO_CHANGES = np.zeros(0, np.bool_)
_MARK = "\x00"
_WORD = 2**64 - 1


def hashes_of(texts: Iterable[str]) -> Hashes:
    """The first hash of each text."""
    return np.fromiter(map(hash, texts), np.int64).view(np.uint64)


@compiled
def _candidates(hashes, joined_bits, joined_shift, recent_bits, recent_shift):  # type: ignore[no-untyped-def]
    """Rows that may be among the joined entries, and rows that may be among the changes: one pass for both filters."""
    joined, recent = np.empty(hashes.shape[0], np.int64), np.empty(hashes.shape[0], np.int64)
    found = changed = 0
    for row in range(hashes.shape[0]):
        place = hashes[row] >> joined_shift
        if (np.uint64(joined_bits[place >> np.uint64(3)]) >> (place & np.uint64(7))) & np.uint64(1) != np.uint64(0):
            joined[found] = row
            found += 1
        if recent_bits.shape[0] and recent_bits[hashes[row] >> recent_shift]:
            recent[changed] = row
            changed += 1
    return joined[:found], recent[:changed]


@compiled
def _passing(hashes, bits, shift):  # type: ignore[no-untyped-def]
    """Rows whose bit is set."""
    rows, found = np.empty(hashes.shape[0], np.int64), 0
    for row in range(hashes.shape[0]):
        place = hashes[row] >> shift
        if (np.uint64(bits[place >> np.uint64(3)]) >> (place & np.uint64(7))) & np.uint64(1) != np.uint64(0):
            rows[found] = row
            found += 1
    return rows[:found]


def _set_bits(bits: NDArray[np.uint8], places: NDArray[np.int64]) -> None:
    np.bitwise_or.at(bits, places >> 3, (1 << (places & 7)).astype(np.uint8))


class Filter:
    """One bit or more for each text of several sets: what has none is in none of them. Texts are added, never taken out."""

    def __init__(self, hashes: Hashes) -> None:
        wanted = (2 * len(hashes) * FILTER_BITS_PER_ENTRY).bit_length()
        self._bits = min(max(wanted, FILTER_BITS_MIN), FILTER_BITS_MAX)
        self._room = (1 << self._bits) // FILTER_BITS_PER_ENTRY if self._bits < FILTER_BITS_MAX else _WORD
        self._array = np.zeros(1 << (self._bits - 3), np.uint8)
        self.add(hashes)

    @property
    def bytes(self) -> int:
        """Of its array."""
        return self._array.nbytes

    @property
    def full(self) -> bool:
        """Whether so much was added that a new one would find less in vain."""
        return self._room < 0

    def add(self, hashes: Hashes) -> None:
        """More of them."""
        self._room -= len(hashes)
        _set_bits(self._array, (hashes >> np.uint64(64 - self._bits)).astype(np.int64))

    def passing(self, hashes: Hashes) -> Rows:
        """Rows that may be in one of the sets."""
        found: Rows = _passing(hashes, self._array, np.uint64(64 - self._bits))
        return found


def warm() -> None:
    """Compile what is compiled, before the first look-up does."""
    Filter(hashes_of([""])).passing(hashes_of([""]))
    TextSet().contains([""], hashes_of([""]), np.zeros(1, np.int64))


class TextSet:
    """A set of texts that changes one by one and is asked in batches."""

    def __init__(self) -> None:
        self._first: Hashes = np.zeros(0, np.uint64)
        self._second: Hashes = np.zeros(0, np.uint64)
        self._expires_ms: Times = np.zeros(0, np.int64)
        self._recent: dict[int, tuple[int, int]] = {}
        self._twins: dict[tuple[int, int], int] = {}
        self._clear_filter(FILTER_BITS_MIN)

    def __len__(self) -> int:
        """How many entries, those taken back lately among them."""
        return len(self._first) + len(self._recent) + len(self._twins)

    @property
    def bytes(self) -> int:
        """Of the arrays."""
        arrays = (self._first, self._second, self._expires_ms, self._filter, self._recent_filter)
        return sum(array.nbytes for array in arrays)

    @property
    def hashes(self) -> Hashes:
        """The first hash of each."""
        changes = [*self._recent, *(first for first, _ in self._twins)]
        return np.concatenate([self._first, np.array(changes, np.uint64)])

    def put(self, text: str, expires_ms: int) -> None:
        """Add a text, or change its expiry; GONE_MS takes it back."""
        self.put_many([text], [expires_ms])

    def put_many(self, texts: Sequence[str], expires_ms: Sequence[int]) -> None:
        """The same of several, in order."""
        recent, twins = self._recent, self._twins
        firsts = [hash(text) & _WORD for text in texts]
        seconds = [hash(text + _MARK) & _WORD for text in texts]
        for first, second, until_ms in zip(firsts, seconds, expires_ms, strict=True):
            held = recent.get(first)
            if (held is not None and held[0] != second) or (twins and (first, second) in twins):
                twins[first, second] = until_ms  # once in 10^7 lists of a million
            else:
                recent[first] = second, until_ms
        shift = np.uint64(64 - self._recent_bits)
        self._recent_filter[(np.array(firsts, np.uint64) >> shift).astype(np.int64)] = True
        if len(recent) >= max(RECENT_MIN, len(self._first) // RECENT_SHARE):
            self._join()

    def contains(self, texts: Sequence[str], hashes: Hashes, times_ms: Times) -> NDArray[np.bool_]:
        """bool[n]: whether each text is in the set and not expired at its time. hashes: of the texts."""
        found = np.zeros(len(hashes), np.bool_)
        shifts = np.uint64(64 - self._filter_bits), np.uint64(64 - self._recent_bits)
        recent = self._recent_filter if self._recent or self._twins else NO_CHANGES
        rows, changed = _candidates(hashes, self._filter, shifts[0], recent, shifts[1])
        if len(rows) and len(self._first):
            places = np.minimum(self._first.searchsorted(hashes[rows]), len(self._first) - 1)
            same = self._first[places] == hashes[rows]
            rows, places = rows[same], places[same]
        if len(rows):
            second = hashes_of([texts[row] + _MARK for row in rows.tolist()])
            found[rows] = (self._second[places] == second) & (self._expires_ms[places] > times_ms[rows])
        if len(changed):
            self._look_at_changes(changed, texts, hashes, times_ms, found)
        return found

    def _look_at_changes(
        self, rows: Rows, texts: Sequence[str], hashes: Hashes, times_ms: Times, found: NDArray[np.bool_]
    ) -> None:
        for row in rows.tolist():
            first, second = int(hashes[row]), hash(texts[row] + _MARK) & _WORD
            held = self._recent.get(first)
            if held is not None and held[0] == second:
                found[row] = held[1] > times_ms[row]
            elif (first, second) in self._twins:
                found[row] = self._twins[first, second] > times_ms[row]

    def _join(self) -> None:
        """The changes become part of the arrays."""
        recent, self._recent = self._recent, {}
        first = np.fromiter(recent, np.uint64, len(recent))
        order = np.argsort(first)
        second = np.fromiter((second for second, _ in recent.values()), np.uint64, len(recent))[order]
        expires_ms = np.fromiter((expires_ms for _, expires_ms in recent.values()), np.int64, len(recent))[order]
        first = first[order]
        kept = self._without(first, second)
        alive = expires_ms != GONE_MS
        first, second, expires_ms = first[alive], second[alive], expires_ms[alive]
        places = self._first[kept].searchsorted(first)
        self._second = np.insert(self._second[kept], places, second)
        self._expires_ms = np.insert(self._expires_ms[kept], places, expires_ms)
        self._first = np.insert(self._first[kept], places, first)
        self._fill_filter()

    def _without(self, first: Hashes, second: Hashes) -> NDArray[np.bool_]:
        """Which of the joined ones the changes do not replace; a twin of one of them moves to where twins are."""
        kept = np.ones(len(self._first), np.bool_)
        if len(kept):
            places = np.minimum(self._first.searchsorted(first), len(kept) - 1)
            same = self._first[places] == first
            for place in places[same & (self._second[places] != second)].tolist():
                self._twins[int(self._first[place]), int(self._second[place])] = int(self._expires_ms[place])
            kept[places[same]] = False
        return kept

    def _clear_filter(self, bits: int) -> None:
        self._filter_bits, self._recent_bits = bits, min(max(bits - 4, RECENT_BITS_MIN), RECENT_BITS_MAX)
        self._filter = np.zeros(1 << (bits - 3), np.uint8)
        self._recent_filter = np.zeros(1 << self._recent_bits, np.bool_)
        for first, _ in self._twins:
            self._recent_filter[first >> (64 - self._recent_bits)] = True

    def _fill_filter(self) -> None:
        wanted = max(1, len(self._first) * FILTER_BITS_PER_ENTRY).bit_length()
        self._clear_filter(min(max(wanted, FILTER_BITS_MIN), FILTER_BITS_MAX))
        places = (self._first >> np.uint64(64 - self._filter_bits)).astype(np.int64)  # ascending, as the hashes are
        whole = places >> 3
        starts = np.flatnonzero(np.diff(whole, prepend=-1))
        if len(starts):
            self._filter[whole[starts]] = np.bitwise_or.reduceat((1 << (places & 7)).astype(np.uint8), starts)
