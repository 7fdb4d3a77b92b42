"""Record batches written at once have the bytes that the client library makes of the same records, one by one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import position_headers
from services.engine import delivery
from services.engine.batches import Headers, Write
from services.kafka import batch_writer
from services.kafka.batch_writer import Column, NumberedHeaders

STAMP_MS = 1_790_000_000_000
TRANSACTIONS = {"transactional_id": "t"}
texts = st.binary(max_size=300)
numbers = st.one_of(st.integers(0, 2**63 - 1), st.sampled_from([0, 9, 10, 99, 100, 10**18 - 1, 10**18]))
header = st.tuples(st.text(max_size=80), st.binary(max_size=80))


def producer(**options: Any) -> AIOKafkaProducer:
    """One that is never started."""
    made = AIOKafkaProducer(**{"bootstrap_servers": "127.0.0.1:1", "acks": "all", **options})
    made._closed = True  # nothing to close
    return made


def numbered(
    rows: Sequence[tuple[int, int]], before: Sequence[Any] = (), behind: Sequence[Any] = ()
) -> NumberedHeaders:
    """Headers with these numbers."""
    first, second = (np.array([row[place] for row in rows], np.int64) for place in range(2))
    return NumberedHeaders(tuple(before), ("offset", "time é"), first, second, tuple(behind))


def built(batches: Sequence[Any]) -> list[bytes]:
    """As they are sent, by producer 5 of epoch 6 from sequence 7 on."""
    made = []
    for batch in batches:
        batch._set_producer_state(5, 6, 7)
        made.append((batch.record_count(), bytes(batch._build())))
    return made  # type: ignore[return-value]


def records(batch: Any) -> list[Any]:
    """What a reader finds in one of `built`."""
    count, data = batch
    found = MemoryRecords(data).next_batch()
    read = [(record.offset, record.timestamp, record.key, record.value, record.headers) for record in found]
    assert len(read) == count
    return read


def both_ways(write: Write, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[list[bytes], list[bytes]]:
    """Batches of the compiled writer, and of the library's builder."""
    monkeypatch.setattr(delivery, "wall_ms", lambda: STAMP_MS)
    by = producer(**options)
    fast = delivery._pack(by, write)
    assert all(isinstance(batch, batch_writer.FullBatch) for batch in fast)
    assert all(batch.closed() and batch.append(timestamp=1, key=b"", value=b"") is None for batch in fast)
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "_columns", lambda write: None)
        slow = delivery._pack(by, write)
    assert not any(isinstance(batch, batch_writer.FullBatch) for batch in slow)
    return built(fast), built(slow)


@pytest.mark.parametrize("options", [TRANSACTIONS, {"enable_idempotence": True}])
async def test_the_bytes_are_the_librarys(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any texts, headers and numbers, cut at any size of a batch."""
    monkeypatch.setattr(batch_writer, "ROWS_MIN", 1)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(texts, texts, numbers, numbers), min_size=1, max_size=80),
        st.lists(header, max_size=3),
        st.lists(header, max_size=3),
        st.sampled_from([1, 61, 400, 1_000, 5_000, 1 << 20]),
    )
    def check(rows: list[Any], before: Any, behind: Any, size: int) -> None:
        headers = numbered([row[2:] for row in rows], before, behind)
        write = Write("t", [row[0] for row in rows], [row[1] for row in rows], headers)
        fast, slow = both_ways(write, monkeypatch, max_batch_size=size, **options)
        assert fast == slow

    check()


async def test_a_record_that_would_fill_a_batch_begins_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every size around that of four records, which are of one length."""
    monkeypatch.setattr(batch_writer, "ROWS_MIN", 1)
    write = Write("t", [b"k"] * 9, [b"v" * 40] * 9, numbered([(1, 2)] * 9))
    (whole,) = delivery._pack(producer(**TRANSACTIONS), write)
    record_bytes = (whole.size() - batch_writer.RECORDS_AT) // 9
    assert batch_writer.RECORDS_AT + 9 * record_bytes == whole.size()
    four_bytes = batch_writer.RECORDS_AT + 4 * record_bytes
    for size in range(four_bytes - 2, four_bytes + 3):
        fast, slow = both_ways(write, monkeypatch, max_batch_size=size, **TRANSACTIONS)
        assert fast == slow, size


async def test_lengths_around_each_step_of_a_varint_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """63 and 64, 8,191 and 8,192, and records enough that their own numbers take three bytes."""
    monkeypatch.setattr(batch_writer, "ROWS_MIN", 1)
    edges = [0, 1, 62, 63, 64, 65, 8_190, 8_191, 8_192, 8_193, 1_048_575, 1_048_576]
    values: list[bytes | None] = [b"v" * length for length in edges for _ in range(4)]
    values += [b""] * 9_000
    rows = [(place, STAMP_MS) for place in range(len(values))]
    write = Write("t", [b"k"] * len(values), values, numbered(rows))
    fast, slow = both_ways(write, monkeypatch, max_batch_size=1 << 20, **TRANSACTIONS)
    assert fast == slow
    assert len(fast) > 4


@pytest.mark.parametrize(
    "change",
    [
        {"keys": [None] * 40},
        {"values": [None] * 40},
        {"headers": [[]] * 40},
        {"timestamps_ms": [1] * 40},
        {"headers": numbered([(-1, 0)] * 40)},
    ],
)
async def test_what_the_writer_is_not_made_for_goes_record_by_record(change: dict[str, Any]) -> None:
    """Records without key or value, with headers or times of their own, or with numbers below 0."""
    plain = {"keys": [b"k"] * 40, "values": [b"v"] * 40, "headers": numbered([(1, 2)] * 40)}
    assert delivery._columns(Write("t", **plain)) is not None  # type: ignore[arg-type]
    write = Write("t", **{**plain, **change})
    assert delivery._columns(write) is None
    (batch,) = delivery._pack(producer(**TRANSACTIONS), write)
    assert batch.record_count() == 40


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_producer_that_compresses_packs_the_librarys_bytes(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every codec, in one batch and in several; what comes out of them are the records that went in."""
    values: list[bytes | None] = [b'{"score": %d, "card_id": "c%d"}' % (place, place % 7) for place in range(390)]
    write = Write("t", [b"c%d" % (place % 7) for place in range(390)], values, numbered([(1, 2)] * 390))
    monkeypatch.setattr("gzip.time.time", lambda: 0.0)  # gzip writes it
    for size in (4_000, 1 << 20):
        plain, _ = both_ways(write, monkeypatch, max_batch_size=size, **TRANSACTIONS)
        fast, slow = both_ways(write, monkeypatch, max_batch_size=size, compression_type=codec, **TRANSACTIONS)
        assert min(count for count, _ in plain) > 30, "one record alone cannot be made smaller"
        assert fast == slow
        assert [records(packed) for packed in fast] == [records(whole) for whole in plain]
        assert all(len(packed[1]) < len(whole[1]) for packed, whole in zip(fast, plain, strict=True))


async def test_what_cannot_be_made_smaller_is_sent_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's compiled builder sends it packed all the same: other bytes, the same records."""
    monkeypatch.setattr(batch_writer, "ROWS_MIN", 1)
    write = Write("t", [b"k"], [np.random.default_rng(1).bytes(300)], numbered([(1, 2)]))
    (plain,), _ = both_ways(write, monkeypatch, **TRANSACTIONS)
    (fast,), (slow,) = both_ways(write, monkeypatch, compression_type="lz4", **TRANSACTIONS)
    assert fast == plain != slow
    assert records(fast) == records(slow)


def test_numbered_headers_are_position_headers() -> None:
    """What reads a write's headers finds lists of pairs, as before."""
    offsets, stamps = [7, 8, 9], [STAMP_MS, STAMP_MS, STAMP_MS + 1]
    wanted: list[Headers] = position_headers("topic", 3, offsets, stamps, 17, 18, "persons")
    own = wanted[0]
    headers = NumberedHeaders(
        tuple(own[:2]), (own[2][0], own[3][0]), np.array(offsets), np.array(stamps), tuple(own[4:])
    )
    assert list(headers) == wanted
    assert headers[1:] == wanted[1:]
    assert headers[-1] == wanted[-1]
    with pytest.raises(IndexError):
        headers[3]


def test_a_column_is_its_texts() -> None:
    """One by one, by place and in parts, of bytes and of an array."""
    wanted = [b"", b"a", b"", b"bcd"]
    column = Column.of(wanted)
    filled = Column.filled(np.frombuffer(b"abcdefgh", np.uint8), np.array([0, 1, 1, 4]))
    for same in (column, filled):
        assert list(same) == wanted
        assert [same[place] for place in range(-4, 4)] == wanted * 2
        assert same[1:] == wanted[1:]
        with pytest.raises(IndexError):
            same[4]
    assert len(Column.of([])) == 0


async def test_columns_are_written_as_their_texts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joined already, they are not taken apart."""
    texts = [b"%d" % place for place in range(40)]
    headers = numbered([(1, 2)] * 40)
    fast, slow = both_ways(Write("t", Column.of(texts), Column.of(texts[::-1]), headers), monkeypatch, **TRANSACTIONS)
    again, _ = both_ways(Write("t", texts, texts[::-1], headers), monkeypatch, **TRANSACTIONS)
    assert fast == slow == again


def test_rows_of_a_write_are_taken_out_of_columns_as_out_of_lists() -> None:
    """Where records go to partitions of their own."""
    write = Write("t", [b"a", b"b", b"c"], [b"1", b"2", b"3"], numbered([(1, 4), (2, 5), (3, 6)]))
    write.places = lambda number: np.array([0, 1, 0])
    (first, part), (second, other) = write.by_partition(0, 2)
    assert (first, part.keys, part.values) == (0, [b"a", b"c"], [b"1", b"3"])
    assert (second, other.keys, other.headers) == (1, [b"b"], [[("offset", b"2"), ("time é", b"5")]])


async def test_warming_up_compiles_the_one_kind_that_batches_use() -> None:
    """Read-only numbers, and those of a part of an array, are none of their own: a batch never waits for a compiler."""
    batch_writer.warm()
    compiled = len(batch_writer._write.signatures)
    numbers = np.arange(80, dtype=np.int64)
    numbers.flags.writeable = False
    headers = NumberedHeaders((("topic", b"t"),), ("a", "b"), numbers[::2], numbers[:40], (("c", b"d"),))
    (batch,) = delivery._pack(producer(**TRANSACTIONS), Write("t", [b"k"] * 40, [b"v"] * 40, headers))
    assert isinstance(batch, batch_writer.FullBatch)
    assert len(batch_writer._write.signatures) == compiled
