"""Sets of ids by 128 keyed bits of each: 16 bytes an entry, for the many ids of which nothing but "seen" is kept.

The bits are SipHash-2-4's with 128 bits of output, under a key that stays with the set: without it no one can look for two
ids that fall together, and by chance two of 4,000,000 do with a probability of 2 in 10^26. An id of more than 64 bytes goes
in by its BLAKE2b (`index.keys_of`), so no two ids are the same before they are hashed.

Eight slots share a word with a byte of each one's bits: one load from memory says of most ids that they are not there.
"""

import secrets
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.features.index import Keys, keys_of, sip_round

Hashes = NDArray[np.uint64]
"""uint64[n, 2]."""

BUCKET_SLOTS = 8
BUCKETS_MIN = 64
FILLED_MAX = 0.75
"""Of a table's slots. Beyond it too many buckets are full, and a lookup goes on to the next."""

FILLED_AT_FIRST = 0.6
"""Of a table that is made for so many ids."""

AHEAD = 16
PIECE_BUCKETS = 8192  # 1 MB of bits

ALL_PADDING = np.uint64(0xFFFFFFFFFFFFFFFF)
"""A word of `keys_of` behind an id's end."""

BYTE = np.uint64(0xFF)
BYTES_1 = np.uint64(0x0101010101010101)
BYTES_80 = np.uint64(0x8080808080808080)


class IdTable(NamedTuple):
    """A hash table of buckets. tags: uint64[buckets], a byte of each id's bits, 0 where free. rows: uint64[buckets, 8, 2]."""

    tags: NDArray[np.uint64]
    rows: NDArray[np.uint64]

    @property
    def ids_max(self) -> int:
        """How many it should hold at most."""
        return int(len(self.tags) * BUCKET_SLOTS * FILLED_MAX)

    def emptied(self) -> "IdTable":
        """The same memory, as a table of none: to get other memory costs a hundred times as much."""
        self.tags[:] = 0
        return self

    def pieces(self) -> Iterator[Hashes]:
        """All that it holds, in no order, piece by piece; each is valid until the next one."""
        piece = np.empty((PIECE_BUCKETS * BUCKET_SLOTS, 2), dtype=np.uint64)
        for first in range(0, len(self.tags), PIECE_BUCKETS):
            yield piece[: _copy(self.tags, self.rows, first, piece)]


def random_key() -> NDArray[np.uint64]:
    """uint64[2]."""
    return np.frombuffer(secrets.token_bytes(16), dtype=np.uint64).copy()  # writable, as all that compiled code takes


def hashes_of(ids: Sequence[str], key: NDArray[np.uint64], words: Keys | None = None) -> Hashes:
    """The ids' bits. words: the ids as `index.keys_of` has them, where somebody has asked for that already."""
    hashes = np.empty((len(ids), 2), dtype=np.uint64)
    _hash_all((keys_of(ids) if words is None else words).view(np.uint64), key, hashes)
    return hashes


def table_for(ids: int) -> IdTable:
    """An empty table for so many ids. The operating system gives the memory page by page, as it is written."""
    buckets = max(BUCKETS_MIN, int(ids / FILLED_AT_FIRST) // BUCKET_SLOTS + 1)
    return IdTable(np.zeros(buckets, dtype=np.uint64), np.zeros((buckets, BUCKET_SLOTS, 2), dtype=np.uint64))


@compiled
def _hash_all(words, key, hashes):  # type: ignore[no-untyped-def]
    for row in range(words.shape[0]):
        a, b = key[0] ^ np.uint64(0x736F6D6570736575), key[1] ^ np.uint64(0x646F72616E646F6D ^ 0xEE)
        c, d = key[0] ^ np.uint64(0x6C7967656E657261), key[1] ^ np.uint64(0x7465646279746573)
        used = words.shape[1]
        while used > 0 and words[row, used - 1] == ALL_PADDING:
            used -= 1
        for word in range(used):
            d ^= words[row, word]
            a, b, c, d = sip_round(*sip_round(a, b, c, d))
            a ^= words[row, word]
        length = np.uint64(used * 8) << np.uint64(56)
        d ^= length
        a, b, c, d = sip_round(*sip_round(a, b, c, d))
        a ^= length
        c ^= np.uint64(0xEE)
        for _ in range(4):
            a, b, c, d = sip_round(a, b, c, d)
        first = a ^ b ^ c ^ d
        b ^= np.uint64(0xDD)
        for _ in range(4):
            a, b, c, d = sip_round(a, b, c, d)
        hashes[row, 0] = first
        hashes[row, 1] = a ^ b ^ c ^ d


@compiled
def _home(tags, hashes, row):  # type: ignore[no-untyped-def]
    """The bucket in which an id is looked for first."""
    return np.int64(((hashes[row, 0] & np.uint64(0xFFFFFFFF)) * np.uint64(tags.shape[0])) >> np.uint64(32))


@compiled
def _touch(tags, hashes, first):  # type: ignore[no-untyped-def]
    """Load the next ids' buckets into the cache: the loads do not wait for each other."""
    touched = np.uint64(0)
    for row in range(first, min(first + AHEAD, hashes.shape[0])):
        touched ^= tags[_home(tags, hashes, row)]
    return touched


@compiled
def _zero_byte(word):  # type: ignore[no-untyped-def]
    """Whether any byte of a word is 0."""
    return (word - BYTES_1) & ~word & BYTES_80 != np.uint64(0)


@compiled
def _tag(hashes, row):  # type: ignore[no-untyped-def]
    return max(hashes[row, 0] >> np.uint64(56), np.uint64(1))


@compiled
def _find(tags, rows, hashes, row):  # type: ignore[no-untyped-def]
    """The bucket of an id, and whether it is there; else the bucket with a slot free for it. Never all are taken."""
    bucket = _home(tags, hashes, row)
    wanted = _tag(hashes, row) * BYTES_1
    while True:
        word = tags[bucket]
        if _zero_byte(word ^ wanted):
            for slot in range(BUCKET_SLOTS):  # what lies in a free one may be another time's
                taken = (word >> np.uint64(8 * slot)) & BYTE != np.uint64(0)
                if taken and rows[bucket, slot, 0] == hashes[row, 0] and rows[bucket, slot, 1] == hashes[row, 1]:
                    return bucket, True
        if _zero_byte(word):
            return bucket, False
        bucket += 1
        if bucket == tags.shape[0]:
            bucket = 0


@compiled
def _put(tags, rows, bucket, hashes, row):  # type: ignore[no-untyped-def]
    slot = 0
    while (tags[bucket] >> np.uint64(8 * slot)) & BYTE != np.uint64(0):
        slot += 1
    tags[bucket] |= _tag(hashes, row) << np.uint64(8 * slot)
    rows[bucket, slot, 0], rows[bucket, slot, 1] = hashes[row, 0], hashes[row, 1]


@compiled
def mark_held(tags, rows, hashes, held):  # type: ignore[no-untyped-def]
    """Set held (bool[n]) of the ids that the table holds."""
    touched = np.uint64(0)
    for row in range(hashes.shape[0]):
        if row % AHEAD == 0:
            touched ^= _touch(tags, hashes, row)
        held[row] |= _find(tags, rows, hashes, row)[1]
    return touched  # so that the compiler keeps the loads


@compiled
def add(tags, rows, hashes, held, log, used):  # type: ignore[no-untyped-def]
    """Add the ids that are not held yet, in order, to a table that has room, and to the log from `used` on.

    Those that are in the table already, also from this call, become held. Returns how many the log has then.
    """
    touched = np.uint64(0)
    for row in range(hashes.shape[0]):
        if row % AHEAD == 0:
            touched ^= _touch(tags, hashes, row)
        if held[row]:
            continue
        bucket, held[row] = _find(tags, rows, hashes, row)
        if not held[row]:
            _put(tags, rows, bucket, hashes, row)
            log[used, 0], log[used, 1] = hashes[row, 0], hashes[row, 1]
            used += 1
    return used, touched


@compiled
def fill(tags, rows, hashes):  # type: ignore[no-untyped-def]
    """Add ids to a table that has room. Whether all were new."""
    touched = np.uint64(0)
    for row in range(hashes.shape[0]):
        if row % AHEAD == 0:
            touched ^= _touch(tags, hashes, row)
        bucket, found = _find(tags, rows, hashes, row)
        if found:
            return False, touched
        _put(tags, rows, bucket, hashes, row)
    return True, touched


@compiled
def _copy(tags, rows, first, piece):  # type: ignore[no-untyped-def]
    """Copy what the next buckets hold; returns how many ids."""
    copied = 0
    for bucket in range(first, min(first + PIECE_BUCKETS, tags.shape[0])):
        for slot in range(BUCKET_SLOTS):
            if (tags[bucket] >> np.uint64(8 * slot)) & BYTE != np.uint64(0):
                piece[copied, 0], piece[copied, 1] = rows[bucket, slot, 0], rows[bucket, slot, 1]
                copied += 1
    return copied
