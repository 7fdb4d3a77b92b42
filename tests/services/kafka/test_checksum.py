"""Checksums of record batches by the processor's instruction."""

import aiokafka.record.default_records
import google_crc32c
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from services.kafka.checksum import PART_BYTES, crc32c


@given(st.binary(max_size=300))
def test_they_are_the_clients_own(data: bytes) -> None:
    """Of any bytes, in any kind of buffer."""
    assert crc32c(data) == crc32c(bytearray(data)) == crc32c(memoryview(data)) == calc_crc32c(data)


def test_a_known_one() -> None:
    """RFC 3720, B.4: 32 bytes of zeros."""
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_data_of_several_parts_has_one() -> None:
    """At each length around their ends."""
    data = bytes(range(256)) * (PART_BYTES // 128 + 1)
    for length in (PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, len(data)):
        assert crc32c(data[:length]) == calc_crc32c(data[:length])


def test_batches_that_we_write_have_them_where_they_are_compiled() -> None:
    """In pure Python they would cost a hundred times the client's own."""
    uses_ours = aiokafka.record.default_records.calc_crc32c is crc32c
    assert uses_ours == (google_crc32c.implementation == "c")
