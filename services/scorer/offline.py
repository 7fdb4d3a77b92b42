"""Scores a finite list of payments with the stream's own stages, without Kafka: for back-fills and evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.features.entities import EntityFolds
from models.features.fold import NOTHING_KNOWN, fold
from models.features.layout import id_fields, number_fields
from models.features.profiles import TerminalProfiles
from models.features.state import FeatureState
from models.features.terminals import TerminalFold
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from models.sources.events import Events
from models.sources.routed import in_log
from schemas.source_spec import SourceSpec
from schemas.times import RECORD_TIME_MS_MAX
from services.engine.batches import Record
from services.engine.duplicates import DuplicateWindow, WindowLimits
from services.engine.faults import Fault, unscorable
from services.scorer.decide import decide
from services.scorer.entity_headers import EntityHeaders
from services.scorer.processor import Limits, admit

BATCH_RECORDS = 2000

NO_ARRIVAL_MS = RECORD_TIME_MS_MAX
"""A file has no arrival times, so no payment in it is from the future."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One payment as the decoder takes a Kafka record. offset: its place in the file, from 0."""

    offset: int
    value: bytes
    timestamp: int = NO_ARRIVAL_MS


@dataclass(frozen=True, slots=True)
class Part:
    """The outcome of some records: those scored, with features float32[n, F], scores and outcomes bool[n]; and the faults."""

    records: list[Record]
    events: Events
    features: NDArray[np.float32]
    scores: Scores
    alert: NDArray[np.bool_]
    faults: list[Fault]


class OfflinePartition:
    """One partition's stages and state. The cut of the records into parts makes no difference."""

    def __init__(
        self,
        session: ModelSession,
        limits: Limits,
        source: SourceSpec | None = None,
        *,
        of_log: bool = False,
        entities: EntityFolds | None = None,
        terminals: TerminalFold | None = None,
    ) -> None:
        """source: what the records are, where the bundle does not say. of_log: they lie on the topic that a scorer reads.

        entities: folds the events' entities here; without it what is known of them is in the records' headers. terminals: the
        same of terminals; without it what is known of them is a table.
        """
        self._session = session
        meant = session.bundle.manifest.source or source
        self._thresholds = session.bundle.manifest.thresholds
        spec = session.bundle.manifest.feature_spec
        self._decoder = limits.decoder(in_log(meant) if of_log else meant, spec.currencies)
        self._duplicates = DuplicateWindow(limits.duplicates)
        self._state, self._fields = FeatureState(spec, limits.cards_max), id_fields(spec)
        self._numbers, self._entities, self._terminals = number_fields(spec), entities, terminals
        self._headers = EntityHeaders.of(spec) if entities is None else None

    def judge(
        self,
        records: Sequence[Record],
        profiles: TerminalProfiles = NOTHING_KNOWN,
        is_fraud: NDArray[np.bool_] | None = None,
    ) -> Part:
        """The next records, in the log's order. profiles: what was known of the terminals then.

        is_fraud: by the records' offsets, what entities and terminals are folded here with.
        """
        admitted = admit(self._decoder, self._duplicates, records, self._headers)
        good, events, faults = admitted.records, admitted.events, admitted.faults
        columns = events.columns(self._fields, None, self._numbers, admitted.entities)
        verdicts = None if is_fraud is None else is_fraud[[record.offset for record in good]]
        if self._entities is not None and good:
            columns = replace(columns, entities=self._entities.values(columns, verdicts))
        features, _ = fold(self._state, columns, profiles)
        self._state.days.clear()  # written by the stream, not needed here
        if self._terminals is not None and verdicts is not None:
            self._terminals.fill(columns, verdicts, features)
        scores = self._scored(features)
        sound = np.all([np.isfinite(column) for column in scores], axis=0)
        if not sound.all():  # the stream makes dead letters of them, too
            faults += [unscorable(good[row], "FloatingPointError") for row in np.flatnonzero(~sound).tolist()]
            faults.sort(key=lambda fault: int(fault.record.offset))
            rows = np.flatnonzero(sound).tolist()
            good, events = [good[row] for row in rows], events.take(rows)
            features, scores = features[sound], Scores(*(column[sound] for column in scores))
        return Part(good, events, features, scores, decide(scores, self._thresholds).alert, faults)

    def _scored(self, features: NDArray[np.float32]) -> Scores:
        """Scores; NaN where the model fails on a row."""
        try:
            return self._session.run(features)
        except (OSError, MemoryError):
            raise
        except Exception:  # ONNX Runtime's errors have no common base
            if len(features) <= 1:
                return Scores(*(np.full(len(features), np.nan, np.float32) for _ in Scores._fields))
            halves = [self._scored(half) for half in np.array_split(features, 2)]
            return Scores(*(np.concatenate(columns) for columns in zip(*halves, strict=True)))


@dataclass(frozen=True, slots=True)
class Judged:
    """n payments in the order given. Where `rejected` holds a reason, the scores are NaN and there is no alert."""

    scores: Scores
    alert: NDArray[np.bool_]
    rejected: list[str | None] = field(default_factory=list)
    details: list[str | None] = field(default_factory=list)

    @classmethod
    def blank(cls, payments: int) -> "Judged":
        """Nothing judged yet."""
        nothing = Scores(*(np.full(payments, np.nan, np.float32) for _ in Scores._fields))
        return cls(nothing, np.zeros(payments, np.bool_), [None] * payments, [None] * payments)


def judge(
    session: ModelSession,
    payloads: Sequence[bytes],
    report: Callable[[int], None],
    *,
    bytes_max: int,
    cards_max: int,
    is_fraud: NDArray[np.bool_],
    known_after_days: int | None = None,
    source: SourceSpec | None = None,
) -> Judged:
    """Judge transactions in JSON, in order of event time, as one partition that forgets no id.

    bytes_max: of one payload. cards_max: ids remembered of each key. is_fraud: bool[n], whether labelled a fraud.
    known_after_days: so many days later; by default within each feature's delay. `report` is called with how many are done.
    """
    judged = Judged.blank(len(payloads))
    records: list[Record] = [Payload(offset, value) for offset, value in enumerate(payloads)]
    limits, spec = (
        Limits(bytes_max, 0, WindowLimits(len(payloads)), max(1, cards_max)),
        session.bundle.manifest.feature_spec,
    )
    entities = EntityFolds(spec, limits.cards_max, known_after_days) if spec.stages else None
    terminals = TerminalFold(spec, limits.cards_max, known_after_days) if spec.profiled else None
    partition = OfflinePartition(session, limits, source, entities=entities, terminals=terminals)
    for start in range(0, len(records), BATCH_RECORDS):
        end = min(start + BATCH_RECORDS, len(records))
        part = partition.judge(records[start:end], is_fraud=is_fraud)
        for fault in part.faults:
            judged.rejected[fault.record.offset] = fault.reason.value
            judged.details[fault.record.offset] = fault.detail
        rows = [record.offset for record in part.records]
        for column, values in zip(judged.scores, part.scores, strict=True):
            column[rows] = values
        judged.alert[rows] = part.alert
        report(end)
    return judged
