"""The gateway's two ends of the log: it writes events to the input, and follows `answers` on all partitions."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.answer import Position
from schemas.topics import ANSWERS, CLIENT_HEADER, REQUEST_HEADER
from services.clock import monotonic_s, wall_ms
from services.engine.batches import Record
from services.engine.tables import Follower
from services.gateway.events import Event
from services.kafka import client as connections
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings

log = structlog.get_logger(__name__)

POLL_TIMEOUT_MS = 200
LOOK_INTERVAL_S = 1.0
RETRY_S = 0.5
RECORDS_MAX = 2000
RECORDS_PER_TURN = 100
"""Taken in before requests have their turn, once the past is read: each may wake a caller, who is answered behind it."""


class EventWriter:
    """Writes events, each acknowledged by the brokers before its position is known."""

    def __init__(self, kafka: KafkaSettings, runtime: RuntimeSettings, topic: str) -> None:
        self._topic = topic
        self._producer: AIOKafkaProducer = connections.plain_producer(kafka, runtime)

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        await self._producer.start()

    async def stop(self) -> None:
        """What is being written is written, within a bound."""
        await connections.discard(self._producer, RETRY_S)

    async def __call__(self, event: Event, request: str) -> Position:
        """Where the event lies now. Raises KafkaError where that cannot be known."""
        sent = await self._producer.send_and_wait(
            self._topic,
            event.payload,
            key=event.subject.encode(),
            partition=event.place.partition,
            timestamp_ms=event.timestamp_ms,
            headers=[(REQUEST_HEADER, request.encode()), (CLIENT_HEADER, event.client.encode())],
        )
        return Position(topic=sent.topic, partition=sent.partition, offset=sent.offset)


class AnswerFollower(Follower):
    """Hands the records of `answers` to `take`, in the order of each partition, committed ones only."""

    def __init__(
        self,
        kafka: KafkaSettings,
        prefix: str,
        partitions: int,
        settings: GatewaySettings,
        take: Callable[[Sequence[Record]], None],
        metrics: GatewayMetrics,
    ) -> None:
        super().__init__(ANSWERS.name, kafka)
        self._settings, self._take, self._metrics = settings, take, metrics
        self._sources = [TopicPartition(ANSWERS.full_name(prefix), partition) for partition in range(partitions)]
        self._looked_s = 0.0

    async def start(self) -> None:
        """Read what is to be remembered, then continue in the background. Raises KafkaError."""
        await self._connect(self._sources)
        ends = await self._consumer.end_offsets(self._sources)
        since_ms = wall_ms() - round(self._settings.memory_s * 1000)
        times = await self._consumer.offsets_for_times(dict.fromkeys(self._sources, since_ms))
        room = self._settings.memory_events_max // len(self._sources)
        for source in self._sources:
            found = times.get(source)
            self._consumer.seek(source, max(found.offset if found else ends[source], ends[source] - room))
        await self._follow_on(self._follow(ends))

    async def _follow(self, ends: dict[TopicPartition, int]) -> None:
        while True:
            try:
                if not self._caught_up.is_set() and await self._behind(ends) <= 0:
                    self._caught_up.set()
                records_max = RECORDS_PER_TURN if self._caught_up.is_set() else RECORDS_MAX
                fetched = await self._consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=records_max)
                for records in fetched.values():
                    self._take(records)
                await asyncio.sleep(0)
                if monotonic_s() - self._looked_s >= LOOK_INTERVAL_S:
                    self._looked_s = monotonic_s()
                    self._metrics.lag.set(max(0, await self._behind(self._highwaters())))
            except KafkaError as error:
                log.warning("table.not_followed", topic=ANSWERS.name, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    def _highwaters(self) -> dict[TopicPartition, int]:
        return {source: self._consumer.last_stable_offset(source) or 0 for source in self._sources}

    async def _behind(self, ends: dict[TopicPartition, int]) -> int:
        """The most records that one partition is behind."""
        behind: list[int] = [end - await self._consumer.position(source) for source, end in ends.items()]
        return max(behind)
