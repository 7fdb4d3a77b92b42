"""The scorer's part of one partition: the stages in order, and the state that belongs to them."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import structlog
from aiokafka import TopicPartition
from numpy.typing import NDArray

from models.features.capture import Arrays, Capture
from models.features.fold import NOTHING_KNOWN, fold
from models.features.layout import number_fields, stream_fields
from models.features.state import FeatureState
from models.features.terminal_days import DaySums
from models.sources.events import Events
from schemas.control import MovedThresholds
from schemas.dead_letter import DeadLetterReason
from schemas.derived import Currencies
from schemas.source_spec import SourceSpec
from schemas.times import TIME_MS_MIN
from services.clock import monotonic_s, wall_ms
from services.engine.batches import Record, Result, Write
from services.engine.carried_sums import reasons_of
from services.engine.decode import Decoder
from services.engine.duplicates import DuplicateWindow, WindowLimits
from services.engine.faults import Fault, TimeLimits, count_faults
from services.engine.origin import origin_timestamps_ms
from services.engine.placement import Subjects
from services.engine.written_sums import CountedModel
from services.errors import StateOutdatedError
from services.observability.metrics import Metrics
from services.scorer.budget_sums import BudgetCounter
from services.scorer.emit import Emitter
from services.scorer.entity_headers import EntityHeaders
from services.scorer.judge import Breaker, ControlGroup, Deciding, Judgement, judge, judge_challenger
from services.scorer.lists import ListTable
from services.scorer.profiles import ProfileTable
from services.scorer.reason_limit import REASONS_PER_MINUTE_MAX, ReasonWindow
from services.scorer.scored import ChallengerScores, Scored
from services.scorer.seen import show
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.swapping.live import ActivePolicy, Model, Models

log = structlog.get_logger(__name__)

STATE_VERSION = 5
"""Grows when the meaning of the state changes, so that older snapshots are not loaded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one partition."""

    message_bytes_max: int
    event_ahead_ms_max: int
    duplicates: WindowLimits
    cards_max: int
    scan_ids: bool = False
    event_time_ms_min: int = TIME_MS_MIN
    reasons_per_minute_max: int = REASONS_PER_MINUTE_MAX

    @property
    def times(self) -> TimeLimits:
        """Of event times."""
        return TimeLimits(self.event_ahead_ms_max, self.event_time_ms_min)

    def decoder(self, source: SourceSpec | None, currencies: Currencies | None) -> Decoder:
        """What reads a source's events within them. currencies: those that the features add."""
        return Decoder(self.message_bytes_max, self.times, scan_ids=self.scan_ids, source=source, currencies=currencies)

    @classmethod
    def of(cls, runtime: RuntimeSettings, scorer: ScorerSettings) -> "Limits":
        """As the settings have them."""
        return cls(
            message_bytes_max=runtime.message_bytes_max,
            event_ahead_ms_max=runtime.event_ahead_ms_max,
            duplicates=WindowLimits.of(runtime),
            cards_max=scorer.cards_max,
            scan_ids=scorer.card_numbers_refused_in == "ids",
            event_time_ms_min=runtime.event_time_ms_min,
            reasons_per_minute_max=scorer.reasons_per_minute_max,
        )


class ScoringProcessor:
    """Decode, drop duplicates, fold, score, decide, emit."""

    def __init__(
        self,
        source: TopicPartition,
        models: Models,
        limits: Limits,
        emitter: Emitter,
        metrics: Metrics,
        profiles: ProfileTable | None,
        lists: ListTable | None = None,
    ) -> None:
        """profiles: what is known of the terminals; needed where the models' features read it. lists: where policies ask them.

        The state is of the champion's features; with one of other features the partition must start again.
        """
        model = models.champion
        self._models = models
        self._spec, self._spec_digest = model.feature_spec, model.spec_digest
        self._source = source
        self._answers = emitter.acknowledging(source.partition)
        self._profiles, self._lists = profiles, lists
        self._fields, self._numbers = stream_fields(model.feature_spec), number_fields(model.feature_spec)
        self._limits = limits
        self._emitter = emitter
        self._metrics = metrics
        self._label = str(source.partition)
        self._decoder = limits.decoder(model.source, model.feature_spec.currencies)
        self._entities = EntityHeaders.of(model.feature_spec)
        self._duplicates = DuplicateWindow(limits.duplicates)
        self._features = FeatureState(model.feature_spec, limits.cards_max)
        self._sums = emitter.sums(source, _counted(model))
        self._budget: BudgetCounter | None = None
        self._reasons = ReasonWindow()
        self.state_key = (
            f"scorer-{STATE_VERSION}:{model.spec_digest}:{limits.cards_max}:{limits.duplicates.key}"
            f":{limits.message_bytes_max}:{limits.event_ahead_ms_max}:{limits.event_time_ms_min}"
            f"{':ids' if limits.scan_ids else ''}"
        )

    def snapshot(self) -> Capture:
        """The state as it is now."""
        return Capture.joined([self._features.capture(), self._duplicates.capture()])

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""
        duplicates = DuplicateWindow(self._limits.duplicates)
        duplicates.load(arrays)
        self._features = FeatureState.from_arrays(self._spec, self._limits.cards_max, arrays)
        self._duplicates = duplicates

    def carry_on(self, carried: str) -> None:
        """Sums that a former owner committed and did not write: they are in the first result."""
        with contextlib.suppress(ValueError, TypeError, IndexError):  # by a later version, or by hand
            if (packed := reasons_of(carried)) is not None:
                self._reasons = ReasonWindow.unpacked(packed)
        self._sums.carry_on(carried)

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold records into the state exactly as `process` does, without output."""
        self._take_in(records)  # days that close were written when the records were committed

    def _take_in(self, records: Sequence[Record]) -> list[DaySums]:
        """Fold records without a score; the terminal days that they close."""
        admitted = admit(self._decoder, self._duplicates, records, self._entities)
        if not admitted.records:
            return []
        fold(self._features, admitted.events.columns(self._fields, admitted.arrived_ms, self._numbers))
        return self._features.closed_days()

    async def process(self, records: Sequence[Record]) -> Result:
        """Fold and judge records, by one model. Raises StateOutdatedError where one with other features is active."""
        started_s = monotonic_s()
        model, challenger, answers = self._models.champion, self._models.challenger, dict(self._models.answers)
        policies = self._models.policy, self._models.shadow_policy, self._models.moved
        self._check_state(model)
        admitted = admit(self._decoder, self._duplicates, records, self._entities)
        good, faults, unselected = admitted.records, admitted.faults, admitted.unselected
        self._metrics.observe_stage("decode", started_s)
        writes: list[Write] = []
        now_ms = wall_ms()
        batch: Scored | None = None
        if good:
            judged, beside, batch = await self._score(admitted, model, challenger, policies)
            writes += self._sums_of_others(judged, beside.model if beside else None)
            self._sums.now.count_scores(
                batch.features,
                judged.scores,
                judged.outcomes.alert,
                self._features.clock_ms,
                let_through=judged.outcomes.let_through,
                late=batch.late,
                amount=batch.amount,
            )
            if self._budget is not None and judged.ruled is not None:
                counted = batch.event_time_ms, batch.amount, judged.scores, judged.outcomes, judged.ruled
                self._budget.count(*counted, moved=policies[2])
            if beside is not None:
                self._sums.now.count_challenger(beside.scores, beside.alert, judged.outcomes.alert)
            started_s = monotonic_s()
            writes += await self._emitter.judged(batch, now_ms)
            self._metrics.observe_stage("emit", started_s)
            closed = self._features.closed_days()
            self._reasons = judged.window
            if closed:
                writes.append(self._emitter.closed_days(records[-1], closed))
            if judged.model is not model:
                answers.pop("champion", None)  # it was rolled back while it judged: nothing was scored by it
        if faults:  # last, so that the answer to a repetition lies behind the decision that it repeats
            writes += self._emitter.faults(faults)
        self._sums.count(records, now_ms, len(records) - unselected, len(faults))
        due, carried = self._due_and_carried(force=False)
        writes += due + self._answers.due(answers, records[0].offset)
        subjects = batch.subjects if batch is not None else None
        return Result(writes, len(records), len(faults), faults, carried, subjects, Judged(batch, unselected))

    def flush(self, *, force: bool = False) -> Result | None:
        """The partial sums and answers that are due although no record came. Raises StateOutdatedError as `process`."""
        if not force:
            self._check_state(self._models.champion)
        due, carried = self._due_and_carried(force=force)
        writes = due + self._answers.due(self._models.answers, self._sums.next_offset)
        return Result(writes, 0, 0, carried=carried) if writes else None

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        writes = self._emitter.faults([fault])
        if folded and (closed := self._take_in([fault.record])):
            writes.append(self._emitter.closed_days(fault.record, closed))
        self._sums.count([fault.record], wall_ms(), 1, 1)
        due, carried = self._due_and_carried(force=False)
        return Result([*writes, *due], 1, 1, (fault,), carried)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        metrics, label = self._metrics, self._label
        metrics.records.labels(label).inc(result.records)
        metrics.batch.observe(float(result.records))
        metrics.state_keys.labels(label).set(self._features.cards)
        count_faults(metrics, result.faults)
        judged: Judged | None = result.judged
        if judged is None:
            return
        if judged.batch is not None:
            show(metrics, label, judged.batch, wall_ms())
        if judged.unselected:
            metrics.unselected.labels(label).inc(judged.unselected)

    async def _score(
        self,
        admitted: "Admitted",
        model: Model,
        challenger: Model | None,
        policies: tuple[ActivePolicy | None, ActivePolicy | None, MovedThresholds | None],
    ) -> tuple[Judgement, ChallengerScores | None, Scored]:
        started_s = monotonic_s()
        known = self._profiles
        events, arrived_ms = admitted.events, admitted.arrived_ms
        batch = events.columns(self._fields, arrived_ms, self._numbers, admitted.entities)
        before = self._features.turnover
        deciding = self._deciding(events, *policies)
        # no await between the two: the table moves on while others run
        features, late = fold(self._features, batch, known.profiles if known else NOTHING_KNOWN)
        turnover = self._features.turnover - before
        profiles_offset = known.next_offset if known else None
        folded_s = self._metrics.observe_stage("fold", started_s)
        control = ControlGroup(events.ids, self._emitter.control_share)
        breaker = Breaker(self._limits.reasons_per_minute_max, arrived_ms, self._reasons)
        judging = judge(self._models, model, features, control, deciding, breaker)
        if challenger is None:
            judged, beside = await judging, None
        else:
            judged, beside = await asyncio.gather(judging, judge_challenger(self._models, challenger, features))
        self._metrics.observe_stage("model", folded_s)
        scored = Scored(
            records=admitted.records,
            events=events,
            features=features,
            late=late,
            amount=batch.amount,
            event_time_ms=batch.event_time_ms,
            timestamps_ms=np.array(origin_timestamps_ms(admitted.records), np.int64) if model.routed else arrived_ms,
            scores=judged.scores,
            outcomes=judged.outcomes,
            reasons=judged.reasons,
            identity=judged.model.identity,
            profiles_offset=profiles_offset,
            subjects=Subjects(batch.ids["card_id"], batch.keys("card_id")),
            turnover=turnover,
            thresholds=judged.thresholds,
            challenger=beside,
            ruled=judged.ruled,
            shadow=judged.shadow,
            lists_offset=judged.lists_offset,
            routed=model.routed,
            without_reasons=judged.without_reasons,
        )
        return judged, beside, scored

    def _deciding(
        self, events: Events, policy: ActivePolicy | None, shadow: ActivePolicy | None, moved: MovedThresholds | None
    ) -> Deciding | None:
        if policy is None and shadow is None:
            return None
        lists = self._lists if self._models.asks_lists else None
        return Deciding(events, policy.program if policy else None, shadow.program if shadow else None, lists, moved)

    def _check_state(self, model: Model) -> None:
        if model.spec_digest != self._spec_digest:
            raise StateOutdatedError

    def _sums_of_others(self, judged: Judgement, challenger: str | None) -> list[Write]:
        """What was counted of the models before: sums are of one champion, one challenger, and one policy with a budget."""
        policy = judged.ruled.program.policy if judged.ruled is not None else None
        budget = policy.budget if policy is not None else None
        ref = judged.ruled.program.ref if judged.ruled is not None and budget is not None else None
        if self._sums.now.of(judged.model.identity.model, challenger, ref):
            return []
        self._budget = None if ref is None or budget is None else BudgetCounter(self._models.group, ref, budget)
        return self._sums.begin(_counted(judged.model), challenger, self._budget)

    def _due_and_carried(self, *, force: bool) -> tuple[list[Write], str]:
        """Sums that are written now, and those that the offset's note carries until they are."""
        return self._sums.due(force=force, reasons=self._reasons.packed() if self._reasons.minute >= 0 else None)


def _counted(model: Model) -> CountedModel:
    name, digest = model.identity.model, model.identity.bundle_digest
    return CountedModel(name, digest, model.session.bundle.reference, model.feature_spec.weekly)


class Judged(NamedTuple):
    """What `process` leaves to be counted: the scored batch, if anything in it was, and how many records were passed over."""

    batch: Scored | None
    unselected: int


class Admitted(NamedTuple):
    """What Decoded holds, without what was seen before; and the records' timestamps, ms since 1970 UTC.

    entities: what headers say of the events' entities, where it was read.
    """

    records: list[Record]
    events: Events
    faults: list[Fault]
    unselected: int
    arrived_ms: NDArray[np.int64]
    entities: NDArray[np.float32] | None = None


def admit(
    decoder: Decoder, duplicates: DuplicateWindow, records: Sequence[Record], headers: EntityHeaders | None = None
) -> Admitted:
    """Decode and drop duplicates: the records and events that enter the history, and the faults.

    headers: reads what is known of the events' entities; an event without it is a fault.
    """
    good, events, faults, unselected = decoder.decode(records)
    entities = None
    if headers is not None and good:
        entities, places, lacking = headers.read(good)
        if places is not None:
            good, events = [good[place] for place in places], events.take(places)
            faults = sorted([*faults, *lacking], key=_offset)
    arrived_ms = np.array([record.timestamp for record in good], np.int64)
    words = events.words("id") if good and duplicates.limits.records_min else None
    repeated = duplicates.repeated(events.ids, arrived_ms, words) if good else []
    if not repeated:
        return Admitted(good, events, faults, unselected, arrived_ms, entities)
    faults += [Fault(good[row], DeadLetterReason.DUPLICATE, duplicates.limits.detail) for row in repeated]
    faults.sort(key=_offset)
    dropped = set(repeated)
    kept = [row for row in range(len(good)) if row not in dropped]
    known = None if entities is None else entities[kept]
    return Admitted([good[row] for row in kept], events.take(kept), faults, unselected, arrived_ms[kept], known)


def _offset(fault: Fault) -> int:
    return int(fault.record.offset)
