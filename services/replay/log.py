"""Where a replay reads from: what was scored, what came in, and what was known of the terminals."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import (
    LISTS,
    LISTS_OFFSET_HEADER,
    LISTS_PERSONS_HEADER,
    PROFILES_OFFSET_HEADER,
    SCORES,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    TERMINAL_PROFILES,
    TRANSACTIONS,
    Topic,
)
from services.engine.batches import Record
from services.errors import AssayError
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.verification.positions import committed_offsets, settled_ends
from services.verification.read import Progress, Span, read

SETTLE_S_MAX = 60.0


class EmittedScore(NamedTuple):
    """One record of `scores`: whose it is, up to where the terminals' profiles and lists were known, and its JSON.

    lists_persons: by whose signatures entries of lists counted; None where none had to sign.
    """

    source_partition: int
    source_offset: int
    profiles_offset: int
    value: bytes
    lists_offset: int = 0
    lists_persons: str | None = None


@dataclass(frozen=True, slots=True)
class Spans:
    """The input topic's full name, and the offsets of each partition that are there and that the group has committed."""

    topic: str
    by_partition: Mapping[int, Span]

    @property
    def truncated_partitions(self) -> tuple[int, ...]:
        """Those whose oldest records are deleted: their history is not complete."""
        return tuple(sorted(partition for partition, span in self.by_partition.items() if span.begin > 0))


class Log(Protocol):
    """A stream that can be read again, in Kafka or from files."""

    async def spans(self) -> Spans:
        """What can be replayed. Raises AssayError where there is nothing."""

    def scores(self, progress: Progress | None) -> AsyncIterator[Sequence[EmittedScore]]:
        """Every score that was emitted, in chunks."""

    async def profiles(self) -> list[Record]:
        """Every record of `terminal-profiles` that is still there, in order."""

    async def lists(self) -> list[Record]:
        """Every record of `lists` that is still there, in order."""

    def inputs(self, progress: Progress | None) -> AsyncIterator[tuple[int, list[Record]]]:
        """The spans' records in chunks of one partition, each partition in order."""


class KafkaLog:
    """The topics themselves, read_committed. The consumer is the caller's, started."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        group: str,
        consumer: AIOKafkaConsumer,
        source: Topic = TRANSACTIONS,
        scores: Topic = SCORES,
        setting: str = "ASSAY_GROUP",
        service: str = "the scorer",
    ) -> None:
        """source: the group's input. scores: what it makes of that. setting: which names the group. service: whose it is."""
        self._kafka, self._topics, self._group, self._consumer = kafka, topics, group, consumer
        self._source, self._scores = source.full_name(topics.topic_prefix), scores
        self._setting, self._service = setting, service
        self._spans: dict[TopicPartition, Span] = {}
        self._begins: dict[int, int] = {}

    async def spans(self) -> Spans:
        """From the first record that is left to what the group has committed."""
        committed = await committed_offsets(self._kafka, self._group, self._source)
        if not committed:
            raise AssayError(
                f"Group {self._group} has committed nothing on {self._source}: "
                f"is {self._setting} (or --group) {self._service}'s? "
                "Or the topic was made again, and is another log of this name."
            )
        begins = await self._consumer.beginning_offsets([TopicPartition(self._source, number) for number in committed])
        self._spans = {tp: Span(begin, max(begin, committed[tp.partition].offset)) for tp, begin in begins.items()}
        scores = self._scores.full_name(self._topics.topic_prefix)
        self._begins = {number: at.note.begins.get(scores, 0) for number, at in committed.items()}
        return Spans(self._source, {tp.partition: span for tp, span in self._spans.items()})

    async def scores(self, progress: Progress | None) -> AsyncIterator[Sequence[EmittedScore]]:
        """Up to today's end of the topic, its transactions settled."""
        (outputs,) = await describe_topics(self._kafka, self._topics, [self._scores])
        partitions = [TopicPartition(outputs.name, number) for number in range(outputs.partitions)]
        ends = await settled_ends(self._kafka, partitions, SETTLE_S_MAX)
        begins = await self._consumer.beginning_offsets(partitions)
        spans = {tp: Span(begins[tp], max(begins[tp], ends.offsets[tp])) for tp in partitions}
        async for _, records in read(self._consumer, spans, progress):
            # what lies before is of a former log that had the input's name
            yield [
                score
                for record in records
                if record.offset >= self._begins.get((score := _emitted(record)).source_partition, 0)
            ]

    async def profiles(self) -> list[Record]:
        """What compaction has left, which is what a replay within the retention needs."""
        return await self._table(TERMINAL_PROFILES)

    async def lists(self) -> list[Record]:
        """The same; none where an installation of an earlier version has no such topic yet."""
        (lists,) = await describe_topics(self._kafka, self._topics, [LISTS])
        return await self._table(LISTS) if lists.partitions else []

    async def _table(self, topic: Topic) -> list[Record]:
        source = TopicPartition(self._topics.topic_prefix + topic.name, 0)
        begins = await self._consumer.beginning_offsets([source])
        ends = await self._consumer.end_offsets([source])
        span = Span(begins[source], max(begins[source], ends[source]))
        return [record async for _, records in read(self._consumer, {source: span}) for record in records]

    async def inputs(self, progress: Progress | None) -> AsyncIterator[tuple[int, list[Record]]]:
        """As stored in Kafka."""
        async for tp, records in read(self._consumer, self._spans, progress):
            yield tp.partition, records


def _emitted(record: Record) -> EmittedScore:
    headers = dict(record.headers)
    return EmittedScore(
        source_partition=int(headers[SOURCE_PARTITION_HEADER]),
        source_offset=int(headers[SOURCE_OFFSET_HEADER]),
        profiles_offset=int(headers.get(PROFILES_OFFSET_HEADER, 0)),
        value=record.value,
        lists_offset=int(headers.get(LISTS_OFFSET_HEADER, 0)),
        lists_persons=persons.decode() if (persons := headers.get(LISTS_PERSONS_HEADER)) else None,
    )
