"""Record batches as a producer that means harm, or another language's client, would write them."""

import asyncio
import gzip
import struct
from collections.abc import Callable, Sequence
from typing import Any

import cramjam
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as Builder
from aiokafka.record.util import calc_crc32c

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

RECORDS_AT = 61
"""Where a batch's records begin."""

NOT_LEADER, ATTEMPTS = 6, 20
"""An answer of a topic that was just made, and how often it is asked again."""

PLACEHOLDER, NOT_UTF8 = "ZQXJ", b"\xff\xfe\xfd\xfc"
"""A header's name, and the bytes that take its place."""

Row = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Timestamp, key, value, headers."""


def batch(
    rows: Sequence[Row], codec: str = "none", patch: Callable[[bytes], bytes] | None = None, base_offset: int = 0
) -> bytes:
    """One record batch; `patch` changes its bytes (uncompressed ones), and length and checksum follow."""
    builder = Builder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    for offset, (timestamp, key, value, headers) in enumerate(rows):
        assert builder.append(offset, timestamp, key, value, headers) is not None
    data = bytes(builder.build())
    return rebased(data if patch is None else patch(data), base_offset)


def rebased(batched: bytes, base_offset: int) -> bytes:
    """The batch at another offset, its length and checksum as they must be."""
    data = bytearray(batched)
    struct.pack_into(">q", data, 0, base_offset)
    struct.pack_into(">i", data, 8, len(data) - 12)
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return bytes(data)


def packed(records: bytes, number: int, codec: str) -> bytes:
    """A batch of format 2 whose `number` records are these bytes, packed."""
    pack = {"zstd": cramjam.zstd.compress, "gzip": gzip.compress, "lz4": cramjam.lz4.compress}[codec]
    data = bytearray(batch([(1_000, None, None, [])])[:RECORDS_AT] + bytes(pack(records)))
    struct.pack_into(">h", data, 21, CODECS[codec])
    struct.pack_into(">i", data, 23, number - 1)
    struct.pack_into(">i", data, 57, number)
    return rebased(bytes(data), 0)


def varint(number: int) -> bytes:
    """As records have it, zigzag."""
    left, content = (number << 1) ^ (number >> 63), bytearray()
    while left >= 0x80:
        content.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*content, left])


def with_headers(number: int, name: bytes, offset: int = 0) -> bytes:
    """A record of nothing but headers of that name."""
    header = varint(len(name)) + name + varint(-1)
    fields = b"\0" + varint(0) + varint(offset) + varint(-1) + varint(-1) + varint(number) + header * number
    return varint(len(fields)) + fields


def bad_names(data: bytes) -> bytes:
    """The placeholder as a name that is no UTF-8."""
    return data.replace(PLACEHOLDER.encode(), NOT_UTF8)


async def produce(bootstrap: str, topic: str, data: bytes, partition: int = 0) -> int:
    """Send a batch as it is; the offset of its first record. Fails where the broker refuses it."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.force_metadata_update()
        client.add_topic(topic)
        await client._wait_on_metadata(topic)
        request: Any = ProduceRequest(
            transactional_id=None, required_acks=-1, timeout=10_000, topics=[(topic, [(partition, data)])]
        )
        for _ in range(ATTEMPTS):
            node = client.cluster.leader_for_partition(_position(topic, partition))
            answer = await client.send(node, request)
            ((_, ((_, error_code, offset, *_),)),) = answer.topics
            if error_code != NOT_LEADER:
                break
            await asyncio.sleep(0.2)  # a topic that was just made: the leader does not know of it yet
            await client.force_metadata_update()
        assert error_code == 0, f"the broker refuses the batch: {error_code}"
        return int(offset)
    finally:
        await client.close()


def _position(topic: str, partition: int) -> Any:
    from aiokafka import TopicPartition

    return TopicPartition(topic, partition)
