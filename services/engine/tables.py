"""A compacted topic of one partition, read whole before work begins and followed from then on."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas import codec
from schemas.topics import Topic
from services.clock import monotonic_s
from services.engine.batches import Record
from services.errors import AssayError
from services.kafka import client as connections
from services.observability.metrics import Metrics
from services.settings.kafka import KafkaSettings

log = structlog.get_logger(__name__)

POLL_TIMEOUT_MS = 200
LOOK_INTERVAL_S = 1.0
RETRY_S = 1.0
RECORDS_MAX = 5000


def why_ended(what: str, task: "asyncio.Task[None] | None") -> str | None:
    """A sentence about a background task that has ended; None while it runs. Its error is named and placed, never quoted."""
    if task is None or not task.done() or task.cancelled():
        return None
    error = task.exception()
    if isinstance(error, AssayError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__) if error else []
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{what} ended ({type(error).__name__}{where}): this process ends so that another can take over."


def each(topic: Topic, records: Sequence[Record], take: Callable[[Record], None], metrics: Metrics) -> None:
    """Hand on record by record. One that cannot be taken in is named, counted and skipped; it stops none of the others."""
    for record in records:
        try:
            take(record)
        except Exception as error:  # whatever is in it: a writer of one record must not stop its readers
            why = str(error) if isinstance(error, codec.RejectedError) else type(error).__name__
            log.error(
                "table.record_refused", topic=topic.name, partition=record.partition, offset=record.offset, why=why
            )
            metrics.table_refused.labels(topic.name).inc()


class Follower:
    """Reads what is there, then what comes, in the background."""

    def __init__(self, what: str, kafka: KafkaSettings) -> None:
        """what: is followed, for the sentence of its end."""
        self._what, self._kafka = what, kafka
        self._caught_up = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether everything that was there at the start has been read, and what comes is."""
        return self._caught_up.is_set() and self._following is not None and not self._following.done()

    @property
    def ended(self) -> str | None:
        """Why following it ended unasked; None while it is followed."""
        return why_ended(f"What follows {self._what}", self._following)

    async def _connect(self, sources: Sequence[TopicPartition]) -> None:
        self._consumer = connections.reader(self._kafka)
        await self._consumer.start()
        self._consumer.assign(sources)

    async def _follow_on(self, following: Coroutine[Any, Any, None]) -> None:
        """Start it, and wait until it has caught up or ended."""
        self._following = asyncio.create_task(following)
        waiting = asyncio.create_task(self._caught_up.wait())
        await asyncio.wait([waiting, self._following], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def stop(self) -> None:
        """Follow no longer."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            await self._consumer.stop()


class FollowedTable(Follower):
    """Hands the topic's records to `apply`, in order, on the event loop: between two awaits a table does not change.

    A broker that does not answer leaves the table as it is; how old that makes it is a metric.
    """

    def __init__(
        self,
        topic: Topic,
        kafka: KafkaSettings,
        prefix: str,
        apply: Callable[[Sequence[Record]], None],
        metrics: Metrics,
    ) -> None:
        super().__init__(topic.name, kafka)
        self._source = TopicPartition(prefix + topic.name, 0)
        self.topic = topic
        self._apply, self._metrics = apply, metrics
        metrics.table_refused.labels(topic.name)
        self._at_end_s = monotonic_s()
        self._looked_s = -LOOK_INTERVAL_S

    async def start(self) -> None:
        """Read everything that is there, then continue in the background. Raises KafkaError where it cannot begin."""
        # computed when scraped: a follower that ended or hangs must not leave a young age behind
        self._metrics.table_age.labels(self.topic.name).set_function(lambda: monotonic_s() - self._at_end_s)
        await self._connect([self._source])
        await self._consumer.seek_to_beginning(self._source)
        await self._look(moved=False)  # an empty table is known at once: a poll of it would wait its whole timeout
        await self._follow_on(self._follow())
        if why := self.ended:
            raise AssayError(why)
        log.info("table.caught_up", topic=self._source.topic)

    async def _follow(self) -> None:
        while True:
            try:
                fetched = await self._consumer.getmany(
                    self._source, timeout_ms=POLL_TIMEOUT_MS, max_records=RECORDS_MAX
                )
                records = fetched.get(self._source, [])
                if records:
                    self._apply(records)
                await self._look(moved=bool(records))
            except KafkaError as error:
                log.warning("table.not_followed", topic=self._source.topic, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _look(self, *, moved: bool) -> None:
        """Compare our place with the end, once a second, and while there is nothing more to read at the start."""
        now_s = monotonic_s()
        if now_s - self._looked_s < LOOK_INTERVAL_S and (self.ready or moved):
            return
        self._looked_s = now_s
        ends = await self._consumer.end_offsets([self._source])
        behind = ends[self._source] - await self._consumer.position(self._source)
        self._metrics.table_lag.labels(self.topic.name).set(max(0, behind))
        if behind <= 0:
            self._at_end_s = monotonic_s()
            self._caught_up.set()


class ConditionalTable:
    """A table that is followed only where something reads it, which is known when it is to start."""

    def __init__(self, table: FollowedTable, wanted: Callable[[], bool]) -> None:
        self._table, self._wanted = table, wanted
        self._starting, self.following = asyncio.Lock(), False

    @property
    def ready(self) -> bool:
        """Whether it is read, or not needed."""
        return self._table.ready or not self.following

    @property
    def ended(self) -> str | None:
        """Why following it ended unasked."""
        return self._table.ended

    async def start(self) -> None:
        """Follow the table, if it is wanted. Raises KafkaError where it cannot begin."""
        if self._wanted():
            await self.follow()

    async def follow(self) -> None:
        """Follow the table from now on: something is about to read it. Raises KafkaError where it cannot begin."""
        async with self._starting:
            if not self.following:
                await self._table.start()
                self.following = True

    async def stop(self) -> None:
        """Follow no longer."""
        if self.following:
            await self._table.stop()
