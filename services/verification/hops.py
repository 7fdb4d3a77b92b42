"""The hops of entities, from the source to `entity-features`: each event is on the topic of each stage exactly once.

Independent of the stages' code: topics, keys and headers are all that is read. Each record of both entity topics names in its
headers the record of the source that it is, and on `entity-events` the entity that is next; so it belongs to one *hop*: the
way to its first entity, from entity to entity, or from the last one to the scorer's topic. The order of the steps, and why it
gives no false alarm beside a running service, are those of `verify`. An event that asks for an answer asks on every hop; one
that a stage refused has its answer there, and every other by the scorer, where `verify` judges it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.source_spec import SourceSpec
from schemas.topics import (
    ANSWERS,
    DEAD_LETTERS,
    ENTITY_EVENTS,
    ENTITY_FEATURES,
    ENTITY_VALUES_HEADER,
    REQUEST_HEADER,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_TOPIC_HEADER,
    Topic,
    entity_named,
)
from services.engine.placement import place
from services.kafka.client import reader
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.verification.answered import REQUEST
from services.verification.meant import Meant
from services.verification.positions import committed_offsets, settled_ends
from services.verification.read import Progress, Span, VerificationError, read
from services.verification.verdict import Verdict

OFFSET_BITS = 48
"""Of a position in one number: the partition above, the offset below."""


@dataclass(frozen=True, slots=True)
class HopsVerdict:
    """What became of the source's events. stages: how many reached each entity, and the scorer's topic, in their order."""

    verdict: Verdict
    stages: dict[str, int]

    @property
    def clean(self) -> bool:
        """Whether nothing is damaged."""
        return self.verdict.clean

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.verdict.as_dict(), "stages": self.stages}


@dataclass(slots=True)
class _Found:
    """Records of one kind, in the order in which they were read: where they lie, and the record of the source that they are."""

    own: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    content: list[int] = field(default_factory=list)

    def add(self, own: int, source: int, content: int = 0) -> None:
        """One record. content: names its value."""
        self.own.append(own)
        self.source.append(source)
        self.content.append(content)


async def verify_hops(
    kafka: KafkaSettings,
    topics: TopicSettings,
    group: str,
    source: Topic,
    stages: Sequence[str],
    spec: SourceSpec | None = None,
    *,
    settle_s_max: float = 60.0,
    from_first_output: bool = False,
    progress: Progress | None = None,
) -> HopsVerdict:
    """Judge everything that the group of `assay entities` has committed. stages: the entities, in the feature spec's order.

    spec: of the source's records. from_first_output: leave out what lies before each partition's first output.
    Raises VerificationError.
    """
    try:
        hops = _Hops(kafka, topics, source, stages, spec)
        return await hops.run(group, settle_s_max, from_first_output, progress)
    except KafkaError as error:
        raise VerificationError(
            f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}): check ASSAY_KAFKA_BOOTSTRAP."
        ) from None


class _Hops:
    """One run."""

    def __init__(
        self, kafka: KafkaSettings, topics: TopicSettings, source: Topic, stages: Sequence[str], spec: SourceSpec | None
    ) -> None:
        self._kafka, self._settings, self._stages = kafka, topics, tuple(stages)
        self._topics = (source, ENTITY_EVENTS, ENTITY_FEATURES, DEAD_LETTERS, ANSWERS)
        names = [topic.full_name(topics.topic_prefix) for topic in self._topics]
        self._source, self._events, self._features, self._letters, self._answers = names
        self._meant = Meant(spec)
        self._partitions: dict[str, int] = {}
        self._inputs = _Found()
        self._passed_over: list[int] = []
        self._hops = [_Found() for _ in range(len(self._stages) + 1)]
        self._refused: dict[str, list[int]] = {self._source: [], self._events: []}
        self._asked: dict[str, set[int]] = {self._source: set(), self._events: set()}
        self._answered: dict[str, list[int]] = {self._source: [], self._events: []}
        self._verdict = Verdict()

    async def run(
        self, group: str, settle_s_max: float, from_first_output: bool, progress: Progress | None
    ) -> HopsVerdict:
        """As the module's docstring says."""
        for state in await describe_topics(self._kafka, self._settings, self._topics):
            if not state.partitions and state.name != self._answers:  # of a version before answers
                raise VerificationError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
            self._partitions[state.name] = state.partitions
        committed = {name: await self._committed(group, name) for name in (self._source, self._events)}
        if not committed[self._source]:
            raise VerificationError(
                f"Group {group} has committed nothing on {self._source}: is ASSAY_ENTITIES_GROUP that of `assay entities`?"
            )
        every = [TopicPartition(name, number) for name, count in self._partitions.items() for number in range(count)]
        outputs = [tp for tp in every if tp.topic != self._source]
        ends = await settled_ends(self._kafka, outputs, settle_s_max)
        for tp in ends.hanging:
            self._verdict.note("hanging", 1, f"{tp.topic}-{tp.partition}@{ends.offsets[tp]}: open transaction")
        consumer = reader(self._kafka)
        try:
            await consumer.start()
            last = ends.offsets | await consumer.end_offsets([tp for tp in every if tp.topic == self._source])
            begins = await consumer.beginning_offsets(every)
            spans = {tp: Span(begins[tp], max(last[tp], begins[tp])) for tp in every}
            async for tp, records in read(consumer, spans, progress):
                self._take(tp, records)
        finally:
            await consumer.stop()
        return self._judged(committed, begins, from_first_output)

    async def _committed(self, group: str, topic: str) -> dict[int, int]:
        found = await committed_offsets(self._kafka, group, topic)
        return {number: at.offset for number, at in found.items()}

    def _take(self, tp: TopicPartition, records: list[Any]) -> None:
        if tp.topic == self._source:
            for record in records:
                own = _position(tp.partition, record.offset)
                if self._meant.selects(record.value):
                    self._inputs.add(own, own, self._content(record, own))
                else:
                    self._passed_over.append(own)
            return
        for record in records:
            headers = dict(record.headers)
            origin = headers.get(SOURCE_TOPIC_HEADER, b"").decode(errors="replace")
            source = _named(headers)
            if tp.topic in (self._letters, self._answers):
                kept = self._refused if tp.topic == self._letters else self._answered
                if source is not None and origin in kept:
                    kept[origin].append(source)
                continue
            self._enter(tp, record, headers, source if origin == self._source else None)

    def _enter(self, tp: TopicPartition, record: Any, headers: dict[str, bytes], source: int | None) -> None:
        where, name = f"{tp.topic}-{tp.partition}@{record.offset}", entity_named(headers)
        if source is None:
            return  # of another source, or of a stranger: a dead letter of the stage, and judged there
        if tp.topic == self._events and name not in self._stages:
            self._verdict.note("inconsistent", 1, f"{where}: its entity {name!r} is not in the feature spec")
            return
        if ENTITY_VALUES_HEADER not in headers:
            self._verdict.note("inconsistent", 1, f"{where}: it carries no values")
        if not self._placed(tp, record.key or b"", name, source):
            self._verdict.note("inconsistent", 1, f"{where}: it belongs on another partition")
        hop = self._stages.index(name) if tp.topic == self._events else len(self._stages)
        own = _position(tp.partition, record.offset)
        self._hops[hop].add(own, source, self._content(record, own))

    def _content(self, record: Any, own: int) -> int:
        """Names what must be the same on every hop: the value, and for which request it is to be answered."""
        request = next((value for name, value in record.headers if name == REQUEST_HEADER), None)
        if request is None or not REQUEST.fullmatch(request):
            return hash(record.value)
        if record.topic in self._asked:
            self._asked[record.topic].add(own)
        return hash((record.value, request))

    def _placed(self, tp: TopicPartition, key: bytes, name: str, source: int) -> bool:
        """Whether a record lies where its key says; without an id, or behind the last entity, by its source's number."""
        number, stays = self._partitions[tp.topic], (source >> OFFSET_BITS) % self._partitions[tp.topic]
        if tp.topic == self._features or key == f"{name}:".encode():
            return bool(tp.partition == stays)
        return key.startswith(f"{name}:".encode()) and bool(place(key, number) == tp.partition)

    def _judged(
        self, committed: dict[str, dict[int, int]], begins: dict[TopicPartition, int], from_first_output: bool
    ) -> HopsVerdict:
        verdict, before = self._verdict, self._inputs
        known = dict(zip(before.source, before.content, strict=True))
        passed_over = set(self._passed_over)
        for hop, found in enumerate(self._hops):
            read_from = self._source if hop == 0 else self._events
            written_to = self._features if hop == len(self._stages) else self._events
            trimmed = {tp.partition for tp, begin in begins.items() if tp.topic == written_to and begin > 0}
            former = {tp.partition for tp, begin in begins.items() if tp.topic == read_from and begin > 0}
            self._judge_hop(_Hop(hop, before, found, committed[read_from], trimmed), from_first_output and hop == 0)
            at = dict(zip(before.source, before.own, strict=True))
            for own, source, content in zip(found.own, found.source, found.content, strict=True):
                where = f"{written_to}-{_words(own)}"
                if source not in at and not former:
                    what = "a record that the source spec passes over" if source in passed_over else "no record"
                    verdict.note("inconsistent", 1, f"{where}: of {what} at {self._source}-{_words(source)}")
                elif known.get(source, content) != content:
                    what = "its value, or the request for an answer, is not that of"
                    verdict.note("inconsistent", 1, f"{where}: {what} {self._source}-{_words(source)}")
            before = found
        if not any(begin for tp, begin in begins.items() if tp.topic == self._answers):
            self._judge_answers(committed)
        verdict.inputs = len(self._inputs.own)
        verdict.scores = len(set(self._hops[-1].source))
        verdict.dead_letters = sum(len(set(refused)) for refused in self._refused.values())
        names = (*self._stages, ENTITY_FEATURES.name)
        return HopsVerdict(verdict, {name: len(set(f.source)) for name, f in zip(names, self._hops, strict=True)})

    def _judge_answers(self, committed: dict[str, dict[int, int]]) -> None:
        """To each event that asked and was refused on its way, one answer; and none to any other."""
        for topic, answered in self._answered.items():
            refused, times = set(self._refused[topic]), Counter(answered)
            for own in sorted((refused & self._asked[topic]) | times.keys()):
                if _offset(own) >= committed[topic].get(own >> OFFSET_BITS, 0):
                    continue  # its dead letter and its answer were not read at one moment
                where = f"{topic}-{_words(own)}: "
                if own not in times:
                    self._verdict.note("missing", 1, f"{where}asked for an answer, and has none")
                elif own not in refused:
                    self._verdict.note("inconsistent", 1, f"{where}an answer to what is no dead letter")
                elif times[own] > 1:
                    self._verdict.note("duplicate", times[own] - 1, f"{where}an answer")

    def _judge_hop(self, hop: "_Hop", from_first_output: bool) -> None:
        verdict, what = self._verdict, f"on its way to {(*self._stages, self._features)[hop.number]}"
        read_from = self._source if hop.number == 0 else self._events
        written_to = self._features if hop.number == len(self._stages) else self._events
        refused = Counter(self._refused[read_from])
        reached = defaultdict[int, list[int]](list)
        for own, source in zip(hop.found.own, hop.found.source, strict=True):
            reached[source].append(own)
        floors = hop.floors(reached, every=from_first_output)
        for own, source in zip(hop.before.own, hop.before.source, strict=True):
            partition, offset = own >> OFFSET_BITS, _offset(own)
            times = len(reached.get(source, ())) + refused.get(own, 0)
            where = f"{read_from}-{_words(own)}: {what}"
            if times > 1:
                verdict.note("duplicate", times - 1, where)
            elif times == 0 and own < floors.get(partition, 0):
                verdict.unjudged += 1
            elif times == 0 and offset < hop.committed.get(partition, 0):
                verdict.note("missing", 1, where)
            elif times == 0:
                verdict.lag += 1
        for own in hop.disordered():
            verdict.note("out_of_order", 1, f"{written_to}-{_words(own)}")


@dataclass(frozen=True, slots=True)
class _Hop:
    """One hop. before: what it read; found: what it wrote. trimmed: partitions written to that lost their oldest records."""

    number: int
    before: _Found
    found: _Found
    committed: dict[int, int]
    trimmed: set[int]

    def floors(self, reached: dict[int, list[int]], *, every: bool) -> dict[int, int]:
        """Of each partition read, the first position of which every output is still there: retention deletes older ones.

        every: as if each partition had lost what lies before its first output, for a group that began at latest.
        """
        first: dict[tuple[int, int], int] = {}
        for own, source in zip(self.before.own, self.before.source, strict=True):
            for out in reached.get(source, ()):
                pair = own >> OFFSET_BITS, out >> OFFSET_BITS
                first[pair] = min(first.get(pair, own), own)
        partitions = {own >> OFFSET_BITS for own in self.before.own}
        if every:
            return {
                number: min((own for (read_from, _), own in first.items() if read_from == number), default=0)
                for number in partitions
            }
        nothing_left = 1 << 62
        return {
            number: max((first.get((number, out), nothing_left) for out in self.trimmed), default=0)
            for number in partitions
        }

    def disordered(self) -> list[int]:
        """Where a record lies behind one that came after it on the partition that both came from."""
        read_at = dict(zip(self.before.source, self.before.own, strict=True))
        pairs = [
            (read_at[source], own)
            for own, source in zip(self.found.own, self.found.source, strict=True)
            if source in read_at
        ]
        if not pairs:
            return []
        read_from, written = np.array(pairs, np.int64).T
        order = np.lexsort((written, written >> OFFSET_BITS, read_from >> OFFSET_BITS))
        read_from, written = read_from[order], written[order]
        same = (np.diff(read_from >> OFFSET_BITS) == 0) & (np.diff(written >> OFFSET_BITS) == 0)
        wrong = same & (np.diff(read_from) < 0)
        return [int(own) for own in written[1:][wrong]]


def _position(partition: int, offset: int) -> int:
    return (partition << OFFSET_BITS) | offset


def _offset(position: int) -> int:
    return position & ((1 << OFFSET_BITS) - 1)


def _words(position: int) -> str:
    return f"{position >> OFFSET_BITS}@{_offset(position)}"


def _named(headers: dict[str, bytes]) -> int | None:
    """The position that source headers name; None where they name none."""
    partition, offset = headers.get(SOURCE_PARTITION_HEADER), headers.get(SOURCE_OFFSET_HEADER)
    if partition is None or offset is None or not (partition.isdigit() and offset.isdigit()):
        return None
    return _position(int(partition), int(offset))
