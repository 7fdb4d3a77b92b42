"""The entities' part: one partition of `entity-events`, with the histories of all entities whose ids lie there.

What is folded depends on the entity and the event alone, not on the values that the event carries: so the histories survive a
change of another entity's features, and are folded again from the log after one of their own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition
from numpy.typing import NDArray

from models.features.capture import Arrays, Capture
from schemas.dead_letter import DeadLetterReason
from schemas.topics import DEAD_LETTERS, ENTITY_HEADER, ENTITY_VALUES_HEADER, SOURCE_PARTITION_HEADER, entity_named
from services.clock import wall_ms
from services.engine.batches import Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, count_faults
from services.engine.origin import origin_timestamps_ms
from services.entities.chain import Chain, Passing, key_of
from services.observability.metrics import Metrics
from services.scorer.processor import Limits

STATE_VERSION = 1
OWN_HEADERS = (ENTITY_HEADER, ENTITY_VALUES_HEADER)


class Folded(NamedTuple):
    """Events of one entity, and its values float32[n, F]. rows: int64[n], their places in the batch."""

    stage: int
    rows: NDArray[np.int64]
    values: NDArray[np.float32]


class Staged(NamedTuple):
    """What `process` leaves to be counted: events too late to be remembered; and of each entity, when its events' records in
    the source were made, ms.
    """

    late: int
    produced_ms: dict[str, NDArray[np.int64]]


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
        self._decoder = limits.decoder(chain.source, chain.spec.currencies)
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
        """Fold events exactly as `process` does, without output."""
        good, events, _, _ = self._decoder.decode(records)
        if good:
            self._fold(Passing(good, events, [], np.empty(0, np.int64)), [])

    async def process(self, records: Sequence[Record]) -> Result:
        """Events to their next entity, or to the scorer."""
        late = sum(fold.late for fold in self._folds.values())
        good, events, faults, _ = self._decoder.decode(records)
        writes: list[Write] = []
        produced_ms: dict[str, NDArray[np.int64]] = {}
        if good:
            writes = self._passed_on(Passing(good, events, [], np.empty(0, np.int64)), faults, produced_ms)
        if faults:
            faults.sort(key=lambda fault: int(fault.record.offset))
            writes.append(self._letters.write(self._prefix + DEAD_LETTERS.name, faults))
        late = sum(fold.late for fold in self._folds.values()) - late
        return Result(writes, len(records), len(faults), faults, judged=Staged(late, produced_ms))

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
        metrics.state_keys.labels(label).set(sum(fold.ids for fold in self._folds.values()))
        count_faults(metrics, result.faults)
        if result.judged is not None:
            metrics.late.labels(label).inc(result.judged.late)
            now_ms = wall_ms()
            for name, produced_ms in result.judged.produced_ms.items():
                metrics.entity_wait.observe((now_ms - produced_ms) / 1000, name)

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""

    def _fold(self, batch: Passing, faults: list[Fault]) -> list[Folded]:
        """The values of each entity, stage by stage. Records of no entity of ours become faults, and are not folded."""
        names = [entity_named(dict(record.headers)) for record in batch.records]
        folded = []
        for stage, name in enumerate(self._chain.stages):
            rows = [row for row, named in enumerate(names) if named == name]
            if not rows:
                continue
            columns = self._chain.columns(name, batch.events.take(rows))
            ids = self._chain.ids(name, columns)
            ours = [
                place
                for place, (row, id_) in enumerate(zip(rows, ids, strict=True))
                if batch.records[row].key == key_of(name, id_).encode()
            ]
            if len(ours) < len(rows):
                kept = set(ours)
                detail = f"its key is not the one of its entity {name}: the entity is named by other fields now"
                others = (batch.records[row] for place, row in enumerate(rows) if place not in kept)
                faults += [Fault(record, DeadLetterReason.SCHEMA, detail) for record in others]
                rows, ids = [rows[place] for place in ours], [ids[place] for place in ours]
                columns = self._chain.columns(name, batch.events.take(rows))
            if rows:
                folded.append(Folded(stage, np.array(rows, np.int64), self._folds[name].values(columns, ids)))
        for record, name in zip(batch.records, names, strict=True):
            if name not in self._folds:
                detail = "its entity is not in the feature spec, or `assay entities` did not write it"
                faults.append(Fault(record, DeadLetterReason.SCHEMA, detail))
        return folded

    def _passed_on(self, batch: Passing, faults: list[Fault], produced_ms: dict[str, NDArray[np.int64]]) -> list[Write]:
        writes = []
        for stage, rows, values in self._fold(batch, faults):
            before, found = self._chain.passed[stage], [dict(batch.records[row].headers) for row in rows.tolist()]
            carried = [one.get(ENTITY_VALUES_HEADER) for one in found]
            origins = [_number(one.get(SOURCE_PARTITION_HEADER)) for one in found]
            fits = [before.fits(one) and origin >= 0 for one, origin in zip(carried, origins, strict=True)]
            good = np.flatnonzero(fits)
            for place in np.flatnonzero(~np.array(fits, np.bool_)).tolist():
                detail = "it carries values of another feature spec: let `assay entities` drain before its spec changes"
                faults.append(Fault(batch.records[rows[place]], DeadLetterReason.SCHEMA, detail))
            if not len(good):
                continue
            packed = [one for one in (carried[place] for place in good.tolist()) if one is not None]
            kept = rows[good].tolist()
            passing = Passing(
                [batch.records[row] for row in kept],
                batch.events.take(kept),
                [[header for header in batch.records[row].headers if header[0] not in OWN_HEADERS] for row in kept],
                np.array([origins[place] for place in good.tolist()], np.int64),
            )
            joined = np.concatenate([before.unpack(packed), values[good]], axis=1)
            writes.append(self._chain.onward(passing, joined, stage + 1))
            produced_ms[self._chain.stages[stage]] = np.array(origin_timestamps_ms(passing.records), np.int64)
        return writes


def _number(text: bytes | None) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) < 10 else -1
