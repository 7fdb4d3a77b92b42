"""Checksums of ids out of their words are zlib's."""

import zlib

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from models.features.crc32 import crc32_all
from models.features.index import ID_BYTES, keys_of


@given(st.lists(st.text(max_size=70), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
@example(["", "a", "é" * 32, "a" * ID_BYTES, "a" * (ID_BYTES + 1), "\x00", "\n"], 0)
def test_checksums_are_zlibs(ids: list[str], start: int) -> None:
    """Of any ids, also of those that are too long for their words, from any beginning."""
    wanted = [zlib.crc32(one.encode(), start) for one in ids]
    found = crc32_all(ids, keys_of(ids), start)
    assert found.dtype == np.uint32
    assert found.tolist() == wanted
