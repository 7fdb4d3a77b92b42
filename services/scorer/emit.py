"""Stage 5: outcomes to output records. Every record carries its source's position and timestamp in headers."""

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiokafka import TopicPartition

from models.features.columns import NO_VALUE
from models.features.terminal_days import DaySums
from schemas import codec
from schemas.alert import Alert, Reason
from schemas.decision import ChallengerScore, Decision, RecordedBecause, ShadowRuling
from schemas.score import OF_POLICIES, Score
from schemas.source_spec import SourceSpec
from schemas.terminal import SUMS_MAX, TerminalSums
from schemas.topics import (
    ALERTS,
    CONTROL_ANSWERS,
    DECISIONS,
    MODEL_REFERENCES,
    SCORES,
    SCORING_METRICS,
    TERMINAL_SUMS,
    position_headers,
)
from services.engine.batches import Headers, Record, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, headers_of
from services.engine.written_sums import CountedModel, SumTopics, WrittenSums
from services.kafka.batch_writer import ROWS_MIN, NumberedHeaders
from services.privacy.sealed_attributes import SealedFor
from services.privacy.sealed_decisions import sealed
from services.privacy.subject_keys import SubjectKey, SubjectKeys
from services.scorer.alert_attributes import AlertAttributes
from services.scorer.answers import AnswerWriter, refusals, requests
from services.scorer.decide import recorded
from services.scorer.ruling import Ruled
from services.scorer.score_texts import ScoreColumns
from services.scorer.scored import ChallengerScores, Scored, Shares
from services.swapping.answers import Answers

WHO = f"scorer {socket.gethostname()}:{os.getpid()}"[:200]
"""Who writes an acknowledgement."""

NO_COUNTERPARTY = "-"
"""In an alert, of an event that has none."""


class Emitter:
    """Encodes the outputs of one partition."""

    def __init__(
        self,
        prefix: str,
        shares: Shares,
        dead_letters: DeadLetterWriter,
        subjects: SubjectKeys | None = None,
        source: SourceSpec | None = None,
        lists_persons: str | None = None,
    ) -> None:
        """subjects: seals decisions; without, they are plain. source: whose attributes people are shown.

        lists_persons: by whose signatures entries of lists count, where any have to sign.
        """
        self._lists_persons = lists_persons
        self._shown, self._origins = AlertAttributes(source), dead_letters.origins
        self._prefix, self._subjects = prefix, subjects
        self._answers = AnswerWriter(prefix, dead_letters.origins)
        self._shares = shares
        self._dead_letters = dead_letters
        self._score = codec.record_type(Score, without=OF_POLICIES)
        self._ruled_score = codec.record_type(Score, OF_POLICIES)
        self._alert: type[Alert] = codec.record_type(
            Alert, OF_POLICIES | {"rule_words", "attributes", "reasons_left_out"}
        )
        left_out = OF_POLICIES | {"policy_digest", "shadow_policy", "reasons_left_out", "amount"}
        self._decision: type[Decision] = codec.record_type(Decision, left_out)
        self._sums: type[TerminalSums] = codec.record_type(TerminalSums)

    @property
    def control_share(self) -> float:
        """Share of the alerts that are let through."""
        return self._shares.control

    async def judged(self, batch: Scored, decided_at_ms: int) -> list[Write]:
        """Scores, alerts and decisions of a batch. Raises SubjectKeysError where decisions cannot be sealed."""
        headers = self._headers(batch)
        if batch.routed:
            headers = [
                [*own, *self._origins.headers(record)] for own, record in zip(headers, batch.records, strict=True)
            ]
        subjects = batch.events.subjects
        records, keys, values = self._scores(batch)
        scores = Write(self._prefix + SCORES.name, keys, values, headers)
        alerts, decisions = Write(self._prefix + ALERTS.name), Write(self._prefix + DECISIONS.name)
        recorded = self._recorded(batch)
        sealing: Mapping[str, SubjectKey] = {}
        if self._subjects is not None:  # every alert is among the recorded
            sealing = await self._subjects.of(subjects[row] for row, _ in recorded)
        for row in np.flatnonzero(batch.outcomes.alert).tolist():
            value = codec.encode(self._alert_of(batch, row, records[row], sealing))
            alerts.append(keys[row], value, headers[row])
        for row, because in recorded:
            decision = self._decision_of(batch, row, records[row], because, decided_at_ms, sealing)
            decisions.append(decision.card_id.encode(), codec.encode(decision), headers[row])
        if asked := requests(batch.records):
            return [scores, alerts, decisions, self._answers.decided(asked, batch, records, headers)]
        return [scores, alerts, decisions]

    def _headers(self, batch: Scored) -> Sequence[Headers]:
        first, offsets = batch.records[0], [record.offset for record in batch.records]
        known = batch.profiles_offset, batch.lists_offset, self._lists_persons
        if len(offsets) < ROWS_MIN:
            return position_headers(first.topic, first.partition, offsets, batch.timestamps_ms.tolist(), *known)
        own = position_headers(first.topic, first.partition, [0], [0], *known)[0]
        topic, partition, (offset, _), (stamp, _), *behind = own
        numbers = np.array(offsets, np.int64), batch.timestamps_ms
        return NumberedHeaders((topic, partition), (offset, stamp), *numbers, tuple(behind))

    def _scores(self, batch: Scored) -> tuple[Sequence[Score], Sequence[bytes | None], Sequence[bytes | None]]:
        """Of each row; and the keys and values of their records. The inputs' own keys may be anything."""
        columns = ScoreColumns(
            kind=self._score if batch.ruled is None else self._ruled_score,
            model=batch.identity.model,
            ids=batch.events.ids,
            words=batch.events.words("id"),
            time_ms=batch.event_time_ms,
            subjects=batch.events.subjects,
            subject_words=batch.subjects.words,
            scores=batch.scores,
            alert=batch.outcomes.alert,
            late=batch.late,
            let_through=batch.outcomes.let_through,
            of_policy={} if batch.ruled is None else batch.ruled.columns(batch.thresholds),
        )
        written = columns.written()
        if written is not None:
            return columns, written.keys, written.values
        records = columns.all()
        return records, [record.card_id.encode() for record in records], list(map(codec.encode, records))

    def _recorded(self, batch: Scored) -> list[tuple[int, RecordedBecause]]:
        """Places of the decisions to record, and why."""
        alert = batch.outcomes.alert
        rows = recorded(alert, batch.events.ids, self._shares.decisions, batch.events.words("id"))
        return [(row, "alert" if alert[row] else "sample") for row in rows]

    def faults(self, faults: Sequence[Fault]) -> list[Write]:
        """Dead letters, in the order of the faults, and answers to those who wait for one."""
        return refusals(self._prefix, self._dead_letters, self._answers, faults)

    def closed_days(self, source: Record, closed: Sequence[DaySums]) -> Write:
        """Payments of each terminal on days that are over, under the position of the input that ended them."""
        write = Write(self._prefix + TERMINAL_SUMS.name)
        headers = headers_of(source, self._origins)
        for sums in closed:
            payments = {terminal: count for terminal, count in sums.payments.items() if terminal != NO_VALUE}
            terminals, counts = tuple(payments), tuple(payments.values())
            for start in range(0, len(terminals), SUMS_MAX):
                part, number = terminals[start : start + SUMS_MAX], counts[start : start + SUMS_MAX]
                record = self._sums(day=sums.day, terminal_ids=part, payments=number, frauds=(0,) * len(part))
                write.append(None, codec.encode(record), headers)
        return write

    def sums(self, source: TopicPartition, model: CountedModel) -> WrittenSums:
        """What counts a partition's batches, and says which sums are written with them."""
        topics = SumTopics(self._prefix, SCORING_METRICS, MODEL_REFERENCES)
        return WrittenSums(source, topics, model, self._origins)

    def acknowledging(self, partition: int) -> Answers:
        """What acknowledges commands for a partition."""
        return Answers(self._prefix + CONTROL_ANSWERS.name, WHO, partition)

    def _alert_of(self, batch: Scored, row: int, score: Score, subjects: Mapping[str, SubjectKey]) -> Alert:
        events, triggers = batch.events, batch.outcomes.triggers(row)
        sealing = None
        if self._subjects is not None:
            sealing = SealedFor(subjects[score.card_id], self._subjects.master_id, score.transaction_id)
        return self._alert(
            **_fields(score),
            terminal_id=events.counterparties[row] or NO_COUNTERPARTY,
            amount=float(batch.amount[row]),
            currency=events.currencies[row],
            triggers=triggers,
            reasons=_records(batch.reasons.get(row, ())),
            reasons_left_out=True if row in batch.without_reasons else codec.LEFT_OUT,
            attributes=self._shown.of(events, row, sealing) or codec.LEFT_OUT,
            rule_words=codec.LEFT_OUT if batch.ruled is None else batch.ruled.words(row) or codec.LEFT_OUT,
        )

    def _decision_of(
        self,
        batch: Scored,
        row: int,
        score: Score,
        because: RecordedBecause,
        decided_at_ms: int,
        subjects: Mapping[str, SubjectKey],
    ) -> Decision:
        record, thresholds = batch.records[row], batch.thresholds
        fields = dict(
            **_fields(score),
            decision_id=f"{record.topic}-{record.partition}-{record.offset}",
            decided_at_ms=decided_at_ms,
            bundle_digest=batch.identity.bundle_digest,
            features=tuple(batch.features[row].tolist()),
            probability_threshold=thresholds.probability,
            anomaly_percentile_threshold=thresholds.anomaly_percentile,
            outcome="alert" if score.alert else "pass",
            recorded_because=because,
            reasons=_records(batch.reasons.get(row, ())),
            reasons_left_out=True if row in batch.without_reasons else codec.LEFT_OUT,
            sample_share=self._shares.decisions,
            control_share=self._shares.control,
            challenger=_challenger_score(batch.challenger, row),
            shadow_policy=codec.LEFT_OUT if batch.shadow is None else _shadow_ruling(batch.shadow, row),
            policy_digest=codec.LEFT_OUT if batch.ruled is None else batch.ruled.program.digest,
            amount=float(batch.amount[row]) if self._subjects is None else codec.LEFT_OUT,
        )
        if self._subjects is not None:
            fields = sealed(fields, subjects[score.card_id], self._subjects.master_id)
        return self._decision(**fields)


def _challenger_score(challenger: ChallengerScores | None, row: int) -> ChallengerScore | None:
    if challenger is None:
        return None
    make: type[ChallengerScore] = codec.record_type(ChallengerScore)
    return make(
        model=challenger.model,
        probability=float(challenger.scores.probability[row]),
        anomaly_percentile=float(challenger.scores.anomaly_percentile[row]),
        alert=bool(challenger.alert[row]),
    )


def _shadow_ruling(shadow: Ruled, row: int) -> ShadowRuling:
    make: type[ShadowRuling] = codec.record_type(ShadowRuling)
    rules = shadow.ruling.rules.get(row, ())
    return make(policy=shadow.program.name, action=shadow.said[row], rules=rules, alert=bool(shadow.alert[row]))


def _fields(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name, codec.LEFT_OUT) for name in Score.model_fields}


def _records(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    return tuple(codec.record_of(reason) for reason in reasons)
