"""The oracle's run: input and outputs of a group, from Kafka to the verdict.

The order of its steps avoids false alarms about a running scorer:

1. The group's committed offsets: the inputs below them are judged.
2. The outputs' high watermarks. A transaction that committed such an offset had written its outputs before, so they are
   below. They may still be invisible for a moment, so we wait until the last stable offset gets there: where it does
   not, a transaction hangs.
3. The input's end offsets: the outputs below the high watermarks were made of inputs below them.
4. Inputs and outputs, up to these.
5. The group's committed offsets again: an output from there on was written without its offset.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas import codec
from schemas.base import Message
from schemas.credit import CreditOutcome
from schemas.decision import RecordedBecause
from schemas.metric import ScoringMetric
from schemas.policy import Action
from schemas.topics import (
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_TOPIC_HEADER,
)
from services.clock import monotonic_s
from services.engine.placement import place
from services.kafka.client import reader
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.verification.actions import ActionRule, Policies, mark_of, no_policy
from services.verification.answered import Answers
from services.verification.keying import Placement
from services.verification.meant import Meant
from services.verification.oracle import METRIC_FIELDS, Ledger, Mark, Mask, total
from services.verification.outcomes import OutcomeRule, mark_of_outcome
from services.verification.pipeline import PAYMENTS, Pipeline
from services.verification.positions import POLL_S, committed_offsets, settled_ends
from services.verification.read import Progress, Span, VerificationError, read
from services.verification.rule import Rule
from services.verification.verdict import Verdict
from services.verification.witness import Trail, Trails, disagreements

NO_BEGINS: Mapping[str, int] = {}

COMMIT_WAIT_S_MAX = 10.0
"""How long after its outputs a group's offset may become visible: brokers write commit markers one by one."""


class _Said(Message):
    """All that is decoded of an alert: what it says of a policy."""

    policy: str | None = None
    action: Action | None = None
    withheld_action: Action | None = None
    rules: tuple[str, ...] = ()
    shadow_rules: tuple[str, ...] = ()


class _Judged(_Said):
    """All that is decoded of a score."""

    alert: bool
    probability: float
    anomaly_percentile: float
    model: str
    thresholds: tuple[float, ...] = ()


class _Decided(_Said):
    """All that is decoded of a decision."""

    recorded_because: RecordedBecause
    model: str
    probability_threshold: float
    anomaly_percentile_threshold: float


class _Outcome(Message):
    """All that is decoded of what was decided about an application."""

    model: str
    probability: float
    anomaly_percentile: float
    outcome: CreditOutcome
    policy: str | None = None
    rules: tuple[str, ...] = ()
    shadow_rules: tuple[str, ...] = ()
    unread_attributes: tuple[str, ...] = ()


class _OutcomeBy(_Outcome):
    """The same of a decision."""

    probability_threshold: float
    anomaly_percentile_threshold: float


_decode_outcome = codec.decoder(_Outcome)
_decode_outcome_by = codec.decoder(_OutcomeBy)
_decode_said = codec.decoder(_Said)
_decode_judged = codec.decoder(_Judged)
_decode_decided = codec.decoder(_Decided)
_decode_metric = codec.decoder(ScoringMetric)


async def verify(
    kafka: KafkaSettings,
    topics: TopicSettings,
    group: str,
    pipeline: Pipeline = PAYMENTS,
    *,
    settle_s_max: float = 60.0,
    from_first_output: bool = False,
    progress: Progress | None = None,
    seen: Trails | None = None,
    policies: Policies = no_policy,
) -> Verdict:
    """Judge everything that the group has committed.

    settle_s_max: how long to wait for open transactions; more than the brokers need to abort one that was left behind.
    from_first_output: leave out records before each partition's first output, for a group that began at `latest`.
    seen: the trails of a `Witness` of the outputs, compared with what is there now. policies: finds those that scores name.
    Raises VerificationError.
    """
    try:
        verification = _Verification(kafka, topics, group, pipeline, seen or {}, policies)
        return await verification.run(settle_s_max, from_first_output, progress)
    except KafkaError as error:
        raise VerificationError(
            f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}): check ASSAY_KAFKA_BOOTSTRAP."
        ) from None


class _Verification:
    """One run. The ledgers are those of the input's partitions, by number."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        group: str,
        pipeline: Pipeline,
        seen: Trails,
        policies: Policies,
    ) -> None:
        self._kafka, self._topics, self._group, self._pipeline = kafka, topics, group, pipeline
        self._input = pipeline.source.full_name(topics.topic_prefix)
        self._meant = Meant(pipeline.spec, pipeline.reader)
        self._marks = {topics.topic_prefix + name: mark for name, mark in pipeline.marks.items()}
        self._by_subject = {topics.topic_prefix + name for name in pipeline.by_subject}
        self._seen = seen
        self._again = {tp: Trail(trail.begin, trail.begin) for tp, trail in seen.items()}
        self._answers_topic = pipeline.answers.full_name(topics.topic_prefix) if pipeline.answers else ""
        self._answers: Answers | None = None
        self._rule, self._placement, self._actions = Rule(), Placement(), ActionRule(policies)
        self._outcomes = OutcomeRule(policies)
        self._partitions: dict[str, int] = {}
        self._ledgers: dict[int, Ledger] = {}
        self._first_sources: dict[tuple[TopicPartition, int], int] = {}
        self._loose = Verdict()
        self._begins: dict[int, Mapping[str, int]] = {}

    async def run(self, settle_s_max: float, from_first_output: bool, progress: Progress | None) -> Verdict:
        """All steps, in the order that the module's docstring explains."""
        await self._find_topics()
        every = [TopicPartition(name, number) for name, count in self._partitions.items() for number in range(count)]
        outputs = [tp for tp in every if tp.topic != self._input]
        committed = await self._committed()
        if not committed:
            raise VerificationError(
                f"Group {self._group} has committed nothing on {self._input}: is ASSAY_GROUP (or --group) the scorer's? "
                "Or the topic was made again, and is another log of this name."
            )
        ends = await settled_ends(self._kafka, outputs, settle_s_max)
        for tp in ends.hanging:
            self._loose.note("hanging", 1, f"{tp.topic}-{tp.partition}@{ends.offsets[tp]}: open transaction")
        consumer = reader(self._kafka)
        try:
            await consumer.start()
            last = ends.offsets | await consumer.end_offsets([tp for tp in every if tp.topic == self._input])
            begins = await consumer.beginning_offsets(every)
            spans = {tp: Span(begins[tp], max(last[tp], begins[tp])) for tp in every}
            for tp, span in spans.items():
                if tp.topic == self._input:
                    self._ledgers[tp.partition] = Ledger(f"{tp.topic}-{tp.partition}", span.begin, span.end)
            self._answers = self._answers_of(spans)
            async for tp, records in read(consumer, spans, progress):
                if tp.topic == self._input:
                    self._take_inputs(tp, await self._meant.of(records))
                else:
                    self._take_outputs(tp, records)
        finally:
            await consumer.stop()
        after = await self._committed_after()
        for disagreement in disagreements(self._seen, self._again):
            self._loose.note("disagreeing", 1, disagreement)
        floors: dict[int, int] = {}
        rules = self._rule, self._actions, self._outcomes, self._placement
        parts = [self._loose, *(rule.judge() for rule in rules)]
        for number, ledger in self._ledgers.items():
            floor = ledger.first_output() if from_first_output else self._retained_from(number, spans)
            offsets = (committed.get(number, 0), after.get(number, 0))
            parts.append(ledger.judge(*offsets, floor, every_decision=self._pipeline.every_decision))
            floors[number] = max(floor, self._answered_from(number, spans))
        if self._answers is not None:
            parts.append(self._answers.judge(committed, floors))
        return total(parts)

    async def _find_topics(self) -> None:
        wanted = [*filter(None, (self._pipeline.source, self._pipeline.answers)), *self._pipeline.outputs]
        for state in await describe_topics(self._kafka, self._topics, wanted):
            if not state.partitions and state.name == self._answers_topic:
                continue  # of a version before answers
            if not state.partitions:
                raise VerificationError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
            self._partitions[state.name] = state.partitions

    async def _committed(self) -> dict[int, int]:
        found = await committed_offsets(self._kafka, self._group, self._input)
        self._begins = {number: at.note.begins for number, at in found.items() if at.note.since}
        return {number: at.offset for number, at in found.items()}

    async def _committed_after(self) -> dict[int, int]:
        """Committed offsets once they cover every output read, or as they are after a while."""
        deadline_s = monotonic_s() + COMMIT_WAIT_S_MAX
        while True:
            after = await self._committed()
            covered = all(ledger.next_output() <= after.get(number, 0) for number, ledger in self._ledgers.items())
            if covered or monotonic_s() > deadline_s:
                return after
            await asyncio.sleep(POLL_S)

    def _retained_from(self, number: int, spans: dict[TopicPartition, Span]) -> int:
        """From which input offset on every output is still there: retention deletes the older ones."""
        nothing_left = spans[TopicPartition(self._input, number)].end
        trimmed = [
            self._first_sources.get((tp, number), nothing_left)
            for tp, span in spans.items()
            if tp.topic in self._marks
            and span.begin > 0
            and (tp.topic in self._by_subject or number % self._partitions[tp.topic] == tp.partition)
        ]
        return max(trimmed, default=0)

    def _answers_of(self, spans: dict[TopicPartition, Span]) -> Answers | None:
        """What judges answers; None where there are none: scores need not be compared with them then."""
        inputs = {tp.partition: span for tp, span in spans.items() if tp.topic == self._input}
        there = any(span.end > 0 for tp, span in spans.items() if tp.topic == self._answers_topic)
        return Answers(self._input, inputs) if there else None

    def _answered_from(self, number: int, spans: dict[TopicPartition, Span]) -> int:
        """From which input offset on every answer is still there: they may be deleted sooner than scores are."""
        tp = TopicPartition(self._answers_topic, number)
        if tp not in spans or spans[tp].begin == 0:
            return 0
        return self._first_sources.get((tp, number), spans[TopicPartition(self._input, number)].end)

    def _take_inputs(self, tp: TopicPartition, records: list[Any]) -> None:
        """Enter a chunk of one partition's records that are due an answer."""
        self._ledgers[tp.partition].add_inputs(np.fromiter((r.offset for r in records), np.int64, len(records)))
        if self._answers is not None:
            self._answers.add_inputs(tp.partition, records)

    def _take_outputs(self, tp: TopicPartition, records: list[Any]) -> None:
        """Enter a chunk of one partition into the ledgers."""
        if tp in self._seen:
            seen = self._seen[tp]
            self._again[tp].add(r for r in records if seen.begin <= r.offset < seen.next_offset)
        sources = [self._source(record) for record in records]
        ours = [record for record, source in zip(records, sources, strict=True) if source]
        if tp.topic == self._answers_topic or (self._answers is not None and tp.topic in self._marks):
            self._take_answered(tp, ours, [source for source in sources if source])
        if tp.topic == self._answers_topic:
            return
        if tp.topic not in self._marks:
            self._take_metrics(ours, [source[0] for source in sources if source])
            return
        positions = np.array([source for source in sources if source], np.int64).reshape(-1, 2)
        flags = self._flags(self._marks[tp.topic], ours, positions)
        for number in np.unique(positions[:, 0]).tolist():
            chosen = positions[:, 0] == number
            if self._marks[tp.topic] is Mark.SCORE:
                self._place(tp, number, [ours[place] for place in np.flatnonzero(chosen).tolist()])
            self._enter(tp, number, positions[chosen, 1], None if flags is None else flags[chosen])

    def _take_answered(self, tp: TopicPartition, records: list[Any], sources: list[tuple[int, int]]) -> None:
        """Answers, and what they are compared with."""
        if self._answers is None:
            return
        for number in {source[0] for source in sources}:
            rows = [row for row, source in enumerate(sources) if source[0] == number]
            offsets = [sources[row][1] for row in rows]
            if tp.topic == self._answers_topic:
                self._first_sources.setdefault((tp, number), offsets[0])
                self._answers.add_answers(number, offsets, [records[row] for row in rows])
            elif self._marks[tp.topic] is Mark.SCORE:
                self._answers.add_scores(number, offsets, [records[row] for row in rows])
            elif self._marks[tp.topic] is Mark.DEAD_LETTER:
                self._answers.add_dead_letters(number, offsets)

    def _place(self, tp: TopicPartition, number: int, records: list[Any]) -> None:
        """Where subjects' records lie: scores by their input's partition, events by their own, which their key gives."""
        if tp.topic not in self._by_subject:
            self._placement.add(number, [record.key for record in records])
            return
        self._placement.add(tp.partition, [record.key for record in records])
        for record in records:
            if place(record.key or b"", self._partitions[tp.topic]) != tp.partition:
                where = f"{tp.topic}-{tp.partition}@{record.offset}"
                self._loose.note("inconsistent", 1, f"{where}: its key belongs on another partition")

    def _enter(self, tp: TopicPartition, number: int, offsets: Any, flags: Mask | None) -> None:
        mark, ledger = self._marks[tp.topic], self._ledgers[number]
        self._first_sources.setdefault((tp, number), int(offsets[0]))
        by_subject = tp.topic in self._by_subject
        if not by_subject and number % self._partitions[tp.topic] != tp.partition:
            ledger.misplaced(mark, offsets)
        ledger.add_outputs(mark, offsets, flags, tp.partition if by_subject else 0)

    def _flags(self, mark: Mark, records: list[Any], positions: Any) -> Mask | None:
        """Which records are marked as alerts, where the pipeline and the record type have alerts. positions: int64[n, 2]."""
        if self._pipeline.every_decision:
            return self._take_outcomes(mark, records, positions) if mark in (Mark.SCORE, Mark.DECISION) else None
        if not self._pipeline.judged:
            return None
        if mark is Mark.SCORE:
            return self._flags_of_scores(records, positions)
        if mark is Mark.DECISION:
            return self._flags_of_decisions(records, positions)
        if mark is Mark.ALERT:
            self._take_said(mark, [self._decoded(_decode_said, record) for record in records], positions)
        return None

    def _take_outcomes(self, mark: Mark, records: list[Any], positions: Any) -> Mask | None:
        """What was decided about applications: the decision is judged, and its score has to say the same.

        Returns, of scores, which are not approved.
        """
        decode = _decode_outcome if mark is Mark.SCORE else _decode_outcome_by
        decoded = [self._decoded(decode, record) for record in records]
        self._add_said(mark, [0 if one is None else mark_of_outcome(one) for one in decoded], positions)
        if mark is Mark.SCORE:
            return np.array([one is not None and one.outcome != "approve" for one in decoded], np.bool_)
        for (number, offset), decision in zip(positions.tolist(), decoded, strict=True):
            if decision is not None:
                self._outcomes.add(f"{self._input}-{number}@{offset}", decision)
        return None

    def _take_said(self, mark: Mark, decoded: list[Any], positions: Any) -> None:
        """What outputs say of a policy. positions: int64[n, 2]."""
        if mark is Mark.SCORE and not any(one is not None and one.policy for one in decoded):
            return
        self._add_said(mark, [0 if one is None else mark_of(one) for one in decoded], positions)

    def _add_said(self, mark: Mark, marks: Sequence[int], positions: Any) -> None:
        """Numbers of what outputs say, into the ledgers of their inputs. positions: int64[n, 2]."""
        said = np.array(marks, np.uint32)
        for number in np.unique(positions[:, 0]).tolist():
            chosen = positions[:, 0] == number
            self._ledgers[number].add_said(mark, positions[chosen, 1], said[chosen])

    def _flags_of_scores(self, records: list[Any], positions: Any) -> Mask:
        decoded = [self._decoded(_decode_judged, record) for record in records]
        for number in np.unique(positions[:, 0]).tolist():
            found = [row for row in np.flatnonzero(positions[:, 0] == number).tolist() if decoded[row]]
            rows = [row for row in found if decoded[row].policy is None]
            scores = [decoded[row] for row in rows]
            of_policies = [row for row in found if decoded[row].policy is not None]
            name, offsets = f"{self._input}-{number}", [int(positions[row, 1]) for row in of_policies]
            self._actions.add_scores(name, offsets, [decoded[row] for row in of_policies])
            self._rule.add_scores(
                f"{self._input}-{number}",
                [int(positions[row, 1]) for row in rows],
                [score.model for score in scores],
                [(score.probability, score.anomaly_percentile) for score in scores],
                [score.alert for score in scores],
            )
        self._take_said(Mark.SCORE, decoded, positions)
        return np.fromiter((score is not None and score.alert for score in decoded), np.bool_, len(decoded))

    def _flags_of_decisions(self, records: list[Any], positions: Any) -> Mask:
        because_of_alert = np.zeros(len(records), np.bool_)
        decoded = [self._decoded(_decode_decided, record) for record in records]
        self._take_said(Mark.DECISION, decoded, positions)
        for row, (record, decision) in enumerate(zip(records, decoded, strict=True)):
            if decision is not None:
                because_of_alert[row] = decision.recorded_because == "alert"
                thresholds = decision.probability_threshold, decision.anomaly_percentile_threshold
                if decision.policy is not None:
                    self._actions.add_thresholds(decision.model, decision.policy, thresholds)
                    continue
                self._rule.add_thresholds(
                    decision.model, thresholds, f"{record.topic}-{record.partition}@{record.offset}"
                )
        return because_of_alert

    def _take_metrics(self, records: list[Any], partitions: list[int]) -> None:
        for record, number in zip(records, partitions, strict=True):
            metric = self._decoded(_decode_metric, record)
            if metric is not None:
                self._ledgers[number].add_metric(getattr(metric, name) for name in METRIC_FIELDS)

    def _decoded(self, decode: Any, record: Any) -> Any:
        """The output's fields; None, and counted, where it does not fit its schema."""
        try:
            return decode(record.value or b"")
        except codec.RejectedError as error:
            self._loose.note("inconsistent", 1, f"{record.topic}-{record.partition}@{record.offset}: {error}")
            return None

    def _source(self, record: Any) -> tuple[int, int] | None:
        """Input partition and offset; None where the output is of another input or log, or (counted) of no one knows which."""
        headers = dict(record.headers)
        partition = offset = -1
        if SOURCE_TOPIC_HEADER in headers and headers[SOURCE_TOPIC_HEADER] != self._input.encode():
            return None
        try:
            partition, offset = int(headers[SOURCE_PARTITION_HEADER]), int(headers[SOURCE_OFFSET_HEADER])
        except (KeyError, ValueError):
            partition = -1
        if record.offset < self._begins.get(partition, NO_BEGINS).get(record.topic, 0):
            self._loose.former += 1
            return None
        if partition not in self._ledgers or offset < 0:
            self._loose.note(
                "inconsistent", 1, f"{record.topic}-{record.partition}@{record.offset}: its headers name no input"
            )
            return None
        return partition, offset


async def output_partitions(
    kafka: KafkaSettings, topics: TopicSettings, pipeline: Pipeline = PAYMENTS
) -> list[TopicPartition]:
    """Every partition that is verified but the input's, for a `Witness`."""
    states = await describe_topics(kafka, topics, pipeline.outputs)
    return [TopicPartition(state.name, number) for state in states for number in range(state.partitions)]
