"""A Faust app that creates no topics, keeps no files, and ends rather than lose a write or skip an event."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import faust
import structlog
from aiokafka import TopicPartition
from faust.exceptions import ConsumerNotStarted, NotReady

from schemas import codec
from schemas.base import Message
from schemas.times import record_time_problem
from schemas.topics import Topic
from services.engine.batches import Record
from services.engine.faults import headers_of, timestamp_ms
from services.engine.process import Environment
from services.faust_runtime.recovery import SideTables
from services.faust_runtime.skipped import OF_THE_SURROUNDINGS, Skipped, places, reason
from services.faust_runtime.transport import SideTransport

log = structlog.get_logger(__name__)

COMMIT_INTERVAL_S = 1.0

M = TypeVar("M", bound=Message)

Check = Callable[[Any], str | None]
"""Why the message of a table's entry, which has key and value, cannot be used; None where it can. In words safe to log."""


@dataclass(slots=True)
class Failure:
    """The first error that the process must not outlive. Nothing is committed after it."""

    error: BaseException | None = None
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self, error: BaseException) -> None:
        """Keep the first."""
        if self.error is None:
            self.error = error
        self.happened.set()

    def look(self, sent: "asyncio.Future[Any]") -> None:
        """As a callback of a write: Faust logs a failed one and commits the event that caused it."""
        if not sent.cancelled() and (error := sent.exception()) is not None:
            self.report(error)


class SideApp:
    """One Faust app: agents on topics, tables kept in topics."""

    def __init__(self, group: str, environment: Environment, directory: str) -> None:
        """directory: where Faust makes its folders, which stay empty."""
        kafka, runtime = environment.kafka, environment.runtime
        self.failure = Failure()
        self.group, self.prefix = group, environment.topics.topic_prefix
        self.agents: dict[str, Topic] = {}
        self.skipped = Skipped(environment.metrics)
        self._checks: dict[str, Check] = {}
        self.handled = 0
        self._finished: dict[TopicPartition, int] = {}
        self.faust = faust.App(
            group,
            broker=f"kafka://{kafka.bootstrap.split(',')[0]}",
            datadir=directory,
            store="memory://",
            key_serializer="raw",
            value_serializer="raw",
            processing_guarantee="at_least_once",
            consumer_auto_offset_reset="earliest",
            broker_commit_interval=COMMIT_INTERVAL_S,
            broker_request_timeout=2 * max(runtime.request_timeout_s, runtime.session_timeout_s),
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            stream_wait_empty=True,  # an event in work is finished before its partition goes
            TableManager=SideTables,
            Table=_table_class(self.failure, self.skipped, self._checks),
        )
        self._transport = SideTransport(self.faust, kafka, runtime, lambda: self.failure.error is not None)
        self.faust.transport = self.faust.producer_transport = self._transport

    def topic(self, topic: Topic, partitions: int | None = None) -> Any:
        """A topic of ours as Faust has it: bytes in, bytes out."""
        return self.faust.topic(self.prefix + topic.name, key_type=bytes, value_type=bytes, partitions=partitions)

    def table(self, topic: Topic, partitions: int, check: Check) -> Any:
        """A table of bytes whose changelog is `topic`. An entry lives on the partition of the event that wrote it.

        check: an entry of the topic that it refuses is skipped when the table is read back.
        """
        self._checks[self.prefix + topic.name] = check
        return self.faust.Table(
            topic.name,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            changelog_topic=self.topic(topic, partitions),
        )

    def recovered(self, table: Any, recover: Callable[[], None]) -> None:
        """Call `recover` whenever the table has been filled again: after a start, and after partitions came or went."""

        async def call(*_: Any, **__: Any) -> None:
            recover()

        table.on_recover(call)
        self.faust.on_rebalance_complete.connect(call, weak=False)

    def agent(
        self,
        topic: Topic,
        handle: Callable[[Any], Awaitable[None]],
        skip: Callable[[Any, str], Awaitable[None]] | None = None,
    ) -> None:
        """Call `handle` with each event of a topic, partition by partition in order.

        A record that it fails on is skipped, and given to `skip` with the reason. An error of the environment ends the
        process.
        """

        async def attempt(event: Any) -> None:
            try:
                await handle(event)
            except OF_THE_SURROUNDINGS:
                raise
            except Exception as error:
                self.skipped.record(event.message, reason(error), places(error))
                if skip is not None:
                    await skip(event.message, reason(error))

        async def work(stream: Any) -> None:
            async for event in stream.events():
                try:
                    await attempt(event)
                    self.handled += 1
                    self._finished[TopicPartition(*event.message.tp)] = event.message.offset
                except Exception as error:
                    # an agent that raises or returns has its event acknowledged: this one never comes back to ask for more
                    log.error("agent.failed", topic=topic.name, error=type(error).__name__, at=places(error))
                    self.failure.report(error)
                    await asyncio.Event().wait()

        self.skipped.of(self.prefix + topic.name)
        self.agents[self.prefix + topic.name] = topic
        self.faust.agent(self.topic(topic), name=topic.name)(work)

    def timer(self, interval_s: float, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Call `work` again and again. What it fails on is skipped; an error of the environment ends the process."""

        async def attempt() -> None:
            try:
                try:
                    await work()
                except Exception as error:
                    self.skipped.work(name, error)
            except Exception as error:
                if isinstance(error, NotReady) and self.faust.should_stop:
                    return  # at the end the producer closes before the timers: the next start does what is left
                log.error("agent.failed", topic=name, error=type(error).__name__, at=places(error))
                self.failure.report(error)

        self.faust.timer(interval_s)(attempt)

    def read(self, schema: type[M], message: Any) -> M | None:
        """The message of a record; None, and the record skipped, where it is not a valid one."""
        problem = record_time_problem(timestamp_ms(message))
        try:
            if problem is None:
                return codec.read(schema, message.value or b"")
        except codec.RejectedError as error:
            problem = str(error)
        self.skipped.record(message, problem)
        return None

    async def send(
        self,
        topic: Topic,
        key: bytes | None,
        value: bytes,
        *,
        source: Record | None,
        partition: int | None = None,
        wait: bool = True,
    ) -> None:
        """Write what an event led to, under its position, and wait for the acknowledgement.

        source: None for what no event led to. wait: without it a failure ends the process, before the event is committed.
        """
        headers = [] if source is None else headers_of(source)
        sent = await self.faust.producer.send(self.prefix + topic.name, key, value, partition, None, headers)
        if wait:
            await sent
        else:
            sent.add_done_callback(self.failure.look)

    @property
    def sources(self) -> set[TopicPartition]:
        """Partitions of the agents' topics that the group has given us; empty before it did."""
        try:
            assigned = self.faust.consumer.assignment()
        except ConsumerNotStarted:
            return set()
        return {TopicPartition(*tp) for tp in assigned if tp.topic in self.agents}

    def position(self, source: TopicPartition) -> int | None:
        """Where the consumer will read next; None before it knows."""
        client = self.faust.consumer._thread._consumer
        assignment = client._subscription.subscription.assignment if client._subscription.subscription else None
        if assignment is None or source not in assignment.tps:
            return None
        position: int | None = assignment.state_value(source)._position
        return position

    @property
    def recovered_records(self) -> int:
        """Records of its tables' topics that Faust has read back since it was given them."""
        recovery = self.faust.tables.recovery
        return sum(offset or 0 for offset in (*recovery.active_offsets.values(), *recovery.standby_offsets.values()))

    @property
    def gaps(self) -> dict[TopicPartition, int | None]:
        """Committed offsets of partitions with records done but not committed. If for long, one before them is lost."""
        consumer = self.faust.consumer
        return {tp: consumer._committed_offset[tp] for tp in self.sources if consumer._acked.get(tp)}

    def doing(self) -> dict[str, Any]:
        """What Faust is doing, by its own state."""
        consumer, recovery = self.faust.consumer, self.faust.tables.recovery  # as Faust has them; nothing is changed
        return {
            "unfinished": sorted(f"{tp.topic}-{tp.partition}" for tp in self.sources if self.unfinished(tp)),
            "paused": sorted(f"{tp.topic}-{tp.partition}" for tp in consumer._paused_partitions),
            "in_recovery": recovery.in_recovery,
            "flow": consumer.flow_active,
            "rebalancing": self.faust.rebalancing,
        }

    def unfinished(self, source: TopicPartition) -> bool:
        """Whether records were fetched that no agent has finished: in work, or lost between client and agent."""
        fetched = self._transport.fetched.get(source, -1)
        return self._finished.get(source, -1) < fetched


def _table_class(failure: Failure, skipped: Skipped, checks: Mapping[str, Check]) -> type:
    class Table(faust.Table):  # type: ignore[misc]
        """Watches its own writes, and reads back only what it can use."""

        logger = logging.getLogger("faust.tables")

        def send_changelog(self, *arguments: Any, **options: Any) -> Any:
            sent = super().send_changelog(*arguments, **options)
            sent.add_done_callback(failure.look)
            return sent

        def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
            super().apply_changelog_batch([event for event in batch if self._usable(event.message)])

        def _usable(self, message: Any) -> bool:
            why = why_unusable(message, checks[message.topic])
            if why is not None:
                skipped.record(message, why)
            return why is None

    return Table


def why_unusable(message: Any, check: Check) -> str | None:
    """Why an entry of a table is left out when it is read back; None where it is not."""
    if message.key is None:
        return "no key"
    if message.value is None:
        return None  # an entry forgotten
    try:
        return check(message)
    except Exception as error:
        return reason(error)
