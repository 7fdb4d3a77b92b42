"""What is committed, asked so that a commit that is not over yet is waited for (OffsetFetch 7, KIP-447: Kafka 2.5 and later).

The client asks in version 3, which does not. A coordinator that has just taken over answers from what it knows to be on all
replicas. That may end just before the marker of a transaction that is over, and version 3 answers the offset before it.
"""

from typing import Any

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from services.kafka.one_version import OneVersion

UNSTABLE, LOADING = 88, 14
"""Codes of UNSTABLE_OFFSET_COMMIT, which the client does not know, and of COORDINATOR_LOAD_IN_PROGRESS: it asks again."""


class StableOffsetsResponse(Response):  # type: ignore[misc]  # the library is untyped
    """Version 7, which the client reads as if it were version 3."""

    API_KEY, API_VERSION = 9, 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "found",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )

    @property
    def topics(self) -> list[tuple[str, list[tuple[int, int, str, int]]]]:
        """Topic, then partition, offset, metadata, error code."""
        return [(topic, [_of_version_3(*found) for found in partitions]) for topic, partitions, _ in self.found]


def _of_version_3(
    partition: int, offset: int, _: int, metadata: str, error_code: int, __: dict[int, bytes]
) -> tuple[int, int, str, int]:
    return partition, offset, metadata, LOADING if error_code == UNSTABLE else error_code


class _StableOffsetsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 9, 7
    RESPONSE_TYPE = StableOffsetsResponse
    SCHEMA = Schema(
        ("group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class StableOffsetsRequest(OneVersion):
    """In place of the client's own OffsetFetchRequest."""

    def __init__(self, consumer_group: str, partitions: list[tuple[str, list[int]]]) -> None:
        topics: list[Any] = [(topic, found, {}) for topic, found in partitions]
        super().__init__(_StableOffsetsStruct(consumer_group, topics, True, {}))
