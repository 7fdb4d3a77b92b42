"""Intake's part of one partition: decode, select, validate, key. Without a state, so a start reads nothing again."""

from collections.abc import Sequence

import numpy as np
from aiokafka import TopicPartition

from models.sources.parser import EventParser
from models.sources.routed import EventWriter
from schemas.dead_letter import DeadLetterReason
from schemas.source_spec import SourceSpec
from schemas.topics import DEAD_LETTERS
from services.clock import monotonic_s, wall_ms
from services.engine.batches import Record, Result, Stateless
from services.engine.dead_letters import DeadLetterWriter
from services.engine.decode import Decoded, Decoder
from services.engine.faults import Fault, TimeLimits, count_faults
from services.engine.placement import Subjects
from services.formats import RecordReader
from services.formats.documents import documents, of_records
from services.intake.route import Router
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings


class IntakeProcessor(Stateless):
    """One partition of the user's topic."""

    state_key = "intake-1"

    def __init__(
        self,
        source: TopicPartition,
        spec: SourceSpec,
        reader: RecordReader,
        router: Router,
        runtime: RuntimeSettings,
        letters: DeadLetterWriter,
        metrics: Metrics,
        *,
        scan_ids: bool = False,
    ) -> None:
        """reader: of the source's format. router: to `events`. scan_ids: refuse card numbers in the other ids, too."""
        self._spec, self._reader = spec, reader
        self._router, self._letters, self._metrics = router, letters, metrics
        self._label = metrics.label(source)
        self._bytes_max = runtime.message_bytes_max
        times = TimeLimits(runtime.event_ahead_ms_max, runtime.event_time_ms_min)
        self._decoder = Decoder(reader.json_bytes_max, times, scan_ids=scan_ids, source=spec)
        self._writer = EventWriter(EventParser(spec))

    async def process(self, records: Sequence[Record]) -> Result:
        """Events on the partitions of their subjects, and a dead letter for each record that is none."""
        started_s = monotonic_s()
        read = await documents(self._reader, self._spec, records)
        found = self._decoder.decode(read.records)
        if not self._spec.is_json:
            faults = sorted([*read.faults, *of_records(found.faults)], key=lambda fault: int(fault.record.offset))
            found = found._replace(faults=faults, unselected=found.unselected + read.passed_over)
        decoded_s = self._metrics.observe_stage("decode", started_s)
        found, values = self._encoded(found)
        events = self._router.writes(found.records, Subjects.of(found.events.subjects), values)
        self._metrics.observe_stage("emit", decoded_s)
        letters = self._letters.write(self._router.prefix + DEAD_LETTERS.name, found.faults)
        return Result([*events, letters], len(records), len(found.faults), found.faults, judged=found)

    def _encoded(self, found: Decoded) -> tuple[Decoded, list[bytes]]:
        """The events' JSON. One that grew beyond what the scorer takes is a dead letter here."""
        values = self._writer.encode(found.events)
        if not values or max(map(len, values)) <= self._bytes_max:
            return found, values
        kept = [row for row, value in enumerate(values) if len(value) <= self._bytes_max]
        detail = f"its event takes more than {self._bytes_max} bytes"
        large = [
            Fault(found.records[row], DeadLetterReason.TOO_LARGE, detail)
            for row in sorted(set(range(len(values))) - set(kept))
        ]
        faults = sorted([*found.faults, *of_records(large)], key=lambda fault: int(fault.record.offset))
        found = Decoded([found.records[row] for row in kept], found.events.take(kept), faults, found.unselected)
        return found, [values[row] for row in kept]

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        return self._letters.refusal(self._router.prefix + DEAD_LETTERS.name, fault)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        metrics, found = self._metrics, result.judged
        metrics.records.labels(self._label).inc(result.records)
        metrics.batch.observe(float(result.records))
        count_faults(metrics, result.faults)
        if isinstance(found, Decoded):
            metrics.unselected.labels(self._label).inc(found.unselected)
            metrics.events.labels(self._label).inc(len(found.records))
            produced_ms = np.array([record.timestamp for record in found.records], np.int64)
            if found.records:
                metrics.latency.observe((wall_ms() - produced_ms) / 1000)
