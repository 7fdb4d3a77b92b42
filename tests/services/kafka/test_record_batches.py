"""Batches that the client library fails on: read tolerantly, or as one record that stands for them."""

import dataclasses
import gzip
import random
import struct
import tracemalloc
from collections.abc import Sequence
from typing import Any

import aiokafka.consumer.fetcher
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from hypothesis import given
from hypothesis import strategies as st

from services.kafka.record_batches import (
    GZIP_MEMBERS_MAX,
    HEADERS_MAX,
    RECORDS_MAX,
    UNPACKED_BYTES_MAX,
    Unreadable,
)
from tests.chaos.fuzz_batches import marker_problem, spoiled_batch
from tests.services.engine.wire import CODECS, PLACEHOLDER, Row, bad_names, batch, packed, rebased, with_headers

SOURCE = TopicPartition("t", 0)


def parsed(*batches: bytes, at: int = 0) -> PartitionRecords:
    """What a consumer that fetched these batches from `at` on would go through."""
    records = aiokafka.consumer.fetcher.MemoryRecords(b"".join(batches))
    return PartitionRecords(SOURCE, records, [], at, None, None, True, READ_COMMITTED)


def rows(values: Sequence[bytes], name: str = "h") -> Any:
    """Rows of a batch, each with a header."""
    return [(1_000 + place, b"key", value, [(name, b"x")]) for place, value in enumerate(values)]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_the_records_back(codec: str) -> None:
    """The bounded decompression is the plain one where nothing is out of bounds."""
    records = list(parsed(batch(rows([b"a" * 70_000, b"b"]), codec), batch(rows([b"c"]), codec, base_offset=2)))
    assert [(r.offset, r.value[:1], len(r.value)) for r in records] == [(0, b"a", 70_000), (1, b"b", 1), (2, b"c", 1)]


def test_a_header_name_that_is_no_utf8_costs_no_record() -> None:
    """As shipped it is a UnicodeDecodeError out of `getmany`, for this member and for each that takes over."""
    bad = batch(rows([b"b", b"c"], PLACEHOLDER), patch=bad_names, base_offset=1)
    records = list(parsed(batch(rows([b"a"])), bad, batch(rows([b"d"]), base_offset=3)))
    assert [r.value for r in records] == [b"a", b"b", b"c", b"d"]
    assert [r.offset for r in records] == [0, 1, 2, 3]
    assert [r.timestamp for r in records] == [1_000, 1_000, 1_001, 1_000]
    assert records[1].headers == (("\\xff\\xfe\\xfd\\xfc", b"x"),)
    assert records[1].key == b"key"


def test_reading_goes_on_from_any_offset_within_a_batch_with_bad_names() -> None:
    """A restart begins where it committed, not where a batch begins."""
    bad = batch(rows([b"a", b"b", b"c"], PLACEHOLDER), patch=bad_names, base_offset=5)
    for at, values in ((5, [b"a", b"b", b"c"]), (6, [b"b", b"c"]), (7, [b"c"])):
        records = parsed(bad, at=at)
        assert [r.value for r in records] == values
        assert records.next_fetch_offset == 8


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "none"])
def test_a_batch_that_unpacks_beyond_the_bound_is_one_record_that_says_so(codec: str) -> None:
    """29 KB of zstd were 900 MB in memory, and a crash loop under the manifests' limits."""
    size_bytes = UNPACKED_BYTES_MAX + 1_000
    bomb = batch(rows([b"a", b" " * size_bytes, b"c"]), codec, base_offset=1)
    before, after = batch(rows([b"before"])), batch(rows([b"after"]), base_offset=4)
    tracemalloc.start()
    records = list(parsed(before, bomb, after))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(r.offset, r.value) for r in records] == [(0, b"before"), (1, b""), (4, b"after")]
    assert isinstance(records[1].value, Unreadable)
    assert "offsets 1 to 3 unpacks to more than 67,108,864 bytes" in records[1].value.why
    assert peak_bytes < 3 * UNPACKED_BYTES_MAX


@pytest.mark.parametrize("name", [b"ab", b"\xff\xff"], ids=["a name", "no UTF-8"])
def test_headers_that_would_fill_the_memory_are_one_record_that_says_so(name: bytes) -> None:
    """6 KB of zstd were 16 million headers, 2.2 GB and, where their names are no UTF-8, 43 s in which nothing else ran."""
    bomb = packed(with_headers(12_000_000, name), 1, "zstd")
    assert len(bomb) < 10_000
    tracemalloc.start()
    records = list(parsed(batch(rows([b"before"])), rebased(bomb, 1), batch(rows([b"after"]), base_offset=2)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(r.offset, r.value) for r in records] == [(0, b"before"), (1, b""), (2, b"after")]
    assert "offsets 1 to 1 holds a record with more than 1,000 headers" in records[1].value.why
    assert records[1].value.too_large
    assert peak_bytes < 3 * UNPACKED_BYTES_MAX


def test_a_small_batch_of_many_bad_names_is_not_parsed_one_by_one() -> None:
    """Each would be a text and a pair: seconds of them in a batch that is small enough to be parsed as it is."""
    (record,) = parsed(packed(with_headers(HEADERS_MAX + 1, b"\xff"), 1, "zstd"))
    assert "more than 1,000 headers" in record.value.why
    (record,) = parsed(packed(with_headers(HEADERS_MAX, b"\xff"), 1, "zstd"))
    assert len(record.headers) == HEADERS_MAX


@pytest.mark.slow
def test_millions_of_empty_records_in_one_batch_are_one_record_that_says_so() -> None:
    """A few KB would be as many dead letters."""
    number = RECORDS_MAX + 1
    many = b"".join(with_headers(0, b"", offset) for offset in range(number))
    (record,) = parsed(packed(many, number, "zstd"))
    assert "has too many records" in record.value.why
    assert len(list(parsed(packed(many[: -len(with_headers(0, b"", number - 1))], RECORDS_MAX, "zstd")))) == RECORDS_MAX


def test_a_batch_of_very_many_gzip_members_is_one_record_that_says_so() -> None:
    """Each costs a decompressor and a copy of what is behind it; a producer writes one."""
    good = packed(with_headers(0, b""), 1, "gzip")
    data = bytearray(good + gzip.compress(b"") * (GZIP_MEMBERS_MAX + 1))
    (record,) = parsed(rebased(bytes(data), 0))
    assert isinstance(record.value, Unreadable)
    (record,) = parsed(rebased(good + gzip.compress(b"") * 10, 0))
    assert record.value is None


def test_a_batch_that_nobody_can_parse_is_one_record_that_says_so() -> None:
    """Its checksum is right: to fetch it again would end every member in turn."""
    nonsense = batch(rows([b"a", b"b"]), patch=lambda data: data[:61] + b"\xff" * (len(data) - 61), base_offset=1)
    records = list(parsed(batch(rows([b"before"])), nonsense, batch(rows([b"after"]), base_offset=3)))
    assert [(r.offset, r.value) for r in records] == [(0, b"before"), (1, b""), (3, b"after")]
    assert "cannot be parsed" in records[1].value.why


def test_a_batch_with_a_wrong_checksum_is_still_an_error() -> None:
    """It was damaged on its way: fetched again, it may be whole. No dead letter may come of it."""
    data = bytearray(batch(rows([b"a"])))
    struct.pack_into(">I", data, 17, 1)
    with pytest.raises(CorruptRecordException):
        list(parsed(bytes(data)))


@given(
    st.lists(
        st.tuples(
            st.integers(-1, 1 << 62),
            st.none() | st.binary(max_size=20),
            st.none() | st.binary(max_size=20),
            st.lists(st.tuples(st.sampled_from([PLACEHOLDER, "h", ""]), st.none() | st.binary(max_size=4)), max_size=3),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 60),
    st.binary(max_size=3),
)
def test_whatever_is_in_a_batch_reading_it_raises_nothing_and_ends_behind_it(
    records: Any, place: int, bytes_put: bytes
) -> None:
    """Keys, header names and values, timestamps, and bytes that were changed after all: the checksum is made right."""

    def changed(data: bytes) -> bytes:
        data = bad_names(data)
        at = 61 + place
        return data[:at] + bytes_put + data[at + len(bytes_put) :] if at + len(bytes_put) <= len(data) else data

    read = parsed(batch(records, patch=changed))
    found = list(read)
    assert read.next_fetch_offset == len(records)
    assert found or bytes_put


def test_a_marker_that_cannot_be_parsed_hides_nothing_that_is_committed() -> None:
    """Of another version, cut short or empty: as shipped it stops the partition, or the producer's next records are skipped."""
    draw = random.Random(1)
    assert [problem for problem in (marker_problem(draw) for _ in range(300)) if problem] == []


@dataclasses.dataclass
class Assigned:
    """As much of a consumer's assignment, and of its one partition's state, as taking records reads and writes."""

    position: int = 0
    active: bool = True
    paused: bool = False

    def state_value(self, source: TopicPartition) -> "Assigned":
        """Of the one partition."""
        return self

    def consumed_to(self, position: int) -> None:
        """Where to fetch from next."""
        self.position = position


def taken(assigned: Assigned, data: bytes, records_max: int | None) -> list[list[Any]]:
    """What `getmany` takes of a fetch, call by call."""
    records = parsed(data, at=assigned.position)
    result, calls = FetchResult(SOURCE, assignment=assigned, partition_records=records, backoff=0), []
    while result.has_more():
        calls.append(result.getall(records_max))
        assert assigned.position == records.next_fetch_offset
    return calls


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3, 7, None]))
def test_records_taken_many_at_once_are_those_taken_one_by_one(seed: int, records_max: int | None) -> None:
    """Good batches and spoiled ones, cut anywhere: nothing is lost before, in or behind one that fails."""
    draw, data, base = random.Random(seed), b"", 0
    for _ in range(draw.randint(1, 6)):
        one, offsets = spoiled_batch(draw) if draw.random() < 0.5 else (batch(rows([b"a", b"b", b"c"])), 3)
        data, base = data + rebased(one, base), base + offsets
    assigned, wanted = Assigned(), list(parsed(data))
    calls = taken(assigned, data, records_max)
    assert [record for call in calls for record in call] == wanted
    assert assigned.position == base
    assert records_max is None or all(len(call) == records_max for call in calls[:-1])


def test_a_batch_that_fails_in_the_middle_gives_its_first_records_once() -> None:
    """The compiled parser raises at the third record; what it gave before is not given again."""
    middle = rows([b"a", b"b"]) + rows([b"c"], PLACEHOLDER) + rows([b"d"])
    data = batch(middle, patch=bad_names) + batch(rows([b"e"]), base_offset=4)
    for records_max in (1, 2, 3, None):
        calls = taken(Assigned(), data, records_max)
        assert [record.value for call in calls for record in call] == [b"a", b"b", b"c", b"d", b"e"]


def test_nothing_is_taken_of_a_partition_that_is_gone_or_was_moved() -> None:
    """As shipped: what was fetched for another position is not given out."""
    for assigned in (Assigned(active=False), Assigned(paused=True), Assigned(position=5)):
        records = parsed(batch(rows([b"a"])))
        result = FetchResult(SOURCE, assignment=assigned, partition_records=records, backoff=0)
        assert result.getall(10) == []
        assert not result.has_more()


def test_a_wrong_checksum_raises_and_moves_no_position() -> None:
    """What came before it in the same call is fetched again."""
    wrong = bytearray(batch(rows([b"b"]), base_offset=1))
    wrong[-1] ^= 1
    assigned = Assigned()
    result = FetchResult(
        SOURCE, assignment=assigned, partition_records=parsed(batch(rows([b"a"])) + bytes(wrong)), backoff=0
    )
    with pytest.raises(CorruptRecordException):
        result.getall(10)
    assert assigned.position == 0


def test_a_fetched_record_is_what_the_librarys_own_is() -> None:
    """Each field; and a copy with another value."""
    several: list[Row] = [
        (1_000, None, None, []),
        (1_001, b"", b"", [("a", None)]),
        (1_002, b"k", b"value", [("a", b"b"), ("c", b"")]),
    ]
    data = batch(several)
    own = PartitionRecords(
        SOURCE,
        aiokafka.consumer.fetcher.MemoryRecords(data),
        [],
        0,
        lambda key: key,
        lambda value: value,
        True,
        READ_COMMITTED,
    )
    fields = [field.name for field in dataclasses.fields(ConsumerRecord)]
    for ours, librarys in zip(parsed(data), own, strict=True):
        assert isinstance(librarys, ConsumerRecord)
        assert not isinstance(ours, ConsumerRecord)
        assert [getattr(ours, name) for name in fields] == [getattr(librarys, name) for name in fields]
        copy = dataclasses.replace(ours, value=b"other")
        assert (copy.value, copy.key, copy.offset) == (b"other", ours.key, ours.offset)
