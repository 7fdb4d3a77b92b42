"""The labels' part of a service that counts frauds by entity: what each verdict changes, for each entity of its payment.

A label names the payment's ids itself (`card_id`, `terminal_id`, and others in `ids`). Of the labels of one payment the last
counts; one that takes a fraud back finds the ids that were named with the fraud. Where changes go is the service's own: the
profiler adds them to the sums of terminals (`sums`), `assay entities` sends them to each entity's partition.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from aiokafka import TopicPartition

from models.features import text_arrays
from models.features.capture import Arrays, Capture
from schemas import codec
from schemas.dead_letter import DeadLetterReason
from schemas.label import Label, Verdict, card_number_problem
from schemas.topics import DEAD_LETTERS
from services.engine.batches import Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, TimeLimits, count_faults, parsed
from services.observability.metrics import Metrics

UNKNOWN_SUBJECT = "\1"
"""Stands for the card of a label that names none: no accepted id holds it."""


class Told(NamedTuple):
    """A fraud that was sent on: when it happened, whose it was, and the ids of its entities, "" of one that it has not."""

    event_time_ms: int
    subject: str
    ids: tuple[str, ...]


class Change(NamedTuple):
    """A fraud that a label, of this record, adds or takes back."""

    record: Record
    told: Told
    verdict: Verdict


class Counted(NamedTuple):
    """By which entities a service counts frauds.

    version: names them, and what is remembered of each, in a snapshot's key. entities: their names. ids: what a label says of
    them, by name. subjects: whether the card is remembered, too. writes: what changes are written as.
    """

    version: str
    entities: tuple[str, ...]
    ids: Callable[[Label], Mapping[str, str]]
    writes: Callable[[Sequence[Change]], list[Write]]
    subjects: bool = False


class LabelLimits(NamedTuple):
    """frauds_max: remembered, so that a later label can take one back. scan_ids: for card numbers, in all ids and not in the
    card's alone.
    """

    message_bytes_max: int
    times: TimeLimits
    frauds_max: int
    scan_ids: bool


class LabelProcessor:
    """One partition of `labels`, keyed by transaction: every verdict on a payment comes here, in order."""

    def __init__(
        self,
        source: TopicPartition,
        prefix: str,
        counted: Counted,
        limits: LabelLimits,
        letters: DeadLetterWriter,
        metrics: Metrics,
    ) -> None:
        self._letters_topic = prefix + DEAD_LETTERS.name
        self._counted, self._limits = counted, limits
        self._letters, self._metrics = letters, metrics
        self._label = metrics.label(source)
        self._parse = codec.decoder(Label)
        self._frauds: dict[str, Told] = {}
        """By payment, in the order in which they came."""
        times = limits.times
        self.state_key = (
            f"{counted.version}:{limits.frauds_max}:{limits.message_bytes_max}:{times.ahead_ms_max}:{times.floor_ms}"
            f":{limits.scan_ids:d}"
        )

    def snapshot(self) -> Capture:
        """The frauds known, in the order in which they came."""
        frauds = self._frauds.copy()

        def pack() -> Arrays:
            told = frauds.values()
            arrays: Arrays = {"time": np.array([one.event_time_ms for one in told], np.int64)}
            texts = {"id": list(frauds)}
            if self._counted.subjects:
                texts["subject"] = [one.subject for one in told]
            for place, name in enumerate(self._counted.entities):
                texts[f"of_{name}"] = [one.ids[place] for one in told]
            for name, column in texts.items():
                arrays[f"{name}_text"], arrays[f"{name}_end"] = text_arrays.pack(column)
            return arrays

        return Capture.of(pack)

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""

        def column(name: str) -> list[str]:
            return text_arrays.unpack(arrays[f"{name}_text"], arrays[f"{name}_end"])

        times = arrays["time"].tolist()
        subjects = column("subject") if self._counted.subjects else [UNKNOWN_SUBJECT] * len(times)
        of_entities = [column(f"of_{name}") for name in self._counted.entities]
        rows = zip(column("id"), times, subjects, *of_entities, strict=True)
        self._frauds = {id_: Told(time_ms, subject, tuple(ids)) for id_, time_ms, subject, *ids in rows}

    def absorb(self, records: Sequence[Record]) -> None:
        """Remember frauds exactly as `process` does, without output."""
        for record in records:
            self._judge(record)

    async def process(self, records: Sequence[Record]) -> Result:
        """Frauds, and frauds taken back; a label that repeats the last verdict changes nothing."""
        changes: list[Change] = []
        faults: list[Fault] = []
        unplaced = 0
        for record in records:
            found = self._judge(record)
            if isinstance(found, Fault):
                faults.append(found)
            elif found == "unplaced":
                unplaced += 1
            elif found is not None:
                changes.append(found)
        writes = self._counted.writes(changes) if changes else []
        if faults:
            writes.append(self._letters.write(self._letters_topic, faults))
        return Result(writes, len(records), len(faults), faults, judged=unplaced)

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        return self._letters.refusal(self._letters_topic, fault)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        self._metrics.records.labels(self._label).inc(result.records)
        self._metrics.unplaced_labels.inc(result.judged or 0)
        count_faults(self._metrics, result.faults)

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""

    def _judge(self, record: Record) -> Change | Fault | Literal["unplaced"] | None:
        """What a label changes, if anything; unplaced: a fraud whose label names none of the entities, or no time."""
        limits = self._limits
        label = parsed(record, self._parse, limits.message_bytes_max)
        if isinstance(label, Fault):
            return label
        if problem := card_number_problem(label, scan_ids=limits.scan_ids):
            return Fault(record, DeadLetterReason.CARD_NUMBER, problem)
        for field, time_ms in (("event_time_ms", label.event_time_ms), ("labelled_at_ms", label.labelled_at_ms)):
            if time_ms is not None and (fault := limits.times.fault(record, field, time_ms)):
                return fault
        if label.verdict == "legitimate":
            taken_back = self._frauds.pop(label.transaction_id, None)
            return None if taken_back is None else Change(record, taken_back, "legitimate")
        if label.transaction_id in self._frauds:
            return None
        ids = self._counted.ids(label)
        if not ids or label.event_time_ms is None:
            return "unplaced"
        subject = (label.card_id if self._counted.subjects else None) or UNKNOWN_SUBJECT
        told = Told(label.event_time_ms, subject, tuple(ids.get(name, "") for name in self._counted.entities))
        self._frauds[label.transaction_id] = told
        if len(self._frauds) > limits.frauds_max:
            del self._frauds[next(iter(self._frauds))]
        return Change(record, told, "fraud")
