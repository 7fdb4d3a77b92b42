"""Open transactions of other producers: they hide all later records from readers of committed records.

Where a partition ends (its high watermark), and which producer has a transaction open on it (KIP-664: Kafka 2.8 and later; it
takes Read on the topic for the producer's number, Describe on its transactional id for the name).
"""

import copy
from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from services.kafka.one_version import OneVersion


class _ProducersResponse(Response):  # type: ignore[misc]  # the library is untyped
    API_KEY, API_VERSION = 61, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("transaction_start_offset", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _ProducersStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 61, 0
    RESPONSE_TYPE = _ProducersResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class _TransactionsResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 66, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(CompactString("utf-8"))),
        (
            "transactions",
            CompactArray(
                ("transactional_id", CompactString("utf-8")),
                ("producer_id", Int64),
                ("state", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TransactionsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 66, 0
    RESPONSE_TYPE = _TransactionsResponse
    SCHEMA = Schema(
        ("states", CompactArray(CompactString("utf-8"))),
        ("producer_ids", CompactArray(Int64)),
        ("tags", TaggedFields),
    )


async def log_ends(
    consumer: AIOKafkaConsumer, sources: Collection[TopicPartition], timeout_s: float
) -> dict[TopicPartition, int]:
    """High watermarks: the ends of the logs, open transactions and all. Raises KafkaError."""
    fetcher = copy.copy(consumer._fetcher)  # it asks with the consumer's connections, but not for committed ends
    fetcher._isolation_level = READ_UNCOMMITTED
    ends: dict[TopicPartition, int] = await fetcher.end_offsets(list(sources), int(timeout_s * 1000))
    return ends


async def opener(consumer: AIOKafkaConsumer, source: TopicPartition) -> str:
    """Whose transaction has been open on a partition for longest, as far as the brokers let us see it."""
    client = consumer._client
    try:
        leader = client.cluster.leader_for_partition(source)
        asked = _ProducersStruct([(source.topic, [source.partition], {})], {})
        answer = await client.send(leader, OneVersion(asked))
        ((_, ((_, _, _, producers, _),), _),) = answer.topics
        open_since = [(offset, producer_id) for producer_id, _, _, _, _, offset, _ in producers or () if offset >= 0]
        if not open_since:
            return "a producer that the brokers do not name"
        offset, producer_id = min(open_since)
        name = await _transactional_id(client, producer_id)
        whose = f"transactional id {name}, " if name else ""
        return f"{whose}producer id {producer_id}, open since offset {offset}"
    except (KafkaError, ValueError):
        return "a producer that the brokers do not name to us"


async def _transactional_id(client: Any, producer_id: int) -> str | None:
    """Asked of every broker: only its coordinator knows. None where we may not describe it."""
    for broker in client.cluster.brokers():
        answer = await client.send(broker.nodeId, OneVersion(_TransactionsStruct([], [producer_id], {})))
        for transactional_id, found, _, _ in answer.transactions:
            if found == producer_id:
                return str(transactional_id)
    return None
