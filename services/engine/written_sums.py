"""Which sums of a partition are written with a batch, and which its committed offset's note carries until they are.

Before the first sums of a model its reference is written, so that the monitor can compare them and needs no bundle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import TopicPartition

from schemas import codec
from schemas.monitor import ModelReference
from schemas.reference import Reference
from schemas.topics import Topic, source_headers
from services.clock import monotonic_s
from services.engine.batches import Headers, Record, Write
from services.engine.carried_sums import has_sums, metric_of
from services.engine.faults import headers_of
from services.engine.offset_notes import CARRIED_MAX
from services.engine.origin import NO_ORIGINS, Origins
from services.engine.partial_sums import Budgeted, PartialSums

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CountedModel:
    """What is counted. name: as on scores. weekly: features compared over whole weeks only.

    compared: whether the reference is of the traffic that is scored, and so is told to the monitor.
    """

    name: str
    bundle_digest: str
    reference: Reference
    weekly: tuple[str, ...] = ()
    compared: bool = True


@dataclass(frozen=True, slots=True)
class SumTopics:
    """Where sums and references are written. prefix: of topics' names."""

    prefix: str
    metrics: Topic
    references: Topic


class WrittenSums:
    """Of one partition. A batch that is not committed is thrown away with its worker's state."""

    def __init__(
        self, source: TopicPartition, topics: SumTopics, model: CountedModel, origins: Origins = NO_ORIGINS
    ) -> None:
        self._source, self._topics, self._origins = source, topics, origins
        self._former: Write | None = None
        self._last: Record | None = None
        self.now = self._fresh(model)
        """What is being counted."""

    def _fresh(self, model: CountedModel, challenger: str | None = None, budget: Budgeted | None = None) -> PartialSums:
        self._model, (topic, partition) = model, self._source
        return PartialSums(topic, partition, model.name, model.reference.features, monotonic_s(), challenger, budget)

    @property
    def next_offset(self) -> int | None:
        """Behind the last record counted; None before the first."""
        return None if self._last is None else self._last.offset + 1

    def carry_on(self, carried: str) -> None:
        """Sums that a former owner committed and did not write: they are in the first result."""
        if not carried or not has_sums(carried):
            return
        topic, partition = self._source
        found = metric_of(carried, topic, partition)
        if found is None:
            log.warning("sums.unreadable", topic=topic, partition=partition)
            return
        last_offset, value = found
        self._former = self._metric(source_headers(topic, partition, last_offset, None), value)

    def begin(self, model: CountedModel, challenger: str | None = None, budget: Budgeted | None = None) -> list[Write]:
        """Count for others from now on; what was counted before is written."""
        writes = self._due(force=True)
        self.now = self._fresh(model, challenger, budget)
        return writes

    def count(self, records: Sequence[Record], until_ms: int, meant: int, dead_letters: int) -> None:
        """Count a batch's inputs. until_ms: wall-clock time. meant: those that were not passed over."""
        self.now.count(records[0].offset, records[-1].offset, until_ms, meant, dead_letters)
        self._last = records[-1]

    def due(self, *, force: bool, reasons: list[Any] | None = None) -> tuple[list[Write], str]:
        """What is written now, and the note that carries the rest. reasons: goes with the note."""
        writes = self._due(force=force)
        if self._former is not None:
            writes, self._former = [self._former, *writes], None
        carried = self.now.carried(reasons)
        if len(carried) > CARRIED_MAX:  # a bundle of some hundred features
            writes += self._due(force=True)
            carried = self.now.carried(reasons)
        return writes, carried

    def _due(self, *, force: bool) -> list[Write]:
        now_s = monotonic_s()
        if self._last is None or self.now.empty or not (force or self.now.due(now_s)):
            return []
        told = [] if self.now.reference_sent or not self._model.compared else [self._reference(self._last)]
        return [*told, self._metric(headers_of(self._last), self.now.take(now_s))]

    def _metric(self, headers: Headers, value: bytes) -> Write:
        """A record of partial sums, under the position of the last input that it counts."""
        write = Write(self._topics.prefix + self._topics.metrics.name)
        write.append(None, value, headers)
        return write

    def _reference(self, source: Record) -> Write:
        """The reference that the sums are compared with: written by each partition once, and kept by its key once."""
        write, model = Write(self._topics.prefix + self._topics.references.name), self._model
        told = ModelReference(
            model=model.name, bundle_digest=model.bundle_digest, reference=model.reference, weekly=model.weekly
        )
        write.append(model.name.encode(), codec.write(told), headers_of(source, self._origins))
        return write
