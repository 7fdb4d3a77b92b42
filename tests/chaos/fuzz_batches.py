"""Spoiled record batches through the client library as it is patched: whatever is in one, reading goes on behind it."""

import random

import aiokafka.consumer.fetcher
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords

from services.kafka import client as kafka  # noqa: F401  # for its effect: the library is patched
from tests.services.engine.wire import CODECS, PLACEHOLDER, Row, bad_names, batch

HEADER_BYTES = 61
"""Of a batch; what follows are its records. The broker checks the header itself."""

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


def fuzz_batches(number: int, draw: random.Random) -> list[str]:
    """What went wrong."""
    problems = []
    for place in range(number):
        data, offsets = spoiled_batch(draw)
        records = PartitionRecords(
            TopicPartition("t", 0),
            aiokafka.consumer.fetcher.MemoryRecords(data),
            [],
            0,
            None,
            None,
            True,
            READ_COMMITTED,
        )
        try:
            for record in records:
                str(record.headers).encode()
        except Exception as error:
            problems.append(f"batch {place} raised {error!r}: {data.hex()}")
            continue
        if records.next_fetch_offset != offsets:
            problems.append(f"batch {place}: read on at {records.next_fetch_offset}, not {offsets}: {data.hex()}")
    return problems
