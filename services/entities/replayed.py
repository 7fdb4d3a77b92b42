"""The stages again, from the log: what each sends on, computed once more and compared with what it sent, bit for bit.

Every partition of `entity-events` that is still there from its first record on is folded by the stages' own processor, up to
what the group has committed. What it would write is matched with what lies on the topics by the record of the source that both
name: key, value, and the values of the entities passed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.privacy import PrivacyKey
from schemas.topics import (
    ENTITY_EVENTS,
    ENTITY_FEATURES,
    ENTITY_LABEL_HEADER,
    ENTITY_VALUES_HEADER,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    entity_named,
)
from services.engine.batches import Record, Write
from services.engine.dead_letters import DeadLetterWriter
from services.entities.chain import Chain
from services.entities.stage import StageProcessor
from services.kafka.topics_admin import describe_topics
from services.observability.metrics import Metrics
from services.scorer.processor import Limits
from services.settings.kafka import KafkaSettings, TopicSettings
from services.verification.positions import committed_offsets, settled_ends
from services.verification.read import Progress, Span, read

BATCH, EXAMPLES_MAX, SETTLE_S_MAX = 2_000, 10, 60.0

Name = tuple[str, bytes, bytes]
"""Of what is sent on: the entity that is next ("" for the scorer), and the record of the source that it is."""


@dataclass(slots=True)
class StagesComparison:
    """What a replay of the stages found. truncated_partitions: of `entity-events`, left out: retention deleted records."""

    compared: int = 0
    differing: int = 0
    not_sent: int = 0
    truncated_partitions: tuple[int, ...] = ()
    examples: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether all that was computed again lies in the log as it is."""
        return not (self.differing or self.not_sent)

    def as_dict(self) -> dict[str, int]:
        """Counts, for JSON."""
        return {
            "stages_compared": self.compared,
            "stages_differing": self.differing,
            "stages_not_sent": self.not_sent,
            "stages_truncated_partitions": len(self.truncated_partitions),
        }


async def replay_stages(
    consumer: AIOKafkaConsumer,
    kafka: KafkaSettings,
    topics: TopicSettings,
    group: str,
    chain: Chain,
    limits: Limits,
    progress: Progress | None = None,
) -> StagesComparison:
    """consumer: started, of committed records. group, chain, limits: as `assay entities` has them. Raises VerificationError."""
    states = await describe_topics(kafka, topics, (ENTITY_EVENTS, ENTITY_FEATURES))
    events, features = states[0].name, states[1].name
    committed = await committed_offsets(kafka, group, events)
    every = [TopicPartition(state.name, number) for state in states for number in range(state.partitions)]
    ends = (await settled_ends(kafka, every, SETTLE_S_MAX)).offsets
    begins = await consumer.beginning_offsets(every)
    stages = _Stages(topics.topic_prefix, chain, limits)
    for tp in every:
        if tp.topic == events and begins[tp] == 0 and tp.partition in committed:
            stages.fold(tp, committed[tp.partition].offset)
    spans = {tp: Span(begins[tp], max(ends[tp], begins[tp])) for tp in every}
    async for tp, records in read(consumer, spans, progress):
        await stages.take(tp, records, last=tp.topic == features)
    truncated = tuple(tp.partition for tp in every if tp.topic == events and begins[tp] > 0)
    return stages.compared(truncated)


class _Stages:
    """One run: a processor for each partition that is folded, and what waits for its counterpart."""

    def __init__(self, prefix: str, chain: Chain, limits: Limits) -> None:
        self._prefix, self._chain, self._limits = prefix, chain, limits
        self._onward = (prefix + ENTITY_EVENTS.name, prefix + ENTITY_FEATURES.name)
        self._processors: dict[TopicPartition, tuple[StageProcessor, int]] = {}
        self._letters, self._metrics = DeadLetterWriter(PrivacyKey("replay", b"replay")), Metrics(by_topic=True)
        self._computed: dict[Name, int] = {}
        self._sent: dict[Name, int] = {}
        self._found = StagesComparison()

    def fold(self, tp: TopicPartition, end: int) -> None:
        """Take part, up to the offset `end`."""
        made = StageProcessor(tp, self._prefix, self._chain, self._limits, self._letters, self._metrics)
        self._processors[tp] = made, end

    async def take(self, tp: TopicPartition, records: Sequence[Record], *, last: bool) -> None:
        """A chunk of one partition, in its order. last: of the topic behind the last entity."""
        for record in records:
            headers = dict(record.headers)
            if last or (entity_named(headers) in self._chain.stages[1:] and ENTITY_LABEL_HEADER not in headers):
                self._match(self._sent, self._computed, headers, record.key, record.value)
        if tp not in self._processors:
            return
        processor, end = self._processors[tp]
        folded = [record for record in records if record.offset < end]
        for start in range(0, len(folded), BATCH):
            result = await processor.process(folded[start : start + BATCH])
            for write in result.writes:
                if write.topic in self._onward:
                    self._write(write)

    def compared(self, truncated: tuple[int, ...]) -> StagesComparison:
        """At the end: what was computed and never sent is counted. What was sent besides, the oracle of the hops judges."""
        self._found.not_sent += len(self._computed)
        self._examples(self._computed, "was not sent on")
        self._found.truncated_partitions = truncated
        return self._found

    def _write(self, write: Write) -> None:
        for key, value, headers in zip(write.keys, write.values, write.headers, strict=True):
            self._match(self._computed, self._sent, dict(headers), key, value)

    def _match(
        self,
        own: dict[Name, int],
        other: dict[Name, int],
        headers: dict[str, bytes],
        key: bytes | None,
        value: bytes | None,
    ) -> None:
        name = (
            entity_named(headers),
            headers.get(SOURCE_PARTITION_HEADER, b""),
            headers.get(SOURCE_OFFSET_HEADER, b""),
        )
        content = hash((key, value, headers.get(ENTITY_VALUES_HEADER)))
        if name not in other:
            own[name] = content
            return
        self._found.compared += 1
        if other.pop(name) != content:
            self._found.differing += 1
            self._examples([name], "differs")

    def _examples(self, names: Iterable[Name], what: str) -> None:
        for entity, partition, offset in names:
            if len(self._found.examples) >= EXAMPLES_MAX:
                return
            way = f"on its way to {entity}" if entity else "on its way to the scorer"
            where = f"{partition.decode(errors='replace')}@{offset.decode(errors='replace')}"
            self._found.examples.append(f"the source's {where}, {way}, {what}")
