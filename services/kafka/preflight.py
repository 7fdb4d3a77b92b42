"""Asked once, before the work: does Kafka let us in, and may we do with topics and group what we are going to do?

A right that is missing would show later as a partition that fails again and again, or as a group that never answers; and
what a login lacks is lost in the client library's log. Here each becomes one sentence.
"""

import ssl
from collections.abc import Collection, Mapping
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    for_code,
)
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from services.errors import AssayError
from services.kafka.client import admin, connection, retry_transient
from services.kafka.one_version import OneVersion
from services.settings.kafka import KafkaSettings

READ, WRITE = 3, 4
"""Codes of operations (org.apache.kafka.common.acl.AclOperation): bits of what the broker says that we may do (KIP-430)."""

log = structlog.get_logger(__name__)

NAMES = {READ: "Read", WRITE: "Write"}
GROUP_REFUSED = 30
TOPIC_REFUSED = 29

DESCRIBE_LOG_DIRS, SINCE_4_3 = 35, 5
"""An API and its version that came with Apache Kafka 4.3: brokers do not report their version to clients."""

UNDISCLOSED = -(2**31)
"""In place of our rights, from brokers that do not work them out: it says nothing."""

REFUSED_LOGINS = (AuthenticationFailedError, SaslAuthenticationFailed, UnsupportedSaslMechanismError)


class _MetadataResponse(Response):  # type: ignore[misc]  # the library is untyped
    API_KEY, API_VERSION = 3, 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String()), ("port", Int32), ("rack", String()))),
        ("cluster_id", String()),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String()),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    """Version 8, which the library does not have: the first that reports our rights."""

    API_KEY, API_VERSION = 3, 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String())), ("may_create", Boolean), ("of_cluster", Boolean), ("of_topics", Boolean)
    )


async def _described(client: AIOKafkaAdminClient, group: str) -> dict[str, Any]:
    """Kafka's description of a group. Raises KafkaError while its coordinator is not ready: its answer then has no rights."""
    (answer,) = await client.describe_consumer_groups([group], include_authorized_operations=True)
    (found,) = answer.to_object()["groups"]
    if found["error_code"] not in (0, GROUP_REFUSED):
        raise for_code(found["error_code"])
    return dict(found)


def may_forget_commits(client: AIOKafkaAdminClient) -> bool:
    """Whether a broker that was asked something is of a version that can lose a commit (KAFKA-20734), or of a later one."""
    connections = client._client._conns.values()
    return any(connected._versions.get(DESCRIBE_LOG_DIRS, (0, 0))[1] >= SINCE_4_3 for connected in connections)


def allows(operations: int, operation: int) -> bool:
    """Whether the answer allows it, or does not say: then the work itself meets a refusal."""
    return operations == UNDISCLOSED or bool(operations >> operation & 1)


async def check_rights(kafka: KafkaSettings, wanted: Mapping[str, Collection[int]], group: str) -> None:
    """Raise AssayError unless we may do `wanted` (operations by topic) and read in `group`. Warns of unsound brokers."""
    client = admin(kafka)
    try:
        await client.start()
        allowed = await _allowed_on_topics(client, wanted)
        if may_forget_commits(client):
            log.warning(
                "kafka.may_forget_commits",
                next_step="ask who runs the brokers whether their Kafka has the fix of KAFKA-20734: 4.3.0 to 4.4.0 have not",
            )
        missing = [
            f"{NAMES[operation]} on topic {topic}"
            for topic, operations in sorted(wanted.items())
            for operation in sorted(operations)
            if not allows(allowed[topic], operation)
        ]
        found = await retry_transient(lambda: _described(client, group))
        if found["error_code"] == GROUP_REFUSED or not allows(found["authorized_operations"], READ):
            missing.append(f"Read on group {group}")
    finally:
        await client.close()
    if missing:
        raise AssayError(
            f"Kafka does not allow us {', '.join(missing)}: grant this user the ACLs (`assay acls` prints them)."
        )


async def _allowed_on_topics(client: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, int]:
    """What we may do with each topic, a bit an operation."""
    of_topics = OneVersion(_MetadataStruct(list(topics), False, False, True))  # not those on the cluster
    answer = await retry_transient(lambda: client._send_request(of_topics))
    return {
        # a topic that is hidden from us comes without rights, as from a broker that does not know them
        found["topic"]: 0 if found["error_code"] == TOPIC_REFUSED else int(found["authorized_operations"])
        for found in answer.to_object()["topics"]
    }


async def why_unreachable(kafka: KafkaSettings, error: BaseException) -> str:
    """The sentence for brokers that do not answer: the library's error names neither login nor certificate."""
    arguments = connection(kafka)
    host, _, port = arguments.pop("bootstrap_servers").partition(",")[0].rpartition(":")
    try:
        (await create_conn(host, int(port), **arguments)).close()
    except REFUSED_LOGINS:
        return f"Kafka at {kafka.bootstrap} refuses the login: check ASSAY_KAFKA_SASL_* (mechanism, name, password or token)."
    except ssl.SSLError as reason:
        return f"Kafka at {kafka.bootstrap} and we do not agree on TLS ({reason.reason}): check ASSAY_KAFKA_SSL_*."
    except (KafkaError, OSError, TimeoutError, ValueError):
        pass  # the error that brought us here says as much
    return f"Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}): check ASSAY_KAFKA_BOOTSTRAP and that it runs."
