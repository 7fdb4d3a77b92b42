"""Connections to Kafka: the one place that knows the client library's knobs; what is wrong in it, `client_mends` puts right.

The letters are the rules of ARCHITECTURE.md, "Exactly once".
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
)
from aiokafka.protocol.transaction import EndTxnRequest

from services.clock import monotonic_s
from services.errors import SettingsError
from services.kafka import patches as client_mends  # noqa: F401  # for its effect: no client is made but through this module
from services.kafka.oauth import token_provider
from services.settings.kafka import KafkaSettings
from services.settings.processing import FETCH_WAIT_MS_MAX, RuntimeSettings

__all__ = [
    "ConsumerRebalanceListener",
    "TopicPartition",
    "admin",
    "connection",
    "fetch_apart",
    "input_consumer",
    "plain_producer",
    "reader",
    "records_before",
    "retrieve",
    "retry_transient",
    "tell_when_transaction_end_is_sent",
    "transactional_producer",
]

T = TypeVar("T")

PATIENCE_S = 20.0
PATIENCE_POLL_S = 0.05
"""For a broker or a coordinator, before the work begins: longer than a cluster takes to notice that a broker has failed."""
TRANSIENT_ERRORS = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    NodeNotReadyError,
)

METADATA_AGE_MS_MAX = 5_000
"""So soon a partition that was added to the input is seen; as shipped it is five minutes."""

READ_POLL_MS = 100
RETRY_BACKOFF_MS = 5
"""H: the first produce of a transaction is often answered NOT_ENOUGH_REPLICAS; 100 ms, the default, would be a spike."""


def connection(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that every client takes: brokers, TLS, SASL. Raises SettingsError."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol in ("SSL", "SASL_SSL"):
        arguments["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL") and kafka.sasl_mechanism == "OAUTHBEARER":
        arguments |= {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": token_provider(kafka)}
    elif kafka.security_protocol.startswith("SASL"):
        if kafka.sasl_username is None or kafka.sasl_password is None:
            raise SettingsError(
                "ASSAY_KAFKA_SASL_USERNAME and ASSAY_KAFKA_SASL_PASSWORD are needed with ASSAY_KAFKA_SECURITY_PROTOCOL="
                f"{kafka.security_protocol}: set both."
            )
        arguments["sasl_mechanism"] = kafka.sasl_mechanism
        arguments["sasl_plain_username"] = kafka.sasl_username
        arguments["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return arguments


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(kafka.ssl_ca_file) if kafka.ssl_ca_file else None)
        if kafka.ssl_certificate_file:
            password = kafka.ssl_key_password.get_secret_value() if kafka.ssl_key_password else None
            key_file = str(kafka.ssl_key_file) if kafka.ssl_key_file else None
            context.load_cert_chain(str(kafka.ssl_certificate_file), key_file, password)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"The TLS files of ASSAY_KAFKA_SSL_* cannot be used ({error}): check paths and password."
        ) from None
    return context


def input_consumer(kafka: KafkaSettings, runtime: RuntimeSettings) -> AIOKafkaConsumer:
    """The consumer of a stream processor: no auto-commit, committed records only, raw bytes (G: we decode ourselves)."""
    return AIOKafkaConsumer(
        **connection(kafka),
        group_id=runtime.group,
        group_instance_id=runtime.group_instance_id,
        client_id=runtime.group,
        enable_auto_commit=False,
        auto_offset_reset="none",  # a position is always one that we set: a gap is seen, not skipped
        isolation_level="read_committed",
        partition_assignment_strategy=(StickyPartitionAssignor,),
        session_timeout_ms=int(runtime.session_timeout_s * 1000),
        heartbeat_interval_ms=int(runtime.session_timeout_s * 1000 / 5),
        request_timeout_ms=int(runtime.request_timeout_s * 1000),
        retry_backoff_ms=50,
        fetch_max_wait_ms=FETCH_WAIT_MS_MAX[runtime.profile],
        max_partition_fetch_bytes=max(runtime.batch_bytes_max, 1 << 20),
        fetch_max_bytes=32 << 20,
        check_crcs=True,
        metadata_max_age_ms=METADATA_AGE_MS_MAX,
    )


def fetch_apart(consumer: AIOKafkaConsumer) -> None:
    """Fetch for a partition whose records are all taken although another's are not.

    As shipped the client asks a broker for nothing while records of any partition wait to be taken, up to 100 ms: each
    partition's next record then waits for the others' transactions. For a consumer that is started.
    """
    consumer._fetcher._prefetch_backoff = 0.0


def transactional_producer(kafka: KafkaSettings, runtime: RuntimeSettings, transactional_id: str) -> AIOKafkaProducer:
    """A partition's own producer. Its start fences the last one of the same id and settles its transaction (C)."""
    return AIOKafkaProducer(
        **connection(kafka),
        transactional_id=transactional_id,
        transaction_timeout_ms=int(runtime.transaction_timeout_s * 1000),
        **_producer_arguments(runtime),
    )


def plain_producer(kafka: KafkaSettings, runtime: RuntimeSettings, linger_ms: int = 0) -> AIOKafkaProducer:
    """An idempotent producer without transactions, for at-least-once delivery and for the simulator."""
    return AIOKafkaProducer(**connection(kafka), enable_idempotence=True, **_producer_arguments(runtime, linger_ms))


def _producer_arguments(runtime: RuntimeSettings, linger_ms: int = 0) -> dict[str, Any]:
    return {
        "client_id": runtime.group,
        "acks": "all",
        "linger_ms": linger_ms,
        "max_batch_size": 1 << 20,
        "compression_type": None if runtime.compression == "none" else runtime.compression,
        "request_timeout_ms": int(runtime.request_timeout_s * 1000),
        "retry_backoff_ms": RETRY_BACKOFF_MS,
    }


def reader(
    kafka: KafkaSettings, topics: Iterable[str] = (), *, group: str | None = None, latest: bool = False
) -> AIOKafkaConsumer:
    """A read_committed consumer for commands and checks; never commits."""
    return AIOKafkaConsumer(
        *topics,
        **connection(kafka),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="latest" if latest else "earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
    )


async def records_before(
    consumer: AIOKafkaConsumer, source: TopicPartition, end: int, first: int | None = None
) -> AsyncIterator[Any]:
    """The records of an assigned partition up to the offset `end`; first: where to begin, by default with the oldest."""
    if first is None:
        await consumer.seek_to_beginning(source)
    else:
        consumer.seek(source, first)
    while await consumer.position(source) < end:  # what is left may be markers of transactions, which are no records
        for record in (await consumer.getmany(source, timeout_ms=READ_POLL_MS)).get(source, []):
            yield record


def admin(kafka: KafkaSettings) -> AIOKafkaAdminClient:
    """An admin client."""
    return AIOKafkaAdminClient(**connection(kafka))


def tell_when_transaction_end_is_sent(producer: AIOKafkaProducer, tell: Callable[[], None]) -> None:
    """Call `tell` when the request that ends a transaction has been sent and its answer not been read. For tests."""
    send, connections = producer.client.send, producer.client._conns

    async def watched(node_id: int, request: Any, **options: Any) -> Any:
        answer = asyncio.ensure_future(send(node_id, request, **options))
        if isinstance(request, EndTxnRequest):
            while not answer.done():
                await asyncio.sleep(0)
                connection = connections.get((node_id, options["group"]))
                if connection is not None and connection._requests and not _unsent_bytes(connection):
                    tell()
                    break
        return await answer

    producer.client.send = watched


def _unsent_bytes(connection: Any) -> int:
    return int(connection._writer.transport.get_write_buffer_size()) if connection._writer else 1


async def retry_transient(ask: Callable[[], Awaitable[T]]) -> T:
    """What a broker of the cluster answers.

    Asks again while the one asked is down (the client takes any, and the next may be up), or the group has no coordinator, as
    in a cluster that makes its offsets topic just now.
    """
    deadline_s = monotonic_s() + PATIENCE_S
    while True:
        try:
            return await ask()
        except TRANSIENT_ERRORS:
            if monotonic_s() > deadline_s:
                raise
            await asyncio.sleep(PATIENCE_POLL_S)


async def discard(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Close a producer within twice `timeout_s`; never raises.

    Its own `stop` waits for everything unsent, its sender for the answer of a coordinator: either may never come. A sender that
    is cancelled twice hands that on to the coroutine that waits for it, so nothing here awaits one directly.
    """
    for queue in producer._message_accumulator._batches.values():
        for batch in queue:
            retrieve(batch._drain_waiter)  # fails with its batch, and the client itself waits for it only at times
    for close, bound_s in (
        (producer.stop, timeout_s),
        (producer._sender.close, timeout_s / 2),
        (producer.client.close, timeout_s / 2),
    ):
        closing = asyncio.ensure_future(close())
        closing.add_done_callback(retrieve)  # what is thrown away may fail
        await asyncio.wait([closing], timeout=bound_s)
        closing.cancel()
    if producer._txn_manager is not None:
        retrieve(producer._txn_manager.wait_for_transaction_end())


def retrieve(future: asyncio.Future[Any] | None) -> None:
    """Look at a future's exception, so that one that is no longer awaited is not logged as forgotten."""
    if future is not None and future.done() and not future.cancelled():
        future.exception()
