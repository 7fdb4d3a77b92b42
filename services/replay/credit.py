"""The applications judged again from the log, and every score, outcome and rule compared with what was emitted."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.features.attributes import AttributeMapping
from models.scoring.session import ModelSession
from schemas import codec
from schemas.credit import CreditScore
from services.credit.admit import Admission, Admitted
from services.credit.ruling import decide
from services.engine.duplicates import DuplicateWindow, WindowLimits
from services.engine.faults import TimeLimits
from services.replay.compare import EXAMPLES_MAX, Comparison
from services.replay.log import Log
from services.replay.replay import Period, Programs, Replayed, no_program
from services.settings.processing import RuntimeSettings
from services.verification.read import Progress, Span

BATCH_ROWS = 2_000

_decode_score = codec.decoder(CreditScore)


class _Said(NamedTuple):
    """What is compared of one score. bits: of its three values."""

    bits: bytes
    outcome: str
    policy: str | None
    rules: tuple[str, ...]
    shadow_rules: tuple[str, ...]
    unread: tuple[str, ...]


async def replay_credit(
    log: Log,
    session: ModelSession,
    runtime: RuntimeSettings,
    period: Period,
    progress: Progress | None = None,
    programs: Programs = no_program,
) -> Replayed:
    """Judge every application that the group has committed, and compare the scores of the period. Raises AssayError.

    programs: the policy of a name that scores have.
    """
    spans, comparison = await log.spans(), Comparison()
    emitted = await _emitted(log, session.model_name, progress, comparison)
    mapping, limits = AttributeMapping(session.bundle.manifest.feature_spec), WindowLimits.of(runtime)
    times = TimeLimits(runtime.event_ahead_ms_max, runtime.event_time_ms_min)
    admissions = {
        partition: Admission(mapping, DuplicateWindow(limits), runtime.message_bytes_max, times)
        for partition in spans.by_partition
    }
    judge = _Judge(session, programs, comparison, emitted, spans.topic)
    async for partition, records in log.inputs(progress):
        for start in range(0, len(records), BATCH_ROWS):
            part = records[start : start + BATCH_ROWS]
            judge.compare(partition, admissions[partition].admit(part), period)
            for record, wanted in zip(part, period.holds(part).tolist(), strict=True):
                if not wanted:
                    emitted.pop((partition, record.offset), None)
    judge.finish(spans.by_partition)
    return Replayed(comparison, spans.truncated_partitions)


async def _emitted(
    log: Log, model: str, progress: Progress | None, comparison: Comparison
) -> dict[tuple[int, int], _Said]:
    """What was said of each input, by partition and offset; of another bundle or provider it is only counted."""
    found: dict[tuple[int, int], _Said] = {}
    async for emitted in log.scores(progress):
        for one in emitted:
            score = _decode_score(one.value)
            if score.model != model:
                comparison.other_model += 1
            found[one.source_partition, one.source_offset] = _said(score, score.model == model)
    return found


class _Judge:
    """Judges admitted applications by the policies that their scores name."""

    def __init__(
        self,
        session: ModelSession,
        programs: Programs,
        comparison: Comparison,
        emitted: dict[tuple[int, int], _Said],
        source: str,
    ) -> None:
        self._session, self._programs, self._comparison = session, programs, comparison
        self._emitted, self._source = emitted, source

    def compare(self, partition: int, admitted: Admitted, period: Period) -> None:
        """Judge them, and compare those of the period."""
        if not admitted.records:
            return
        wanted = period.holds(admitted.records).tolist()
        by_policy: dict[str | None, list[int]] = {}
        for row, record in enumerate(admitted.records):
            if not wanted[row]:
                continue
            said = self._emitted.get((partition, record.offset))
            if said is None:
                self._comparison.not_emitted += 1
                self._note(partition, record.offset, "was never emitted")
            elif said.bits:
                by_policy.setdefault(said.policy, []).append(row)
            else:
                del self._emitted[partition, record.offset]
        for name, rows in by_policy.items():
            program = None if name is None else self._programs(name)
            offsets = [admitted.records[row].offset for row in rows]
            if name is not None and program is None:
                self._comparison.other_policy += len(rows)
                for offset in offsets:
                    del self._emitted[partition, offset]
                continue
            features, applications = admitted.features[rows], [admitted.applications[row] for row in rows]
            scores, bounds = self._session.run(features), self._session.bundle.manifest.thresholds
            decided = decide(program, applications, features, scores, bounds)
            bits = np.stack(scores, axis=1).astype(np.float32)
            for place, offset in enumerate(offsets):
                again = _Said(
                    bits[place].tobytes(),
                    decided.outcomes[place],
                    name,
                    decided.rules.get(place, ()),
                    decided.shadow_rules.get(place, ()),
                    decided.unread.get(place, ()),
                )
                self._comparison.compared += 1
                if again != self._emitted.pop((partition, offset)):
                    self._comparison.differing += 1
                    self._note(partition, offset, "differs")

    def finish(self, spans: Mapping[int, Span]) -> None:
        """Count what was emitted of these inputs and not judged again."""
        for (partition, offset), said in self._emitted.items():
            span = spans.get(partition)
            if said.bits and span is not None and span.begin <= offset < span.end:
                self._comparison.not_replayed += 1
                self._note(partition, offset, "was not replayed")

    def _note(self, partition: int, offset: int, what: str) -> None:
        if len(self._comparison.examples) < EXAMPLES_MAX:
            self._comparison.examples.append(f"{self._source}-{partition}@{offset} {what}")


def _said(score: CreditScore, ours: bool) -> _Said:
    """bits: empty where it is of another bundle or provider."""
    values: Sequence[Any] = (score.probability, score.reconstruction_error, score.anomaly_percentile)
    return _Said(
        np.array(values, np.float32).tobytes() if ours else b"",
        score.outcome,
        score.policy,
        tuple(score.rules),
        tuple(score.shadow_rules),
        tuple(score.unread_attributes),
    )
