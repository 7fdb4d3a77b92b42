"""The credit service's part of one partition: admit, score, decide, give reasons, emit. Its state is the ids seen."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from models.features.attributes import AttributeMapping
from models.features.capture import Arrays, Capture
from models.policy.program import Program
from models.scoring.adverse_action import adverse_reasons
from models.scoring.session import ModelSession
from schemas.control import Channel
from schemas.topics import DEAD_LETTERS
from services.clock import monotonic_s, wall_ms
from services.credit.admit import Admission, Admitted
from services.credit.emit import Emitter, Identity, Judged
from services.credit.policies import Policies
from services.credit.ruling import decide
from services.engine.batches import Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.duplicates import DuplicateWindow, WindowLimits
from services.engine.faults import Fault, TimeLimits, count_faults
from services.engine.placement import Subjects
from services.observability.metrics import Metrics
from services.observability.policy_metrics import count_rule_hits
from services.policy_commands import Acknowledgement
from services.settings.processing import RuntimeSettings

T = TypeVar("T")

STATE_VERSION = 2


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded bundle, shared by the partitions of a process. executor: where it runs, outside the event loop's thread."""

    session: ModelSession
    executor: Executor

    @property
    def identity(self) -> Identity:
        """As decisions carry it."""
        bundle = self.session.bundle
        return Identity(self.session.model_name, bundle.digest, bundle.manifest.thresholds)


class CreditProcessor:
    """One partition of `applications`."""

    def __init__(
        self,
        partition: int,
        prefix: str,
        model: Model,
        runtime: RuntimeSettings,
        letters: DeadLetterWriter,
        metrics: Metrics,
        policies: Policies | None = None,
    ) -> None:
        """policies: what decides behind the scores; without, the bundle's thresholds alone do."""
        self._policies = policies or Policies(metrics)
        self._partition, self._answered = partition, dict[Channel, Acknowledgement]()
        self._next_offset: int | None = None
        self._prefix, self._model, self._runtime = prefix, model, runtime
        self._letters, self._metrics, self._label = letters, metrics, str(partition)
        self._emitter = Emitter(prefix, model.identity)
        self._spec = model.session.bundle.manifest.feature_spec
        self._mapping = AttributeMapping(self._spec)
        self._times = TimeLimits(runtime.event_ahead_ms_max, runtime.event_time_ms_min)
        self._window = WindowLimits.of(runtime)
        # the mapping decides what is refused, and so which ids are remembered
        self.state_key = (
            f"credit-{STATE_VERSION}:{self._spec.digest()}:{self._window.key}"
            f":{runtime.message_bytes_max}:{self._times.ahead_ms_max}:{self._times.floor_ms}"
        )
        self._remember(DuplicateWindow(self._window))

    def _remember(self, duplicates: DuplicateWindow) -> None:
        self._duplicates = duplicates
        self._admission = Admission(self._mapping, duplicates, self._runtime.message_bytes_max, self._times)

    def snapshot(self) -> Capture:
        """The ids seen."""
        return self._duplicates.capture()

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""
        duplicates = DuplicateWindow(self._window)
        duplicates.load(arrays)
        self._remember(duplicates)

    def absorb(self, records: Sequence[Record]) -> None:
        """Remember the ids exactly as `process` does, without output."""
        self._admission.admit(records)

    async def process(self, records: Sequence[Record]) -> Result:
        """Judge applications, by one policy."""
        deciding, shadow, answers = self._policies.deciding, self._policies.shadow, dict(self._policies.answers)
        admitted = self._admission.admit(records)
        writes: list[Write] = []
        judged: Judged | None = None
        if admitted.records:
            judged = await self._judge(admitted, deciding, shadow)
            writes += self._emitter.writes(judged, wall_ms())
        if admitted.faults:
            writes.append(self._letters.write(self._prefix + DEAD_LETTERS.name, admitted.faults))
        writes += self._due_answers(answers, records[0].offset)
        self._next_offset = records[-1].offset + 1
        subjects = Subjects.of([a.applicant_id for a in admitted.applications]) if admitted.records else None
        return Result(writes, len(records), len(admitted.faults), admitted.faults, subjects=subjects, judged=judged)

    def flush(self, *, force: bool = False) -> Result | None:
        """The acknowledgements that are due although no application came."""
        writes = self._due_answers(self._policies.answers, self._next_offset)
        return Result(writes, 0, 0) if writes else None

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        return self._letters.refusal(self._prefix + DEAD_LETTERS.name, fault)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        metrics, label = self._metrics, self._label
        metrics.records.labels(label).inc(result.records)
        metrics.batch.observe(float(result.records))
        count_faults(metrics, result.faults)
        judged: Judged | None = result.judged
        if judged is None:
            return
        metrics.scores.labels(label).inc(len(judged.decided.outcomes))
        for outcome, count in Counter(judged.decided.outcomes).items():
            metrics.credit_outcomes.labels(label, outcome).inc(count)
        for record in judged.admitted.records:
            metrics.latency.observe((wall_ms() - record.timestamp) / 1000)
        self._count_rules(judged)

    def _count_rules(self, judged: Judged) -> None:
        decided, risk = judged.decided, self._metrics.risk
        if judged.shadow is not None:
            pairs = zip(decided.outcomes, judged.shadow.outcomes, strict=True)
            risk.shadow_changes.inc(sum(one != other for one, other in pairs))
        count_rule_hits(risk, decided.rules, decided.shadow_rules)

    def _due_answers(self, answers: Mapping[Channel, Acknowledgement], from_offset: int | None) -> list[Write]:
        """Acknowledgements that this partition has not written yet, in the transaction from which on they hold."""
        writes: list[Write] = []
        for channel, answer in answers.items():
            if answer is not self._answered.get(channel):
                self._answered[channel] = answer
                writes.append(self._emitter.answer(answer, self._partition, from_offset, wall_ms()))
        return writes

    async def _judge(self, admitted: Admitted, deciding: Program | None, shadow: Program | None) -> Judged:
        session, features, started_s = self._model.session, admitted.features, monotonic_s()
        scores = await self._in_executor(session.run, features)
        self._metrics.stage.observe(monotonic_s() - started_s, "model")
        bounds, applications = session.bundle.manifest.thresholds, admitted.applications
        decided, beside = decide(deciding, applications, features, scores, bounds), None
        if shadow is not None:
            try:
                beside = decide(shadow, applications, features, scores, bounds)
            except Exception as error:  # whatever it is, it affects nothing else
                self._policies.drop_shadow(shadow, error)
        rows, triggers = list(decided.triggers), list(decided.triggers.values())
        started_s = monotonic_s()
        reasons = await self._in_executor(adverse_reasons, session, features[rows], triggers) if rows else []
        self._metrics.stage.observe(monotonic_s() - started_s, "reasons")
        return Judged(admitted, scores, decided, dict(zip(rows, reasons, strict=True)), beside)

    async def _in_executor(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._model.executor, function, *arguments)
