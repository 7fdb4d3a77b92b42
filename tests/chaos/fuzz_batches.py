"""Spoiled record batches through the client library as it is patched: whatever is in one, reading goes on behind it."""

import random
import struct

import aiokafka.consumer.fetcher
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords

from services.kafka import client as kafka  # noqa: F401  # for its effect: the library is patched
from tests.services.engine.wire import CODECS, PLACEHOLDER, Row, bad_names, batch, rebased

HEADER_BYTES = 61
"""Of a batch; what follows are its records. The broker checks the header itself."""

TRANSACTIONAL, CONTROL, PRODUCER = 0x10, 0x20, 7
MARKER_EACH = 4
"""So many batches come between two spoiled markers."""

TIMESTAMPS_MS = (-1, 0, 10**12, 10**15, 1 << 61)


def spoiled_batch(draw: random.Random) -> tuple[bytes, int]:
    """A batch with a right checksum, and how many offsets it has."""

    def row() -> Row:
        names = [draw.choice([PLACEHOLDER, "h", "", "traceparent"]) for _ in range(draw.randrange(3))]
        headers = [(name, draw.choice([None, draw.randbytes(3)])) for name in names]
        key = draw.choice([None, b"", b"k", draw.randbytes(8)])
        return draw.choice(TIMESTAMPS_MS), key, draw.choice([None, b"", draw.randbytes(30)]), headers

    def patch(data: bytes) -> bytes:
        content = bytearray(bad_names(data))
        for _ in range(draw.randrange(4)):
            if len(content) > HEADER_BYTES:
                at = draw.randrange(HEADER_BYTES, len(content))
                content[at] = draw.choice([draw.randrange(256), 0xFF, 0x80, 0xFE, 0x7F])
        return bytes(content[: draw.randrange(HEADER_BYTES, len(content) + 1)] if draw.random() < 0.1 else content)

    rows = [row() for _ in range(draw.randint(1, 4))]
    return batch(rows, draw.choice(list(CODECS)), patch), len(rows)


def of_producer(data: bytes, base_offset: int, *, control: bool = False) -> bytes:
    """The batch as part of a transaction of producer 7, or as the marker that ends one."""
    content = bytearray(data)
    struct.pack_into(">h", content, 21, CONTROL | TRANSACTIONAL if control else TRANSACTIONAL)
    struct.pack_into(">qh", content, 43, PRODUCER, 0)
    return rebased(bytes(content), base_offset)


def spoiled_marker(draw: random.Random) -> bytes:
    """A control batch whose record is spoiled, of another version or type, or missing."""
    key = draw.choice(
        [None, b"", draw.randbytes(draw.randrange(8)), struct.pack(">HH", draw.randrange(3), draw.randrange(9))]
    )
    value = draw.choice([None, b"", struct.pack(">HI", 0, 0), draw.randbytes(9)])

    def patch(data: bytes) -> bytes:
        content = bytearray(data)
        for _ in range(draw.randrange(3)):
            content[draw.randrange(HEADER_BYTES, len(content))] = draw.randrange(256)
        if draw.random() < 0.1:
            struct.pack_into(">i", content, 57, 0)  # no record at all
        return bytes(content[: draw.randrange(HEADER_BYTES, len(content) + 1)] if draw.random() < 0.2 else content)

    return batch([(0, key, value, [])], patch=patch)


def marker_problem(draw: random.Random) -> str | None:
    """A transaction, a spoiled marker, and a record of the same producer behind it: what is committed is read, nothing else."""
    aborted = draw.random() < 0.5
    rows: list[Row] = [(0, b"k", b"first", [])]
    data = of_producer(batch(rows), 0) + of_producer(spoiled_marker(draw), 1, control=True)
    data += of_producer(batch([(0, b"k", b"last", [])]), 2)
    records = fetched(data, [(PRODUCER, 0)] if aborted else [])
    try:
        values = [record.value for record in records]
    except Exception as error:
        return f"a marker raised {error!r}: {data.hex()}"
    due = [b"last"] if aborted else [b"first", b"last"]
    if values != due or records.next_fetch_offset != 3:
        return f"behind a marker: {values}, not {due}, on at {records.next_fetch_offset}: {data.hex()}"
    return None


def fetched(data: bytes, aborted: list[tuple[int, int]]) -> PartitionRecords:
    """As the client reads what a broker answers. aborted: producers, and where their transactions begin."""
    records = aiokafka.consumer.fetcher.MemoryRecords(data)
    return PartitionRecords(TopicPartition("t", 0), records, aborted, 0, None, None, True, READ_COMMITTED)


def fuzz_batches(number: int, draw: random.Random) -> list[str]:
    """What went wrong."""
    problems = []
    for place in range(number):
        if place % MARKER_EACH == 0 and (problem := marker_problem(draw)):
            problems.append(problem)
        data, offsets = spoiled_batch(draw)
        records = fetched(data, [])
        try:
            for record in records:
                str(record.headers).encode()
        except Exception as error:
            problems.append(f"batch {place} raised {error!r}: {data.hex()}")
            continue
        if records.next_fetch_offset != offsets:
            problems.append(f"batch {place}: read on at {records.next_fetch_offset}, not {offsets}: {data.hex()}")
    return problems
