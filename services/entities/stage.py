"""The entities' part: one partition of `entity-events`, with the histories of all entities whose ids lie there.

What is folded depends on the entity and the event alone, not on the values that the event carries: so the histories survive a
change of another entity's features, and are folded again from the log after one of their own. What labels say lies between the
events, and is folded in the log's order.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition
from numpy.typing import NDArray

from models.features.capture import Arrays, Capture
from models.sources.events import Events
from schemas.dead_letter import DeadLetterReason
from schemas.topics import (
    ENTITY_EVENTS,
    ENTITY_HEADER,
    ENTITY_VALUES_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_TIMESTAMP_HEADER,
)
from services.clock import wall_ms
from services.engine.batches import Headers, Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, count_faults
from services.engine.origin import Origins, origin_timestamps_ms
from services.entities.chain import Chain, Passing, key_of
from services.entities.labels import is_verdict, verdict_of
from services.observability.metrics import Metrics
from services.scorer.answers import AnswerWriter, refusals
from services.scorer.processor import Limits

STATE_VERSION = 1
OWN_HEADERS = (ENTITY_HEADER, ENTITY_VALUES_HEADER)
NOT_OURS = "its entity is not in the feature spec, or `assay entities` did not write it"


class Way(NamedTuple):
    """What an event's headers say. carried: values found so far. name: of the entity that is next. origin: the partition of its
    record in the source. rest: what goes on unchanged.
    """

    carried: bytes | None
    name: bytes
    origin: bytes
    stamp_ms: bytes
    rest: Headers


class Folded(NamedTuple):
    """Events of one entity, and its values float32[n, F]. rows: their places in the batch."""

    stage: int
    rows: list[int]
    events: Events
    values: NDArray[np.float32]


class Staged(NamedTuple):
    """What `process` leaves to be counted: events too late to be remembered; and of each entity, when its events' records in
    the source were made, ms.
    """

    late: int
    produced_ms: dict[str, list[NDArray[np.int64]]]


class StageProcessor:
    """Folds events by entity, and sends them on with what is known of it."""

    def __init__(
        self,
        source: TopicPartition,
        prefix: str,
        chain: Chain,
        limits: Limits,
        letters: DeadLetterWriter,
        metrics: Metrics,
    ) -> None:
        self._source, self._prefix, self._chain = source, prefix, chain
        self._letters, self._metrics, self._label = letters, metrics, metrics.label(source)
        self._answers = AnswerWriter(prefix, Origins.of([ENTITY_EVENTS], prefix))
        self._decoder = limits.decoder(chain.source, chain.spec.currencies)
        self._stage_of = {name.encode(): stage for stage, name in enumerate(chain.stages)}
        self._folds = {name: chain.fold(name) for name in chain.stages}
        self.state_key = f"entities-{STATE_VERSION}:{chain.digest}:{chain.ids_max}"

    def snapshot(self) -> Capture:
        """The histories as they are now."""
        return Capture.joined([fold.capture() for fold in self._folds.values()])

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""
        folds = {name: self._chain.fold(name) for name in self._chain.stages}
        for fold in folds.values():
            fold.load(arrays)
        self._folds = folds

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold events and labels exactly as `process` does, without output."""
        for of_labels, part in _in_turn(records):
            if of_labels:
                self._judge(part)
                continue
            good, events, _, _ = self._decoder.decode(part)
            if good:
                self._fold(good, events, [_way(record) for record in good], [])

    async def process(self, records: Sequence[Record]) -> Result:
        """Events to their next entity, or to the scorer."""
        late = sum(fold.late for fold in self._folds.values())
        faults: list[Fault] = []
        writes: list[Write] = []
        produced_ms: dict[str, list[NDArray[np.int64]]] = {}
        for of_labels, part in _in_turn(records):
            if of_labels:
                faults += self._judge(part)
                continue
            good, events, bad, _ = self._decoder.decode(part)
            faults += bad
            if good:
                writes += self._passed_on(good, events, faults, produced_ms)
        if faults:
            faults.sort(key=lambda fault: int(fault.record.offset))
            writes += refusals(self._prefix, self._letters, self._answers, faults)
        late = sum(fold.late for fold in self._folds.values()) - late
        return Result(writes, len(records), len(faults), faults, judged=Staged(late, produced_ms))

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        return Result(refusals(self._prefix, self._letters, self._answers, [fault]), 1, 1, (fault,))

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        metrics, label = self._metrics, self._label
        metrics.records.labels(label).inc(result.records)
        metrics.batch.observe(float(result.records))
        metrics.state_keys.labels(label).set(sum(fold.ids for fold in self._folds.values()))
        count_faults(metrics, result.faults)
        if result.judged is not None:
            metrics.late.labels(label).inc(result.judged.late)
            now_ms = wall_ms()
            for name, parts in result.judged.produced_ms.items():
                metrics.entity_wait.observe((now_ms - np.concatenate(parts)) / 1000, name)

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""

    def _judge(self, records: Sequence[Record]) -> list[Fault]:
        """Fold what labels say; of an entity whose labels no feature reads any more, nothing."""
        faults = []
        for record in records:
            name, _, id_ = (record.key or b"").decode(errors="replace").partition(":")
            verdict = verdict_of(record)
            if verdict is None or name.encode() != record.headers[0][1] or not id_:
                faults.append(Fault(record, DeadLetterReason.SCHEMA, NOT_OURS))
            elif name in self._folds:
                self._folds[name].judge(id_, verdict.subject, verdict.event_time_ms, fraud=verdict.fraud)
        return faults

    def _fold(
        self, records: Sequence[Record], events: Events, ways: Sequence[Way], faults: list[Fault]
    ) -> list[Folded]:
        """The values of each entity, stage by stage. Records of no entity of ours become faults, and are not folded."""
        stages = [self._stage_of.get(way.name, -1) for way in ways]
        folded = []
        for stage, name in enumerate(self._chain.stages):
            rows = [row for row, found in enumerate(stages) if found == stage]
            if not rows:
                continue
            own = events if len(rows) == len(records) else events.take(rows)
            ids = self._chain.ids(name, self._chain.columns(name, own))
            ours = [records[row].key == key_of(name, id_).encode() for row, id_ in zip(rows, ids, strict=True)]
            if not all(ours):
                detail = f"its key is not the one of its entity {name}: the entity is named by other fields now"
                faults += [
                    Fault(records[row], DeadLetterReason.SCHEMA, detail)
                    for row, good in zip(rows, ours, strict=True)
                    if not good
                ]
                rows, ids = list(itertools.compress(rows, ours)), list(itertools.compress(ids, ours))
                if not rows:
                    continue
                own = events.take(rows)
            values = self._folds[name].values(self._chain.columns(name, own), ids)
            folded.append(Folded(stage, rows, own, values))
        if -1 in stages:
            lost = (record for record, stage in zip(records, stages, strict=True) if stage < 0)
            faults += [Fault(record, DeadLetterReason.SCHEMA, NOT_OURS) for record in lost]
        return folded

    def _passed_on(
        self,
        records: Sequence[Record],
        events: Events,
        faults: list[Fault],
        produced_ms: dict[str, list[NDArray[np.int64]]],
    ) -> list[Write]:
        ways = [_way(record) for record in records]
        writes = []
        for stage, rows, own, values in self._fold(records, events, ways, faults):
            before = self._chain.passed[stage]
            fits = [before.fits(ways[row].carried) and _is_partition(ways[row].origin) for row in rows]
            if not all(fits):
                detail = "it carries values of another feature spec: let `assay entities` drain before its spec changes"
                faults += [
                    Fault(records[row], DeadLetterReason.SCHEMA, detail)
                    for row, fit in zip(rows, fits, strict=True)
                    if not fit
                ]
                places = [place for place, fit in enumerate(fits) if fit]
                if not places:
                    continue
                rows, own, values = [rows[place] for place in places], own.take(places), values[places]
            on = [ways[row] for row in rows]
            passing = Passing(
                [records[row] for row in rows],
                own,
                [way.rest for way in on],
                np.array([int(way.origin) for way in on], np.int64),
            )
            joined = np.concatenate([before.unpack([way.carried or b"" for way in on]), values], axis=1)
            writes.append(self._chain.onward(passing, joined, stage + 1))
            made_ms = np.array([_number(way.stamp_ms) for way in on], np.int64)
            produced_ms.setdefault(self._chain.stages[stage], []).append(made_ms)
        return writes


def _in_turn(records: Sequence[Record]) -> Iterator[tuple[bool, Sequence[Record]]]:
    """Events and labels in stretches, in the log's order: whether of labels, and the records."""
    if not any(map(is_verdict, records)):  # nearly always so
        yield False, records
        return
    for of_labels, part in itertools.groupby(records, is_verdict):
        yield of_labels, list(part)


def _way(record: Record) -> Way:
    """In one look where our own writer put the headers, one by one elsewhere."""
    headers = record.headers
    if (
        len(headers) > 5
        and headers[0][0] == ENTITY_VALUES_HEADER
        and headers[1][0] == ENTITY_HEADER
        and headers[3][0] == SOURCE_PARTITION_HEADER
        and headers[5][0] == SOURCE_TIMESTAMP_HEADER
    ):
        return Way(headers[0][1], headers[1][1], headers[3][1], headers[5][1], headers[2:])
    found = dict(headers)
    return Way(
        found.get(ENTITY_VALUES_HEADER),
        found.get(ENTITY_HEADER) or b"",
        found.get(SOURCE_PARTITION_HEADER) or b"",
        b"%d" % origin_timestamps_ms([record])[0],
        [header for header in headers if header[0] not in OWN_HEADERS],
    )


def _is_partition(text: bytes | None) -> bool:
    return text is not None and text.isdigit() and len(text) < 10


def _number(text: bytes | None) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) <= 13 else 0
