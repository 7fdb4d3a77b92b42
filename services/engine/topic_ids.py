"""A topic's id, which differs from that of a topic created again under its name (KIP-516, Metadata 10: Kafka 2.8 and later)."""

import uuid
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from services.kafka.one_version import OneVersion

NO_ID = bytes(16)


class _Uuid(AbstractType):  # type: ignore[misc]  # the library is untyped
    """16 bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _TopicIdsResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 3, 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _TopicIdsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 3, 10
    RESPONSE_TYPE = _TopicIdsResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("may_create", Boolean),
        ("of_cluster", Boolean),
        ("of_topics", Boolean),
        ("tags", TaggedFields),
    )


async def topic_ids(client: Any, topics: Sequence[str]) -> dict[str, str]:
    """The id of each topic for which a broker gives one, as hex; older brokers give none. Raises KafkaError.

    client: aiokafka's, started.
    """
    node = client.get_random_node()
    try:
        asked = _TopicIdsStruct([(NO_ID, topic, {}) for topic in topics], False, False, False, {})
        answer = await client.send(node, OneVersion(asked))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    found = answer.to_object()["topics"]
    return {one["topic"]: uuid.UUID(bytes=one["topic_id"]).hex for one in found if one["topic_id"] != NO_ID}
