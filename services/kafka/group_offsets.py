"""Offsets in a transaction that the group itself judges (TxnOffsetCommit 3, KIP-447: Kafka 2.5 and later).

The client sends version 0, which any producer may, whichever member owns the partitions. In version 3 a member says which it is
and in which generation of the group: the coordinator refuses one that the group has gone on without.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import GroupAuthorizationFailedError, ProducerFenced
from aiokafka.producer.sender import TxnOffsetCommitHandler
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

NOT_A_MEMBER = (22, 25, 82)
"""ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID and FENCED_INSTANCE_ID, which the client does not know."""
PRODUCER_FENCED = 90


class LeftBehindError(ProducerFenced):  # type: ignore[misc]  # the library is untyped
    """The group has gone on without this member: what it brings is another's to process."""


@dataclass(frozen=True, slots=True)
class Member:
    """Of a group, in one generation of it. instance: its name where it is static."""

    id: str
    generation: int
    instance: str | None

    @classmethod
    def of(cls, consumer: AIOKafkaConsumer) -> "Member":
        """What the group said when it gave the consumer its present partitions. Raises LeftBehindError where it has none.

        An empty id and no generation would be taken for a client that is no member, and be believed.
        """
        coordinator = consumer._coordinator
        if coordinator.generation < 0 or not coordinator.member_id:
            raise LeftBehindError
        return cls(coordinator.member_id, coordinator.generation, coordinator._group_instance_id)


class _Response(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 28, 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "found",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )

    @property
    def errors(self) -> list[tuple[str, list[tuple[int, int]]]]:
        """Topic, then partition and error code, as version 0 has them."""
        return [(topic, [(number, code) for number, code, _ in partitions]) for topic, partitions, _ in self.found]


class _Struct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 28, 3
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("group", CompactString("utf-8")),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation", Int32),
        ("member_id", CompactString("utf-8")),
        ("instance_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Handler(TxnOffsetCommitHandler):  # type: ignore[misc]
    """The client's own, with our request, and with the answers that only it is given."""

    def __init__(self, sender: Any, offsets: dict[TopicPartition, Any], group: str, member: Member) -> None:
        super().__init__(sender, offsets, group)
        self._member = member

    def create_request(self) -> OneVersion:
        manager, member = self._sender._txn_manager, self._member
        topics: dict[str, list[tuple[Any, ...]]] = {}
        for at, offset in sorted(self._offsets.items()):
            topics.setdefault(at.topic, []).append((at.partition, offset.offset, -1, offset.metadata, {}))
        return OneVersion(
            _Struct(
                manager.transactional_id,
                self._group_id,
                manager.producer_id,
                manager.producer_epoch,
                member.generation,
                member.id,
                member.instance,
                [(topic, partitions, {}) for topic, partitions in topics.items()],
                {},
            )
        )

    def handle_response(self, response: _Response) -> Any:
        codes = {code for _, partitions in response.errors for _, code in partitions}
        if codes.intersection(NOT_A_MEMBER):
            # the sender goes on: it has to abort. The client's own way would forget what there is to abort
            *_, waiting = self._sender._txn_manager._pending_txn_offsets.popleft()
            if not waiting.done():
                waiting.set_exception(LeftBehindError())
            return None
        if PRODUCER_FENCED in codes:
            raise ProducerFenced
        return super().handle_response(response)


def commit_as(producer: AIOKafkaProducer, member: Member) -> None:
    """The producer's offsets are this member's from now on; others' are refused with LeftBehindError."""
    producer._sender._do_txn_offset_commit = partial(_commit, producer._sender, member)


async def _commit(sender: Any, member: Member, offsets: dict[TopicPartition, Any], group: str) -> None:
    try:
        node = await sender._find_coordinator(CoordinationType.GROUP, group)
    except GroupAuthorizationFailedError as error:
        sender._txn_manager.error_transaction(error)
        return
    await _Handler(sender, offsets, group, member).do(node)
