"""The credit service's part of one partition: admit, score, decide, give reasons, emit. Its state is the ids seen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from aiokafka import TopicPartition

from models.features.attributes import AttributeMapping
from models.features.capture import Arrays, Capture
from schemas.credit import CreditOutcome
from schemas.topics import CREDIT_MODEL_REFERENCES, CREDIT_SCORING_METRICS, DEAD_LETTERS
from services.clock import wall_ms
from services.credit.admit import Admission, Admitted
from services.credit.emit import Emitter, Judged
from services.credit.judge import Judge, refused
from services.engine.batches import Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.duplicates import DuplicateWindow, WindowLimits
from services.engine.faults import Fault, TimeLimits, count_faults
from services.engine.placement import Subjects
from services.engine.written_sums import CountedModel, SumTopics, WrittenSums
from services.errors import StateOutdatedError
from services.observability.metrics import Metrics
from services.observability.policy_metrics import count_rule_hits
from services.settings.processing import RuntimeSettings
from services.swapping.live import Model, Models

STATE_VERSION = 2


class CreditProcessor:
    """One partition of `applications`."""

    def __init__(
        self,
        source: TopicPartition,
        prefix: str,
        models: Models,
        runtime: RuntimeSettings,
        letters: DeadLetterWriter,
        metrics: Metrics,
    ) -> None:
        """The state is of the champion's features; with one of other features the partition must start again."""
        model = models.champion
        self._models, self._judge = models, Judge(models, metrics)
        self._prefix, self._runtime = prefix, runtime
        self._letters, self._metrics, self._label = letters, metrics, str(source.partition)
        for outcome in get_args(CreditOutcome):
            metrics.credit_outcomes.labels(self._label, outcome)  # from zero on
        topics = SumTopics(prefix, CREDIT_SCORING_METRICS, CREDIT_MODEL_REFERENCES)
        self._sums, self._clock_ms = WrittenSums(source, topics, _counted(model)), 0
        self._emitter = Emitter(prefix)
        self._answers = self._emitter.acknowledging(source.partition)
        self._spec_digest = model.spec_digest
        self._spec = model.feature_spec
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

    def carry_on(self, carried: str) -> None:
        """Sums that a former owner committed and did not write: they are in the first result."""
        self._sums.carry_on(carried)

    def absorb(self, records: Sequence[Record]) -> None:
        """Remember the ids exactly as `process` does, without output."""
        self._admit(records)

    def _admit(self, records: Sequence[Record]) -> Admitted:
        admitted = self._admission.admit(records)
        times = (application.event_time_ms for application in admitted.applications)
        self._clock_ms = max(self._clock_ms, *times, 0)
        return admitted

    async def process(self, records: Sequence[Record]) -> Result:
        """Judge applications, by one model and one policy. Raises StateOutdatedError where other features are active."""
        champion, challenger, answers = self._models.champion, self._models.challenger, dict(self._models.answers)
        deciding, shadow = (
            active.program if active else None for active in (self._models.policy, self._models.shadow_policy)
        )
        self._check_state(champion)
        admitted = self._admit(records)
        writes: list[Write] = []
        judged: Judged | None = None
        if admitted.records:
            judged = await self._judge.judge(admitted, champion, deciding, shadow, challenger)
            if judged.model is not champion:
                answers.pop("champion", None)  # it was rolled back while it judged: nothing was scored by it
            writes += self._count(judged)
            writes += self._emitter.writes(judged, wall_ms())
        if admitted.faults:
            writes.append(self._letters.write(self._prefix + DEAD_LETTERS.name, admitted.faults))
        self._sums.count(records, wall_ms(), len(records), len(admitted.faults))
        due, carried = self._sums.due(force=False)
        writes += due + self._answers.due(answers, records[0].offset)
        subjects = Subjects.of([a.applicant_id for a in admitted.applications]) if admitted.records else None
        return Result(writes, len(records), len(admitted.faults), admitted.faults, carried, subjects, judged)

    def _count(self, judged: Judged) -> list[Write]:
        """Into the sums of this champion and challenger; those of others, which are written first."""
        beside, against = judged.challenged, refused(judged.decided)
        challenger, writes = beside.model if beside is not None else None, []
        if not self._sums.now.of(judged.model.identity.model, challenger):
            writes = self._sums.begin(_counted(judged.model), challenger)
        self._sums.now.count_scores(judged.admitted.features, judged.scores, against, self._clock_ms)
        if beside is not None:
            self._sums.now.count_challenger(beside.scores, refused(beside.decided), against)
        return writes

    def flush(self, *, force: bool = False) -> Result | None:
        """The sums and acknowledgements that are due although no application came. Raises StateOutdatedError as `process`."""
        if not force:
            self._check_state(self._models.champion)
        due, carried = self._sums.due(force=force)
        writes = due + self._answers.due(self._models.answers, self._sums.next_offset)
        return Result(writes, 0, 0, carried=carried) if writes else None

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        self._sums.count([fault.record], wall_ms(), 1, 1)
        due, carried = self._sums.due(force=False)
        refusal = self._letters.refusal(self._prefix + DEAD_LETTERS.name, fault)
        return replace(refusal, writes=[*refusal.writes, *due], carried=carried)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        metrics, label = self._metrics, self._label
        metrics.records.labels(label).inc(result.records)
        metrics.batch.observe(float(result.records))
        count_faults(metrics, result.faults)
        judged: Judged | None = result.judged
        if judged is None:
            return
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

    def _check_state(self, model: Model) -> None:
        if model.spec_digest != self._spec_digest:
            raise StateOutdatedError


def _counted(model: Model) -> CountedModel:
    """As sums count it. A reference of those approved who repaid alone would make any traffic look drifted."""
    reference, identity = model.session.bundle.reference, model.identity
    weekly, everyone = model.feature_spec.weekly, bool(reference.of_everyone)
    return CountedModel(identity.model, identity.bundle_digest, reference, weekly, compared=everyone)
