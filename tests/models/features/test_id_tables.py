"""Sets of ids by 128 bits: the bits are SipHash's, and a table holds exactly what was added."""

import numpy as np
import pytest

from models.features import id_tables

MASK = (1 << 64) - 1


def reference(data: bytes, key: bytes) -> tuple[int, int]:
    """SipHash-2-4 with 128 bits of output, after Aumasson and Bernstein, in Python's own numbers."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(word: int, bits: int) -> int:
        return (word << bits | word >> (64 - bits)) & MASK

    def rounds(number: int) -> None:
        for _ in range(number):
            for a, b, c, d, s, t in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a], v[c] = (v[a] + v[b]) & MASK, (v[c] + v[d]) & MASK
                v[b], v[d] = rotate(v[b], s) ^ v[a], rotate(v[d], t) ^ v[c]
                v[a] = rotate(v[a], 32)

    tail = data[len(data) // 8 * 8 :].ljust(7, b"\0") + bytes([len(data) & 0xFF])
    for word in np.frombuffer(data[: len(data) // 8 * 8] + tail, np.uint64).tolist():
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return first, v[0] ^ v[1] ^ v[2] ^ v[3]


def test_the_reference_is_siphash() -> None:
    """The first of the authors' vectors, of no bytes at all."""
    first, second = reference(b"", bytes(range(16)))
    assert (first.to_bytes(8, "little") + second.to_bytes(8, "little")).hex() == "a3817f04ba25a8e66df67214c7550293"


@pytest.mark.parametrize("record_id", ["a", "12345678", "5f0c77aa-4bcd-9eee-0000-000000000001", "ä" * 20, "x" * 64])
def test_the_bits_are_siphashs_of_the_id_padded_to_whole_words(record_id: str) -> None:
    """So what is known of it holds here."""
    key = id_tables.random_key()
    data = record_id.encode()
    padded = data + b"\xff" * (-len(data) % 8)
    assert tuple(id_tables.hashes_of([record_id], key)[0].tolist()) == reference(padded, key.tobytes())


def test_ids_that_differ_anywhere_have_other_bits_whatever_their_length() -> None:
    """Beside each other in a batch, long ones too, which go in by their BLAKE2b."""
    ids = [letter * length for letter in "ab" for length in range(1, 130)]
    bits = id_tables.hashes_of(ids, id_tables.random_key())
    assert len({tuple(row) for row in bits.tolist()}) == len(ids)


def test_a_table_that_is_used_again_holds_nothing_of_its_former_time() -> None:
    """What lies in its free slots is not looked at, also where a neighbour has the same tag."""
    for _ in range(20):
        table, held = id_tables.table_for(1), np.zeros(250, np.bool_)
        former, now = (id_tables.hashes_of([f"{n}-{i}" for i in range(250)], id_tables.random_key()) for n in range(2))
        id_tables.fill(*table, former)
        id_tables.fill(*table.emptied(), now)
        id_tables.mark_held(*table, former, held)
        assert not held.any()
        id_tables.mark_held(*table, now, held)
        assert held.all()
        assert {tuple(row) for piece in table.pieces() for row in piece.tolist()} == {
            tuple(row) for row in now.tolist()
        }
