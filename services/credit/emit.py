"""Outcomes to output records. Every record carries its source's position and timestamp in headers."""

import os
import socket
from dataclasses import dataclass
from typing import Any

from models.scoring.scores import Scores
from schemas import codec
from schemas.alert import Reason
from schemas.credit import (
    ADVERSE_ACTIONS_MAX,
    OF_CREDIT_POLICIES,
    ChallengerOutcome,
    CreditDecision,
    CreditScore,
    ShadowOutcome,
)
from schemas.topics import CREDIT_CONTROL_ANSWERS, CREDIT_DECISIONS, CREDIT_SCORES, position_headers
from services.credit.admit import Admitted
from services.credit.ruling import Decided
from services.engine.batches import Write
from services.swapping.answers import Answers
from services.swapping.live import Model

WHO = f"credit {socket.gethostname()}:{os.getpid()}"[:200]
"""Who writes an acknowledgement."""

OF_DECISIONS = OF_CREDIT_POLICIES | {"adverse_actions", "policy_digest", "shadow_policy", "challenger"}


@dataclass(frozen=True, slots=True)
class Challenged:
    """What the challenger says of applications, in parallel, without effect."""

    model: str
    scores: Scores
    decided: Decided


@dataclass(frozen=True, slots=True)
class Judged:
    """Scored applications with outcomes, in parallel. reasons: by row, of those that have some. model: what scored.

    shadow, challenged: without effect.
    """

    admitted: Admitted
    scores: Scores
    decided: Decided
    reasons: dict[int, tuple[Reason, ...]]
    model: Model
    shadow: Decided | None = None
    challenged: Challenged | None = None


class Emitter:
    """Encodes scores and decisions of one partition."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._score = codec.record_type(CreditScore, OF_CREDIT_POLICIES)
        self._decision = codec.record_type(CreditDecision, OF_DECISIONS)
        self._shadow = codec.record_type(ShadowOutcome)
        self._challenger = codec.record_type(ChallengerOutcome)

    def writes(self, judged: Judged, decided_at_ms: int) -> list[Write]:
        """A score and a decision of each application."""
        records = judged.admitted.records
        first, offsets = records[0], [record.offset for record in records]
        headers = position_headers(first.topic, first.partition, offsets, [record.timestamp for record in records])
        keys: list[bytes | None] = [a.applicant_id.encode() for a in judged.admitted.applications]
        fields = self._fields(judged)
        scores: list[bytes | None] = [codec.encode(self._score(**common)) for common in fields]
        decisions: list[bytes | None] = [
            codec.encode(self._decision(**common, **self._record(judged, row, decided_at_ms)))
            for row, common in enumerate(fields)
        ]
        return [
            Write(self._prefix + CREDIT_SCORES.name, keys, scores, headers),
            Write(self._prefix + CREDIT_DECISIONS.name, keys, decisions, headers),
        ]

    def acknowledging(self, partition: int) -> Answers:
        """What acknowledges commands for a partition."""
        return Answers(self._prefix + CREDIT_CONTROL_ANSWERS.name, WHO, partition)

    def _fields(self, judged: Judged) -> list[dict[str, Any]]:
        """What score and decision share."""
        columns = [column.tolist() for column in judged.scores]
        decided = judged.decided
        rows = zip(judged.admitted.applications, *columns, decided.outcomes, strict=True)
        policy = codec.LEFT_OUT if decided.program is None else decided.program.name
        return [
            {
                "application_id": application.application_id,
                "event_time_ms": application.event_time_ms,
                "applicant_id": application.applicant_id,
                "probability": probability,
                "reconstruction_error": error,
                "anomaly_percentile": percentile,
                "outcome": outcome,
                "model": judged.model.identity.model,
                "policy": policy,
                "rules": decided.rules.get(row, codec.LEFT_OUT),
                "shadow_rules": decided.shadow_rules.get(row, codec.LEFT_OUT),
                "unread_attributes": decided.unread.get(row, codec.LEFT_OUT),
            }
            for row, (application, probability, error, percentile, outcome) in enumerate(rows)
        ]

    def _record(self, judged: Judged, row: int, decided_at_ms: int) -> dict[str, Any]:
        """What the decision adds."""
        source, decided = judged.admitted.records[row], judged.decided
        adverse = decided.adverse.get(row, ())
        reasons = judged.reasons.get(row, ())[: ADVERSE_ACTIONS_MAX - len(adverse)]
        return {
            "decision_id": f"{source.topic}-{source.partition}-{source.offset}",
            "decided_at_ms": decided_at_ms,
            "bundle_digest": judged.model.identity.bundle_digest,
            "features": tuple(judged.admitted.features[row].tolist()),
            "probability_threshold": decided.thresholds.probability,
            "anomaly_percentile_threshold": decided.thresholds.anomaly_percentile,
            "reasons": tuple(codec.record_of(reason) for reason in reasons),
            "adverse_actions": adverse or codec.LEFT_OUT,
            "policy_digest": codec.LEFT_OUT if decided.program is None else decided.program.digest,
            "shadow_policy": codec.LEFT_OUT if judged.shadow is None else self._shadow_of(judged.shadow, row),
            "challenger": codec.LEFT_OUT if judged.challenged is None else self._challenger_of(judged.challenged, row),
        }

    def _shadow_of(self, shadow: Decided, row: int) -> Any:
        assert shadow.program is not None
        return self._shadow(policy=shadow.program.name, outcome=shadow.outcomes[row], rules=shadow.rules.get(row, ()))

    def _challenger_of(self, challenged: Challenged, row: int) -> Any:
        return self._challenger(
            model=challenged.model,
            probability=float(challenged.scores.probability[row]),
            anomaly_percentile=float(challenged.scores.anomaly_percentile[row]),
            outcome=challenged.decided.outcomes[row],
        )
