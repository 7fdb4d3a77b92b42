"""The source's part: each event that the scorer would take goes to its first entity; every other is a dead letter here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition

from models.features.capture import Arrays, Capture
from schemas.topics import REQUEST_HEADER, position_headers
from services.engine.batches import Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.duplicates import DuplicateWindow
from services.engine.faults import Fault, count_faults
from services.engine.origin import origin_timestamps_ms
from services.engine.placement import Subjects
from services.entities.chain import Chain, Passing
from services.observability.metrics import Metrics
from services.scorer.answers import AnswerWriter, refusals, requests
from services.scorer.processor import Limits, admit

STATE_VERSION = 1


class Routed(NamedTuple):
    """What `process` leaves to be counted: records passed over."""

    unselected: int


class RoutingProcessor:
    """One partition of the source. Its state is the ids seen: an event that comes twice counts once for its entities."""

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
        self._limits, self._letters, self._metrics = limits, letters, metrics
        self._answers = AnswerWriter(prefix, letters.origins)
        self._label = metrics.label(source)
        self._decoder = limits.decoder(chain.source, chain.spec.currencies)
        self._duplicates = DuplicateWindow(limits.duplicates)
        self.state_key = (
            f"routing-{STATE_VERSION}:{limits.duplicates.key}:{limits.message_bytes_max}:{limits.event_ahead_ms_max}"
            f":{limits.event_time_ms_min}{':ids' if limits.scan_ids else ''}"
        )

    def snapshot(self) -> Capture:
        """The ids seen."""
        return self._duplicates.capture()

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""
        duplicates = DuplicateWindow(self._limits.duplicates)
        duplicates.load(arrays)
        self._duplicates = duplicates

    def absorb(self, records: Sequence[Record]) -> None:
        """Remember the ids exactly as `process` does, without output."""
        admit(self._decoder, self._duplicates, records)

    async def process(self, records: Sequence[Record]) -> Result:
        """Events to their first entity."""
        good, events, faults, unselected, arrived_ms, _ = admit(self._decoder, self._duplicates, records)
        writes: list[Write] = []
        if good:
            topic, partition = self._source
            stamps_ms = origin_timestamps_ms(good) if self._chain.routed else arrived_ms.tolist()
            own = position_headers(topic, partition, [record.offset for record in good], stamps_ms)
            headers = [[*one, *self._letters.origins.headers(record)] for one, record in zip(own, good, strict=True)]
            for row, request in requests(good).items():  # the scorer answers it, in the transaction of its score
                headers[row].append((REQUEST_HEADER, request))
            passing = Passing(good, events, headers, np.full(len(good), partition, np.int64))
            writes.append(self._chain.onward(passing, np.empty((len(good), 0), np.float32), 0))
        if faults:
            writes += refusals(self._prefix, self._letters, self._answers, faults)
        subjects = Subjects.of(events.subjects) if good else None
        return Result(writes, len(records), len(faults), faults, subjects=subjects, judged=Routed(unselected))

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        return Result(refusals(self._prefix, self._letters, self._answers, [fault]), 1, 1, (fault,))

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        self._metrics.records.labels(self._label).inc(result.records)
        count_faults(self._metrics, result.faults)
        if result.judged is not None and result.judged.unselected:
            self._metrics.unselected.labels(self._label).inc(result.judged.unselected)

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""
