"""Stage 5: outcomes to output records. Every record carries its source's position in headers and its timestamp."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.scoring.session import Scores
from schemas import codec
from schemas.alert import Alert, Reason
from schemas.decision import Decision, RecordedBecause
from schemas.manifest import Thresholds
from schemas.score import Score
from schemas.topics import ALERTS, DEAD_LETTERS, DECISIONS, SCORES, SCORING_METRICS, source_headers
from schemas.transaction import Transaction
from services.runtime.batches import Record, Write
from services.runtime.dead_letters import DeadLetterWriter
from services.scorer.decide import Outcomes, sampled
from services.scorer.decode import Fault

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored batch: parallel sequences, one entry a transaction."""

    records: Sequence[Record]
    transactions: Sequence[Transaction]
    features: Matrix
    late: NDArray[np.bool_]
    scores: Scores
    outcomes: Outcomes
    reasons: dict[int, tuple[Reason, ...]]
    """By place in the batch, for alerts."""

    @property
    def timestamps_ms(self) -> NDArray[np.int64]:
        """When each input record was produced, ms since 1970 UTC."""
        return np.array([record.timestamp for record in self.records], np.int64)


@dataclass(frozen=True, slots=True)
class Identity:
    """What scored: written on records."""

    model: str
    bundle_digest: str
    thresholds: Thresholds
    every_decision: bool
    """Whether each decision is recorded (credit), not only alerts and a sample."""


class Emitter:
    """Encodes the outputs of one partition."""

    def __init__(self, prefix: str, identity: Identity, decision_share: float, dead_letters: DeadLetterWriter) -> None:
        self._prefix = prefix
        self._identity = identity
        self._decision_share = decision_share
        self._dead_letters = dead_letters
        self._score = codec.record_type(Score)
        self._alert: type[Alert] = codec.record_type(Alert)
        self._decision: type[Decision] = codec.record_type(Decision)

    def judged(self, batch: Scored, decided_at_ms: int) -> list[Write]:
        """Scores, alerts and decisions of a batch."""
        scores, alerts, decisions = (Write(self._prefix + topic.name) for topic in (SCORES, ALERTS, DECISIONS))
        identity, make, encode = self._identity, self._score, codec.encode
        rows = zip(
            batch.records,
            batch.transactions,
            batch.scores.probability.tolist(),
            batch.scores.reconstruction_error.tolist(),
            batch.scores.anomaly_percentile.tolist(),
            batch.outcomes.alert.tolist(),
            batch.late.tolist(),
            strict=True,
        )
        for place, (record, transaction, probability, error, percentile, alert, late) in enumerate(rows):
            headers = source_headers(record.topic, record.partition, record.offset)
            key = transaction.card_id.encode()  # not the input's key, which may be anything
            score = make(
                transaction_id=transaction.transaction_id,
                event_time_ms=transaction.event_time_ms,
                card_id=transaction.card_id,
                probability=probability,
                reconstruction_error=error,
                anomaly_percentile=percentile,
                alert=alert,
                model=identity.model,
                late=late,
            )
            scores.add(record, headers, encode(score), key)
            if alert:
                alerts.add(record, headers, encode(self._alert_of(batch, place, score)), key)
            because = self._because(alert, transaction.transaction_id)
            if because is not None:
                decision = self._decision_of(batch, place, score, because, decided_at_ms)
                decisions.add(record, headers, encode(decision), key)
        return [scores, alerts, decisions]

    def faults(self, faults: Sequence[Fault]) -> Write:
        """Dead letters, in the order of the faults."""
        write = Write(self._prefix + DEAD_LETTERS.name)
        for fault in faults:
            headers = source_headers(fault.record.topic, fault.record.partition, fault.record.offset)
            write.add(fault.record, headers, self._dead_letters.encode(fault.record, fault.reason, fault.detail))
        return write

    def metric(self, source: Record, value: bytes) -> Write:
        """A record of partial sums, under the position of the last input that it counts."""
        write = Write(self._prefix + SCORING_METRICS.name)
        write.add(source, source_headers(source.topic, source.partition, source.offset), value)
        return write

    def _because(self, alert: bool, transaction_id: str) -> RecordedBecause | None:
        if alert:
            return "alert"
        if self._identity.every_decision:
            return "application"
        return "sample" if sampled(transaction_id, self._decision_share) else None

    def _alert_of(self, batch: Scored, place: int, score: Score) -> Alert:
        transaction, triggers = batch.transactions[place], batch.outcomes.triggers(place)
        return self._alert(
            **_fields(score),
            terminal_id=transaction.terminal_id,
            amount=transaction.amount,
            currency=transaction.currency,
            triggers=triggers,
            reasons=_records(batch.reasons[place]),
        )

    def _decision_of(
        self, batch: Scored, place: int, score: Score, because: RecordedBecause, decided_at_ms: int
    ) -> Decision:
        record, thresholds = batch.records[place], self._identity.thresholds
        return self._decision(
            **_fields(score),
            decision_id=f"{record.topic}-{record.partition}-{record.offset}",
            decided_at_ms=decided_at_ms,
            bundle_digest=self._identity.bundle_digest,
            features=tuple(batch.features[place].tolist()),
            probability_threshold=thresholds.probability,
            anomaly_percentile_threshold=thresholds.anomaly_percentile,
            outcome="alert" if score.alert else "pass",
            recorded_because=because,
            reasons=_records(batch.reasons.get(place, ())),
        )


def _fields(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name) for name in Score.model_fields}


def _records(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    return tuple(codec.record_of(reason) for reason in reasons)
