"""Record batches as a producer that means harm, or another language's client, would write them."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as Builder
from aiokafka.record.util import calc_crc32c

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

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
    data = bytearray(builder.build())
    if patch is not None:
        data = bytearray(patch(bytes(data)))
    struct.pack_into(">q", data, 0, base_offset)
    struct.pack_into(">i", data, 8, len(data) - 12)
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return bytes(data)


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
        node = client.cluster.leader_for_partition(_position(topic, partition))
        request: Any = ProduceRequest(
            transactional_id=None, required_acks=-1, timeout=10_000, topics=[(topic, [(partition, data)])]
        )
        answer = await client.send(node, request)
        ((_, ((_, error_code, offset, *_),)),) = answer.topics
        assert error_code == 0, f"the broker refuses the batch: {error_code}"
        return int(offset)
    finally:
        await client.close()


def _position(topic: str, partition: int) -> Any:
    from aiokafka import TopicPartition

    return TopicPartition(topic, partition)
