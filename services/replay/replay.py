"""The run of a replay: the emitted scores, then the input from its first record to the group's offsets."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from numpy.typing import NDArray

from models.scoring.session import ModelSession
from schemas import codec
from schemas.score import Score
from schemas.topics import (
    PROFILES_OFFSET_HEADER,
    SCORES,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    TERMINAL_PROFILES,
    TRANSACTIONS,
)
from services.replay.compare import Comparison, Emitted
from services.runtime.batches import Record
from services.runtime.errors import AssayError
from services.runtime.kafka import reader
from services.runtime.settings import KafkaSettings, TopicSettings
from services.runtime.topics_admin import describe_topics
from services.scorer.offline import OfflinePartition, Part
from services.scorer.processor import Limits
from services.scorer.profiles import ProfileTable
from services.verification.positions import committed_offsets, settled_ends
from services.verification.read import Progress, Span, read

SETTLE_S_MAX = 60.0

_decode_score = codec.decoder(Score)


@dataclass(frozen=True, slots=True)
class Period:
    """Input records with timestamps from `since_ms` (inclusive) to `until_ms` (exclusive), ms since 1970 UTC."""

    since_ms: int = 0
    until_ms: int = 1 << 62


@dataclass(frozen=True, slots=True)
class Replayed:
    """The comparison, and the input partitions whose oldest records are deleted: their history is not complete."""

    comparison: Comparison
    truncated_partitions: tuple[int, ...]


async def replay(
    kafka: KafkaSettings,
    topics: TopicSettings,
    group: str,
    session: ModelSession,
    limits: Limits,
    period: Period,
    progress: Progress | None = None,
) -> Replayed:
    """Fold everything that the group has committed and compare the scores of the period. Raises AssayError."""
    source, target = (topics.topic_prefix + topic.name for topic in (TRANSACTIONS, SCORES))
    consumer = reader(kafka)
    try:
        committed = await committed_offsets(kafka, group, source)
        if not committed:
            raise AssayError(
                f"Group {group} has committed nothing on {source}: is ASSAY_GROUP (or --group) the scorer's?"
            )
        await consumer.start()
        begins = await consumer.beginning_offsets([TopicPartition(source, number) for number in committed])
        inputs = {tp: Span(begin, max(begin, committed[tp.partition])) for tp, begin in begins.items()}
        emitted = {
            tp.partition: Emitted(f"{source}-{tp.partition}", span.begin, span.end, session.model_name)
            for tp, span in inputs.items()
        }
        (outputs,) = await describe_topics(kafka, topics, [SCORES])
        partitions = [TopicPartition(target, number) for number in range(outputs.partitions)]
        await _collect(consumer, kafka, partitions, emitted, progress)
        profiles: list[Record] = []
        if session.bundle.manifest.feature_spec.profiled:
            profiles = await _profiles(consumer, TopicPartition(topics.topic_prefix + TERMINAL_PROFILES.name, 0))
        states = {tp: _Replaying(OfflinePartition(session, limits), profiles) for tp in inputs}
        comparison = await _fold(consumer, inputs, emitted, states, period, progress)
    except KafkaError as error:
        raise AssayError(
            f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}): check ASSAY_KAFKA_BOOTSTRAP."
        ) from None
    finally:
        await consumer.stop()
    return Replayed(comparison, tuple(sorted(tp.partition for tp, span in inputs.items() if span.begin > 0)))


async def _collect(
    consumer: AIOKafkaConsumer,
    kafka: KafkaSettings,
    partitions: list[TopicPartition],
    emitted: dict[int, Emitted],
    progress: Progress | None,
) -> None:
    ends = await settled_ends(kafka, partitions, SETTLE_S_MAX)
    begins = await consumer.beginning_offsets(partitions)
    spans = {tp: Span(begins[tp], max(begins[tp], ends.offsets[tp])) for tp in partitions}
    async for _, records in read(consumer, spans, progress):
        for record in records:
            headers = dict(record.headers)
            ledger = emitted.get(int(headers[SOURCE_PARTITION_HEADER]))
            if ledger is not None:
                known = int(headers.get(PROFILES_OFFSET_HEADER, 0))
                ledger.add(int(headers[SOURCE_OFFSET_HEADER]), _decode_score(record.value), known)


async def _profiles(consumer: AIOKafkaConsumer, source: TopicPartition) -> list[Record]:
    """Every profile that is still there, in order."""
    begins, ends = await consumer.beginning_offsets([source]), await consumer.end_offsets([source])
    span = Span(begins[source], max(begins[source], ends[source]))
    return [record async for _, records in read(consumer, {source: span}) for record in records]


class _Replaying:
    """One partition, and the terminals' profiles as they were known to it."""

    def __init__(self, partition: OfflinePartition, profiles: list[Record]) -> None:
        self._partition, self._records, self._taken = partition, profiles, 0
        self._table = ProfileTable()

    def judge(self, records: list[Record], known: NDArray[np.int64]) -> list[Part]:
        """The next records. known: int64[n], the offset up to which each saw the profiles; those scored later saw more."""
        edges = [0, *(np.flatnonzero(np.diff(known)) + 1).tolist(), len(records)]
        parts = []
        for start, end in pairwise(edges):
            first = self._taken
            while self._taken < len(self._records) and self._records[self._taken].offset < known[start]:
                self._taken += 1
            self._table.apply(self._records[first : self._taken])
            parts.append(self._partition.judge(records[start:end], self._table.profiles))
        return parts


async def _fold(
    consumer: AIOKafkaConsumer,
    inputs: dict[TopicPartition, Span],
    emitted: dict[int, Emitted],
    states: dict[TopicPartition, _Replaying],
    period: Period,
    progress: Progress | None,
) -> Comparison:
    comparison = Comparison()
    async for tp, records in read(consumer, inputs, progress):
        if not records:
            continue
        ledger = emitted[tp.partition]
        known = ledger.profiles_offsets(np.array([record.offset for record in records], np.int64))
        outside = [r.offset for r in records if not period.since_ms <= r.timestamp < period.until_ms]
        ledger.leave_out(np.array(outside, np.int64))
        # what has no score was not folded either, and sees what the one before it saw
        for part in states[tp].judge(records, np.maximum.accumulate(known)):
            wanted = np.array([period.since_ms <= r.timestamp < period.until_ms for r in part.records], np.bool_)
            offsets = np.array([record.offset for record in part.records], np.int64)
            scores = type(part.scores)(*(column[wanted] for column in part.scores))
            ledger.compare(offsets[wanted], scores, part.alert[wanted], comparison)
    for ledger in emitted.values():
        ledger.finish(comparison)
    return comparison
