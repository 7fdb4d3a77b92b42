"""Fills the read model from the topics: what is there, then what comes. Each batch and its positions are one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas import codec
from schemas.budget import BudgetState
from schemas.case import Case, Mute
from schemas.monitor import MonitorReport
from schemas.topics import CASE_MUTES, CASES, MONITOR, MONITOR_BUDGETS, Topic
from services.cases.desk import case_of, deletion_problem, mute_of
from services.clock import monotonic_s, wall_ms
from services.console.model import Finding, Position, ReadModel
from services.engine.tables import Follower
from services.engine.topic_ids import topic_ids
from services.errors import AssayError
from services.kafka.topics_admin import describe_topics
from services.observability.console_metrics import ConsoleMetrics
from services.settings.kafka import KafkaSettings, TopicSettings

log = structlog.get_logger(__name__)

POLL_TIMEOUT_MS = 200
PROGRESS_S = 2.0
RETRY_S = 0.5
RECORDS_MAX = 5000
AWAY_MS_MAX = 12 * 3600 * 1000
"""Brokers keep the records that delete a key for a day: after a longer absence some could be missed."""

READS = (CASES, CASE_MUTES, MONITOR, MONITOR_BUDGETS)


@dataclass(slots=True)
class Batch:
    """What one poll brought, the newest of each key."""

    cases: dict[str, Case | None] = field(default_factory=dict)
    mutes: dict[str, Mute | None] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)

    def add(self, topic: Topic, record: Any) -> None:
        """Raises RejectedError for a record that the case service would not take either."""
        of_mute = topic is CASE_MUTES
        if not record.value and (of_mute or topic is CASES) and (problem := deletion_problem(record, of_mute=of_mute)):
            raise codec.SchemaError(problem)
        key = (record.key or b"").decode()
        if topic is CASES:
            self.cases[key] = case_of(record) if record.value else None
        elif topic is CASE_MUTES:
            self.mutes[key] = mute_of(record) if record.value else None
        elif record.value:
            found = finding_of(topic, key, record)
            self.findings[found.name] = found


def finding_of(topic: Topic, key: str, record: Any) -> Finding:
    """A record of the monitor, under the name of what it is the newest of. Raises RejectedError."""
    if topic is MONITOR_BUDGETS:
        codec.read(BudgetState, record.value)
        return Finding(f"budget:{key}", "budget", int(record.timestamp), record.value)
    report = codec.read(MonitorReport, record.value)
    age = report.quality.age_days_min if report.quality else "-"
    return Finding(f"{report.kind}:{age}:{report.model}", report.kind, report.at_ms, record.value)


class ModelFollower(Follower):
    """Follows the topics into the database, and wakes those who wait for a change."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, model: ReadModel, metrics: ConsoleMetrics) -> None:
        super().__init__("cases", kafka)
        self._topics, self._model, self._metrics = topics, model, metrics
        self._ids: dict[str, str] = {}
        self._by_name = {topic.full_name(topics.topic_prefix): topic for topic in READS}
        self._said_s = 0.0
        self.partitions = 0
        self.changed = asyncio.Condition()

    async def start(self, *, rebuild: bool = False) -> None:
        """Read what is new since the database was last filled, or everything. Raises KafkaError, AssayError."""
        states = await describe_topics(self._kafka, self._topics, READS)
        if missing := [state.name for state in states if not state.partitions]:
            raise AssayError(
                f"Topics {', '.join(missing)} do not exist or are hidden from us: create them with `assay topics create`."
            )
        self.partitions = states[0].partitions
        sources = [TopicPartition(state.name, number) for state in states for number in range(state.partitions)]
        await self._connect(sources)
        self._ids = await topic_ids(self._consumer._client, list(self._by_name))
        begins = await self._consumer.beginning_offsets(sources)
        ends = await self._consumer.end_offsets(sources)
        await self._seek(sources, begins, ends, rebuild=rebuild)
        await self._follow_on(self._follow(ends))
        if why := self.ended:
            raise AssayError(why)
        log.info("console.caught_up", records=sum(ends.values()) - sum(begins.values()))

    async def _seek(self, sources: Sequence[TopicPartition], begins: Any, ends: Any, *, rebuild: bool) -> None:
        known, since_ms = await asyncio.to_thread(self._model.positions)
        held = {TopicPartition(one.topic, one.partition): one for one in known}
        why = "asked for" if rebuild else self._why_not_fit(sources, held, ends, since_ms)
        if why:
            log.info("console.rebuilding", why=why, records=sum(ends.values()) - sum(begins.values()))
            await asyncio.to_thread(self._model.clear)
            held = {}
        for source in sources:
            place = held.get(source)
            self._consumer.seek(source, max(begins[source], place.next_offset) if place else begins[source])

    def _why_not_fit(self, sources: Sequence[TopicPartition], held: Any, ends: Any, since_ms: int | None) -> str | None:
        """Why the database is not of this log; None where it is, and no deletion can have been missed."""
        if not held:
            return None
        if set(held) != set(sources):
            return "it is of other topics or partitions"
        for source, place in held.items():
            if place.topic_id != self._ids.get(source.topic, ""):
                return f"{source.topic} is another log of this name"
            if place.next_offset > ends[source]:
                return f"{source.topic} is shorter than it was"
        return "it was not followed for half a day" if wall_ms() - (since_ms or 0) > AWAY_MS_MAX else None

    async def _follow(self, ends: dict[TopicPartition, int]) -> None:
        total, taken = sum(ends.values()), 0
        while True:
            try:
                if not self._caught_up.is_set() and await self._behind(ends) <= 0:
                    self._caught_up.set()
                fetched = await self._consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=RECORDS_MAX)
                await self._take(fetched)
                taken += sum(map(len, fetched.values()))
                await self._progress(taken, total)
            except KafkaError as error:
                log.warning("table.not_followed", topic=CASES.name, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _take(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        batch = Batch()
        for source, records in fetched.items():
            topic = self._by_name[source.topic]
            for record in records:
                try:
                    batch.add(topic, record)
                except Exception as error:  # whatever is in it: a writer of one record must not stop its readers
                    why = str(error) if isinstance(error, codec.RejectedError) else type(error).__name__
                    place = {"partition": record.partition, "offset": record.offset}
                    log.error("table.record_refused", topic=topic.name, **place, why=why)
                    self._metrics.refused.inc()
        if not fetched and monotonic_s() - self._said_s < PROGRESS_S:
            return
        positions = [
            Position(source.topic, source.partition, self._ids.get(source.topic, ""), await self._position(source))
            for source in self._consumer.assignment()
        ]
        found = list(batch.findings.values())
        await asyncio.to_thread(self._model.take, batch.cases, batch.mutes, positions, wall_ms(), found)
        if fetched:
            async with self.changed:
                self.changed.notify_all()

    async def _position(self, source: TopicPartition) -> int:
        return int(await self._consumer.position(source))

    async def _progress(self, taken: int, total: int) -> None:
        if monotonic_s() - self._said_s < PROGRESS_S:
            return
        self._said_s = monotonic_s()
        behind = [
            max(0, (self._consumer.last_stable_offset(source) or 0) - await self._position(source))
            for source in self._consumer.assignment()
        ]
        self._metrics.lag.set(sum(behind))
        if not self._caught_up.is_set():
            log.info("console.progress", records=taken, of=total)

    async def _behind(self, ends: dict[TopicPartition, int]) -> int:
        """The most records that one partition is behind."""
        return max([end - await self._position(source) for source, end in ends.items()])
