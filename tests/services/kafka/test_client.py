"""What we rely on inside the Kafka library: these fail when it changes."""

import asyncio
import inspect
import logging
import socket
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka.consumer.group_coordinator
import aiokafka.producer.sender
import aiokafka.protocol.admin
import pytest
import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import GroupLoadInProgressError, KafkaConnectionError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from services.broker.config import HOST
from services.errors import SettingsError
from services.kafka import client as kafka
from services.kafka.stable_offsets import LOADING, UNSTABLE, StableOffsetsRequest, StableOffsetsResponse
from services.observability import log_filters, logs
from services.observability.metrics import Metrics
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings
from tests.services.secured import Authority


def test_the_wait_between_transactions_is_cut_in_the_constant_that_the_library_uses() -> None:
    """Rule H: 20 ms as shipped would halve the throughput of small batches."""
    assert kafka.RETRY_BACKOFF_MS == 5
    assert aiokafka.producer.sender.BACKOFF_OVERRIDE == 0.001
    assert "BACKOFF_OVERRIDE" in inspect.getsource(aiokafka.producer.sender.AddPartitionsToTxnHandler)


@pytest.mark.parametrize("apart", [False, True])
def test_a_partition_is_fetched_although_records_of_another_wait_to_be_taken(apart: bool) -> None:
    """As shipped a broker is asked for nothing meanwhile, up to 100 ms: each partition waits for the others' transactions."""
    fetcher = SimpleNamespace(
        _prefetch_backoff=inspect.signature(Fetcher).parameters["prefetch_backoff"].default,
        _in_flight=set(),
        _select_read_replica=lambda _: 1,
        _fetch_max_wait_ms=5,
        _fetch_min_bytes=1,
        _fetch_max_bytes=1,
        _max_partition_fetch_bytes=1,
        _isolation_level=1,
        _client_rack=None,
        _fetcher_timeout=0.2,
    )
    if apart:
        kafka.fetch_apart(SimpleNamespace(_fetcher=fetcher))
    waiting, taken = kafka.TopicPartition("t", 0), kafka.TopicPartition("t", 1)
    records = FetchResult(waiting, assignment=None, partition_records=None, backoff=fetcher._prefetch_backoff)
    fetcher._records = {waiting: records}
    state = SimpleNamespace(has_valid_position=True, paused=False, position=7)
    assignment = SimpleNamespace(tps=[waiting, taken], state_value=lambda _: state)
    requests, *_ = Fetcher._get_actions_per_node(fetcher, assignment)
    asked = [partition for _, request in requests for _, partitions in request.topics for partition, *_ in partitions]
    assert asked == ([1] if apart else [])


def test_what_a_group_lets_us_do_is_in_the_answer_that_the_library_reads() -> None:
    """As shipped, version 3 of the question is answered in version 2, and no scorer would start."""
    request = aiokafka.protocol.admin.DescribeGroupsRequest_v3
    assert request.RESPONSE_TYPE.API_VERSION == request.API_VERSION


@pytest.mark.parametrize(("code", "error"), [(14, GroupLoadInProgressError), (16, NotCoordinatorForGroupError)])
async def test_an_answer_without_offsets_is_no_group_without_offsets(code: int, error: type[Exception]) -> None:
    """Rule C: as shipped, a coordinator that still loads made a partition begin at its first record again."""

    class Connection:
        """Of a broker that has just taken over the group."""

        async def send(self, request: Any, expect_response: bool) -> StableOffsetsResponse:
            return StableOffsetsResponse(0, [], code, {})

    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    client.ready = _always  # type: ignore[method-assign]
    client._conns[1, ConnectionGroup.COORDINATION] = Connection()
    with pytest.raises(error):
        await client.send(1, StableOffsetsRequest("g", [("t", [0])]), group=ConnectionGroup.COORDINATION)


def test_what_is_committed_is_asked_for_so_that_a_commit_under_way_is_waited_for() -> None:
    """Rule C: the client's own question is in the same place, and is replaced; "not stable" is a reason to ask again."""
    coordinator = aiokafka.consumer.group_coordinator
    assert coordinator.OffsetFetchRequest is StableOffsetsRequest
    assert "OffsetFetchRequest(" in inspect.getsource(coordinator.GroupCoordinator._do_fetch_commit_offsets)
    answer = StableOffsetsResponse(0, [("t", [(0, 7, 1, "", 0, {}), (1, -1, -1, "", UNSTABLE, {})], {})], 0, {})
    assert answer.topics == [("t", [(0, 7, "", 0), (1, -1, "", LOADING)])]
    assert for_code(LOADING).retriable


async def test_a_connection_that_has_just_been_closed_is_a_broken_one(kafka_bootstrap: str) -> None:
    """uvloop raises what no one in the library expects; asked again, it connects again."""
    client = AIOKafkaClient(bootstrap_servers=kafka_bootstrap)
    await client.bootstrap()

    def closed(_: bytes) -> None:
        raise RuntimeError("the handler is closed")

    try:
        node = client.get_random_node()
        assert await client.ready(node)
        client._conns[node, ConnectionGroup.DEFAULT]._writer.write = closed
        with pytest.raises(KafkaConnectionError, match="the handler is closed"):
            await client.send(node, MetadataRequest([]))
        assert (await client.send(node, MetadataRequest([]))).brokers
    finally:
        await client.close()


async def test_a_tls_connection_is_closed_though_the_other_side_says_no_farewell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS itself would wait for 30 s, and a scorer that ends would keep its partitions from the others so long."""
    authority = Authority(tmp_path)
    authority.issue("broker")
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_tls.load_cert_chain(tmp_path / "broker.both.pem")
    with socket.create_server((HOST, 0)) as listening:

        def silent() -> ssl.SSLSocket:
            return server_tls.wrap_socket(listening.accept()[0], server_side=True)

        accepting = asyncio.ensure_future(asyncio.to_thread(silent))
        connected = AIOKafkaConnection(
            HOST,
            listening.getsockname()[1],
            ssl_context=ssl.create_default_context(cafile=str(authority.ca_file)),
            security_protocol="SSL",
        )
        monkeypatch.setattr(connected, "_do_version_lookup", _always)
        await connected.connect()
        other_side = await accepting
        async with asyncio.timeout(5):
            await connected.close()
        other_side.close()


async def test_a_consumer_is_closed_while_a_fetch_waits_to_be_tried_again() -> None:
    """As shipped that ended the process in a traceback: the fetch's end looked like a cancellation of ours."""
    fetcher = object.__new__(Fetcher)
    fetcher._fetch_task = asyncio.create_task(asyncio.sleep(60))
    fetcher._pending_tasks = {asyncio.create_task(asyncio.sleep(60))}
    fetcher._fetch_waiters = set()
    await fetcher.close()
    assert fetcher._fetch_task.cancelled()


async def test_a_broker_that_answers_as_records_are_taken_is_asked_again_at_once() -> None:
    """As shipped it is asked 0.2 s later where both fall in one turn of the loop: each partition stands still meanwhile."""
    asked: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    async def send(*_: Any) -> Any:
        answer = asyncio.get_running_loop().create_future()
        asked.put_nowait(answer)
        return await answer

    client = SimpleNamespace(
        _loop=asyncio.get_running_loop(),
        _metadata_max_age_ms=1000,
        send=send,
        cluster=SimpleNamespace(leader_for_partition=lambda _: 1),
    )
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user([kafka.TopicPartition("t", 0)])
    subscriptions.subscription.assignment.state_value(kafka.TopicPartition("t", 0)).seek(7)
    fetcher = Fetcher(client, subscriptions)
    try:
        answer = await asked.get()
        fetcher._notify(fetcher._wait_consume_future)
        answer.set_result(SimpleNamespace(topics=[], error_code=0, API_VERSION=4))
        async with asyncio.timeout(fetcher._fetcher_timeout / 2):
            await asked.get()
    finally:
        await fetcher.close()


async def _always(*_: Any, **__: Any) -> bool:
    return True


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING"])
def test_the_library_never_logs_below_info_whatever_our_own_level_is(level: str) -> None:
    """Rule G: at DEBUG it prints keys and values."""
    root = logging.getLogger()
    before, ours = (root.level, root.handlers[:]), structlog.get_config()
    try:
        logs.configure(RuntimeSettings(log_level=level), Metrics())  # type: ignore[arg-type]
        assert logging.getLogger("aiokafka.producer.sender").getEffectiveLevel() >= logging.INFO
        assert logging.getLogger("numba.core.ssa").getEffectiveLevel() >= logging.WARNING
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]
        structlog.configure(**ours)


def test_known_retriable_errors_are_counted_and_kept_out_of_the_log() -> None:
    """Rule H: many times a second at full speed."""
    metrics = Metrics()
    noise = log_filters.NoiseFilter(metrics)
    text = "Got error produce response on topic-partition %s, retrying. Error: %s"
    known = logging.LogRecord(
        "aiokafka", logging.WARNING, "", 0, text, ("t-0", "[Error 19] NotEnoughReplicasError"), None
    )
    unknown = logging.LogRecord(
        "aiokafka", logging.WARNING, "", 0, text, ("t-0", "[Error 7] RequestTimedOutError"), None
    )
    assert not noise.filter(known)
    assert noise.filter(unknown)
    assert metrics.registry.get_sample_value("assay_client_retries_total", {"error": "NotEnoughReplicasError"}) == 1


def test_sasl_without_user_is_refused_in_one_sentence() -> None:
    """A bad setting says which."""
    with pytest.raises(SettingsError, match="ASSAY_KAFKA_SASL_USERNAME"):
        kafka.connection(KafkaSettings(security_protocol="SASL_SSL"))


def test_tls_files_that_are_not_there_are_refused_in_one_sentence() -> None:
    """A bad path says which variables to look at."""
    with pytest.raises(SettingsError, match="ASSAY_KAFKA_SSL"):
        kafka.connection(KafkaSettings(security_protocol="SSL", ssl_ca_file="/nowhere.pem"))  # type: ignore[arg-type]


def test_secrets_are_not_in_the_representation_of_settings() -> None:
    """They would end in logs and tracebacks."""
    settings = KafkaSettings(sasl_username="u", sasl_password="very-secret")  # type: ignore[arg-type]
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()


async def test_the_input_comes_as_raw_bytes_and_only_what_is_committed() -> None:
    """Rule G: a decoder of the library's that fails would ask for the same batch for ever. No auto-commit, no reset."""
    consumer = kafka.input_consumer(KafkaSettings(), RuntimeSettings())
    assert consumer._value_deserializer is None
    assert consumer._key_deserializer is None
    assert consumer._isolation_level == "read_committed"
    assert not consumer._enable_auto_commit
    assert consumer._auto_offset_reset == "none"
