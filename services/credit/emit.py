"""Outcomes to output records. Every record carries its source's position and timestamp in headers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.scoring.scores import Scores
from schemas import codec
from schemas.alert import Reason
from schemas.credit import CreditDecision, CreditOutcome, CreditScore
from schemas.manifest import Thresholds
from schemas.topics import CREDIT_DECISIONS, CREDIT_SCORES, position_headers
from services.credit.admit import Admitted
from services.engine.batches import Write


@dataclass(frozen=True, slots=True)
class Identity:
    """What decided: written on records."""

    model: str
    bundle_digest: str
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Judged:
    """Scored applications with outcomes, in parallel. reasons: by row, of those that have some."""

    admitted: Admitted
    scores: Scores
    outcomes: Sequence[CreditOutcome]
    reasons: dict[int, tuple[Reason, ...]]


class Emitter:
    """Encodes scores and decisions of one partition."""

    def __init__(self, prefix: str, identity: Identity) -> None:
        self._prefix, self._identity = prefix, identity
        self._score = codec.record_type(CreditScore)
        self._decision = codec.record_type(CreditDecision)

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

    def _fields(self, judged: Judged) -> list[dict[str, Any]]:
        """What score and decision share."""
        columns = [column.tolist() for column in judged.scores]
        rows = zip(judged.admitted.applications, *columns, judged.outcomes, strict=True)
        return [
            {
                "application_id": application.application_id,
                "event_time_ms": application.event_time_ms,
                "applicant_id": application.applicant_id,
                "probability": probability,
                "reconstruction_error": error,
                "anomaly_percentile": percentile,
                "outcome": outcome,
                "model": self._identity.model,
            }
            for application, probability, error, percentile, outcome in rows
        ]

    def _record(self, judged: Judged, row: int, decided_at_ms: int) -> dict[str, Any]:
        """What the decision adds."""
        source, thresholds = judged.admitted.records[row], self._identity.thresholds
        return {
            "decision_id": f"{source.topic}-{source.partition}-{source.offset}",
            "decided_at_ms": decided_at_ms,
            "bundle_digest": self._identity.bundle_digest,
            "features": tuple(judged.admitted.features[row].tolist()),
            "probability_threshold": thresholds.probability,
            "anomaly_percentile_threshold": thresholds.anomaly_percentile,
            "reasons": tuple(codec.record_of(reason) for reason in judged.reasons.get(row, ())),
        }
