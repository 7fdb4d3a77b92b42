"""Which row belongs to which card: a hash table beside the rows; the ids are in the rows themselves.

A dictionary of Python strings costs four cache misses a payment that wait for each other, 1.3 us at a million cards; here the
loads of many payments overlap. Ids are compared in full, so a hash that falls together never mixes two cards. Where an
entry stands in the table has no influence on any result, so its hash has a key of the process (SipHash-1-3): no sender can
choose ids that fall together. What a feature counts by (`public_tags`) is in snapshots, and the same everywhere.
"""

import hashlib
import secrets
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.features.kernel import ID_BYTES

PADDING = 0xFF  # no byte of UTF-8
LONG = b"\xff\x00"
"""Begins what stands for an id that is too long: no id's first byte, and not NO_ID."""

SEPARATOR = "\n"
"""Between ids on their way into the index: to find it costs a third of asking each id for its length."""
SEPARATOR_BYTE = ord(SEPARATOR)
NO_ROW = 0
"""The row that stays empty: a late payment of an unknown card is scored from it."""

NO_ID = np.uint32(0xFFFFFFFF)
"""First word of the id in a row that belongs to no one."""

USED, FREE = 0, 1
"""Counters: rows ever used, row 0 included; entries on the stack of freed rows."""

AHEAD = 16

Keys = NDArray[np.uint32]
"""Ids as words uint32[n, 16]."""

SECRET = np.frombuffer(secrets.token_bytes(16), dtype=np.uint64)
"""Handed to compiled code, never read there: numba would write it into its cache on disk."""

EMPTY_ENTRY = np.uint64(0)
ROW_BITS = np.uint64(0xFFFFFFFF)
TAG_SHIFT = np.uint64(32)


def table_for(cards_max: int) -> NDArray[np.uint64]:
    """An empty table, at most half full with `cards_max` cards. An entry is the id's tag (high half) and its row."""
    return np.zeros(table_bytes(cards_max) // 8, dtype=np.uint64)


def table_bytes(cards_max: int) -> int:
    """Size of such a table."""
    return int(8 << (2 * cards_max - 1).bit_length())


def keys_of(card_ids: Sequence[str]) -> Keys:
    """Ids as words uint32[n, 16]. An id of more than 64 bytes stands as LONG and its BLAKE2b."""
    text = SEPARATOR.join(card_ids)
    padded = np.full((len(card_ids), ID_BYTES), PADDING, dtype=np.uint8)
    if not (text.isascii() and _split(np.frombuffer(text.encode(), dtype=np.uint8), padded)):
        padded[:] = np.frombuffer(b"".join(map(_padded, card_ids)), dtype=np.uint8).reshape(padded.shape)
    return padded.view(np.uint32)


def key_of(card_id: str) -> NDArray[np.uint32]:
    """One id's words, without compiled code: its first call costs a process half a second."""
    return np.frombuffer(_padded(card_id), dtype=np.uint32).copy()


def public_tags(words: Keys) -> NDArray[np.uint32]:
    """Hashes by which different values are counted: the same in every process."""
    tags = np.empty(len(words), dtype=np.uint32)
    _public_tag_all(words, tags)
    return tags


def public_hashes(words: Keys, none: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """64 bits of each id, never 0; 0 where the words are those of `none`. The same in every process.

    Who knows an id can find another one of the same hash; to send the id itself would gain them as much.
    """
    hashes = np.empty(len(words), dtype=np.uint64)
    _public_hash_all(words, none, hashes)
    return hashes


def secret_tags(words: Keys, secret: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Hashes that give the places of ids in a table."""
    tags = np.empty(len(words), dtype=np.uint32)
    _tag_all(words, secret, tags)
    return tags


def _padded(card_id: str) -> bytes:
    data = card_id.encode()
    if len(data) > ID_BYTES:
        return LONG + hashlib.blake2b(data, digest_size=ID_BYTES - len(LONG)).digest()
    return data.ljust(ID_BYTES, bytes([PADDING]))


@compiled
def _split(data, padded):  # type: ignore[no-untyped-def]
    """Copy each id into its padded position. Whether it could: an id may be too long, or have a separator in it."""
    row, byte = 0, 0
    for at in range(data.shape[0]):
        if data[at] == SEPARATOR_BYTE:
            row, byte = row + 1, 0
        elif byte == padded.shape[1] or row == padded.shape[0]:
            return False
        else:
            padded[row, byte] = data[at]
            byte += 1
    return row == max(0, padded.shape[0] - 1)


@compiled
def _public_tag_all(words, tags):  # type: ignore[no-untyped-def]
    for row in range(tags.shape[0]):
        tags[row] = _public_tag(words, row, words.shape[1])


@compiled
def _public_hash_all(words, none, hashes):  # type: ignore[no-untyped-def]
    for row in range(hashes.shape[0]):
        given = False
        for word in range(words.shape[1]):
            given |= words[row, word] != none[word]
        hashes[row] = max(_public_hash(words, row, words.shape[1]), np.uint64(1)) if given else np.uint64(0)


@compiled
def _tag_all(words, secret, tags):  # type: ignore[no-untyped-def]
    for row in range(tags.shape[0]):
        tags[row] = _tag(words, row, words.shape[1], secret)


@compiled
def _rotate(word, bits):  # type: ignore[no-untyped-def]
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@compiled
def sip_round(a, b, c, d):  # type: ignore[no-untyped-def]
    """One round of SipHash."""
    a += b
    c += d
    b = _rotate(b, 13) ^ a
    d = _rotate(d, 16) ^ c
    a = _rotate(a, 32) + d
    c += b
    d = _rotate(d, 21) ^ a
    b = _rotate(b, 17) ^ c
    return a, b, _rotate(c, 32), d


@compiled
def _tag(words, row, id_words, secret):  # type: ignore[no-untyped-def]
    """32 bits of SipHash-1-3 of the id in words[row]; all ids have one length, so it is not hashed."""
    a, b = secret[0] ^ np.uint64(0x736F6D6570736575), secret[1] ^ np.uint64(0x646F72616E646F6D)
    c, d = secret[0] ^ np.uint64(0x6C7967656E657261), secret[1] ^ np.uint64(0x7465646279746573)
    for word in range(0, id_words, 2):
        block = np.uint64(words[row, word]) | (np.uint64(words[row, word + 1]) << TAG_SHIFT)
        d ^= block
        a, b, c, d = sip_round(a, b, c, d)
        a ^= block
    c ^= np.uint64(0xFF)
    for _ in range(3):
        a, b, c, d = sip_round(a, b, c, d)
    return np.uint32((a ^ b ^ c ^ d) >> TAG_SHIFT)


@compiled
def _public_hash(words, row, id_words):  # type: ignore[no-untyped-def]
    """A multiplicative hash (splitmix64's constants) of the id in words[row]."""
    state = np.uint64(0x9E3779B97F4A7C15)
    for word in range(id_words):
        state = (state ^ np.uint64(words[row, word])) * np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(29)
    return state * np.uint64(0x94D049BB133111EB)


@compiled
def _public_tag(words, row, id_words):  # type: ignore[no-untyped-def]
    """The upper half of it."""
    return np.uint32(_public_hash(words, row, id_words) >> TAG_SHIFT)


@compiled
def _find(table, rows, words, tag, key, id_words):  # type: ignore[no-untyped-def]
    """Place in the table of key's entry, or of the empty one where it would go."""
    mask = np.uint64(table.shape[0] - 1)
    position = np.uint64(tag) & mask
    while table[position] != EMPTY_ENTRY:
        entry = table[position]
        if entry >> TAG_SHIFT == np.uint64(tag):
            row = np.int64(entry & ROW_BITS)
            same = True
            for word in range(id_words):
                same &= rows[row, word] == words[key, word]
            if same:
                return position
        position = (position + np.uint64(1)) & mask
    return position


@compiled
def _touch(table, rows, tags, first):  # type: ignore[no-untyped-def]
    """Load the table's entries of the next keys into the cache, then the ids that they point to; see kernel._touch."""
    mask = np.uint64(table.shape[0] - 1)
    last = min(first + AHEAD, tags.shape[0])
    touched = np.uint64(0)
    for key in range(first, last):
        touched ^= table[np.uint64(tags[key]) & mask]
    for key in range(first, last):
        touched ^= np.uint64(rows[np.int64(table[np.uint64(tags[key]) & mask] & ROW_BITS), 0])
    return touched


@compiled
def resolve(table, rows, times, blank, counters, free, words, tags, late, slots):  # type: ignore[no-untyped-def]
    """Fill slots with the rows of the keys in order, new cards placed, as far as there is room; return how many.

    times: the rows as int64; blank: (first column, end column, value) of a new card's. free: stack of freed rows.
    A late payment adds no card: an unknown card's row is NO_ROW.
    """
    first_column, end_column, empty = blank
    touched = np.uint64(0)
    for key in range(tags.shape[0]):
        if key % AHEAD == 0:
            touched ^= _touch(table, rows, tags, key)
        position = _find(table, rows, words, tags[key], key, words.shape[1])
        if table[position] != EMPTY_ENTRY:
            slots[key] = np.int64(table[position] & ROW_BITS)
        elif late[key]:
            slots[key] = NO_ROW
        elif counters[FREE] > 0 or counters[USED] < rows.shape[0]:
            if counters[FREE] > 0:
                counters[FREE] -= 1
                row = free[counters[FREE]]
            else:
                row = counters[USED]
                counters[USED] += 1
            for word in range(words.shape[1]):
                rows[row, word] = words[key, word]
            times[row, first_column:end_column] = empty
            table[position] = (np.uint64(tags[key]) << TAG_SHIFT) | np.uint64(row)
            slots[key] = row
        else:
            return key, touched
    return tags.shape[0], touched  # touched, so that the compiler keeps the loads


@compiled
def insert_all(table, rows, used, id_words, secret):  # type: ignore[no-untyped-def]
    """Fill an empty table with the rows below `used` that have an id."""
    for row in range(1, used):
        if rows[row, 0] != NO_ID:
            tag = _tag(rows, row, id_words, secret)
            table[_find(table, rows, rows, tag, row, id_words)] = (np.uint64(tag) << TAG_SHIFT) | np.uint64(row)


@compiled
def remove(table, rows, counters, free, slots, id_words, secret):  # type: ignore[no-untyped-def]
    """Take rows from their cards and push them onto the stack of freed ones, in order."""
    mask = np.uint64(table.shape[0] - 1)
    for row in slots:
        hole = _find(table, rows, rows, _tag(rows, row, id_words, secret), row, id_words)
        position = (hole + np.uint64(1)) & mask
        while table[position] != EMPTY_ENTRY:  # close the gap: Knuth, TAOCP 3, 6.4, algorithm R
            home = (table[position] >> TAG_SHIFT) & mask
            if ((position - home) & mask) >= ((position - hole) & mask):
                table[hole] = table[position]
                hole = position
            position = (position + np.uint64(1)) & mask
        table[hole] = EMPTY_ENTRY
        rows[row, 0] = NO_ID
        free[counters[FREE]] = row
        counters[FREE] += 1
