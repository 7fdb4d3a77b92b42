"""What the client library gets wrong, corrected in place, for every client of a process. Imported for that effect.

The letters are the rules of ARCHITECTURE.md, "Exactly once". Each has a test, and none survives a library that changed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiokafka.client
import aiokafka.consumer.group_coordinator
import aiokafka.producer.sender
import aiokafka.protocol.admin
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaConnectionError, for_code
from aiokafka.protocol.commit import OffsetFetchResponse_v2, OffsetFetchResponse_v3

from services.kafka import record_batches  # noqa: F401  # for its effect
from services.kafka.stable_offsets import StableOffsetsRequest, StableOffsetsResponse

TLS_FAREWELL_S_MAX = 0.5
"""From asking a TLS connection to close to closing it: what was asked over it is answered, or not waited for."""

aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.001
"""H: the wait while the coordinator finishes the last transaction, 20 ms as shipped. Guarded by a test."""

aiokafka.protocol.admin.DescribeGroupsRequest_v3.RESPONSE_TYPE = aiokafka.protocol.admin.DescribeGroupsResponse_v3
"""As shipped it is version 2, whose answer stops before our rights. Guarded by a test."""


def _look_at_group_errors(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def sent(*arguments: Any, **options: Any) -> Any:
        answer = await send(*arguments, **options)
        # not isinstance: on an abstract class, for each answer, it costs 2 % of the loop
        if type(answer) in OFFSETS_ANSWERS and answer.error_code:
            raise for_code(answer.error_code)
        return answer

    return sent


OFFSETS_ANSWERS = (OffsetFetchResponse_v2, OffsetFetchResponse_v3, StableOffsetsResponse)
aiokafka.client.AIOKafkaClient.send = _look_at_group_errors(aiokafka.client.AIOKafkaClient.send)
"""C: as shipped, "the coordinator is still loading" is taken for "nothing is committed", and a partition would start over."""

aiokafka.consumer.group_coordinator.OffsetFetchRequest = StableOffsetsRequest
"""C: as shipped, a commit that is not over yet is not waited for, and a partition would begin one batch too early."""


def _closed_is_no_connection(send: Callable[..., Any]) -> Callable[..., Any]:
    def sent(connected: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return send(connected, *arguments, **options)
        except RuntimeError as error:
            connected.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {connected.host}:{connected.port} closed: {error}") from error

    return sent


AIOKafkaConnection.send = _closed_is_no_connection(AIOKafkaConnection.send)
AIOKafkaConnection._send_sasl_token = _closed_is_no_connection(AIOKafkaConnection._send_sasl_token)
"""uvloop, unlike asyncio, raises where the other side has closed a moment ago: a reason to connect again, not to end."""


def _end_tls_soon(close: Callable[..., Any]) -> Callable[..., Any]:
    def closed(connected: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        writer, future = connected._writer, close(connected, *arguments, **options)
        if writer is not None and writer.get_extra_info("ssl_object") is not None:
            connected._loop.call_later(TLS_FAREWELL_S_MAX, writer.transport.abort)
        return future

    return closed


AIOKafkaConnection.close = _end_tls_soon(AIOKafkaConnection.close)
"""As shipped, closing may wait TLS's 30 s for a broker that holds a fetch back, and only then the group is left."""


def _end_fetches_first(close: Callable[[Fetcher], Awaitable[None]]) -> Callable[[Fetcher], Awaitable[None]]:
    async def closed(fetcher: Fetcher) -> None:
        for tasks in ([fetcher._fetch_task], list(fetcher._pending_tasks)):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        fetcher._pending_tasks.clear()
        await close(fetcher)

    return closed


Fetcher.close = _end_fetches_first(Fetcher.close)
"""As shipped, a fetch that waits to be tried again hands its own end on: the closer of the consumer looks cancelled."""


def _look_again(task: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    async def done(fetcher: Fetcher, assignment: Any, node_id: int, asked: Any) -> bool:
        try:
            return await task(fetcher, assignment, node_id, asked)
        finally:
            # in the turn after next: the client's own note that the node has answered is made in the next
            fetcher._loop.call_soon(fetcher._loop.call_soon, _wake_unless_asking, fetcher, node_id)

    return done


def _wake_unless_asking(fetcher: Fetcher, node_id: int) -> None:
    if node_id not in fetcher._in_flight:
        fetcher._notify(fetcher._wait_consume_future)


Fetcher._proc_fetch_request = _look_again(Fetcher._proc_fetch_request)
Fetcher._update_fetch_positions = _look_again(Fetcher._update_fetch_positions)
"""As shipped, a node that answers in the same turn of the loop as records are taken is asked again only after 0.2 s."""
