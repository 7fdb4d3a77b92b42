"""The labels' part: each verdict goes to the entities of its payment, on their partitions of `entity-events`, to be folded.

A label names the payment's ids itself (`card_id`, `terminal_id`, and others in `ids`). Of the labels of one payment the last
counts; one that takes a fraud back finds the ids that were named with the fraud.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition

from models.features import text_arrays
from models.features.capture import Arrays, Capture
from models.features.columns import NO_VALUE, TransactionColumns
from models.features.entities import entity_ids
from models.features.layout import entity_fields
from schemas.label import Label, Verdict
from schemas.times import EVENT_TIME_MS_MAX
from schemas.topics import DEAD_LETTERS, ENTITY_EVENTS, ENTITY_HEADER, ENTITY_LABEL_HEADER, SOURCE_PARTITION_HEADER
from services.engine.batches import Headers, Record, Result, Write
from services.engine.dead_letters import DeadLetterWriter
from services.engine.faults import Fault, TimeLimits, count_faults, headers_of
from services.engine.placement import Subjects
from services.entities.chain import Chain, key_of
from services.observability.metrics import Metrics
from services.profiler.judged import FraudsKnown
from services.scorer.processor import Limits

STATE_VERSION = 1
UNKNOWN_SUBJECT = "\1"
"""Stands for the card of a label that names none: no accepted id holds it."""


class Told(NamedTuple):
    """A fraud that was sent on: when it happened, whose it was, and the ids of its entities."""

    event_time_ms: int
    subject: str
    ids: dict[str, str]


class VerdictAbout(NamedTuple):
    """What a stage folds: a payment of an entity's id was a fraud, or, taking that back, was none."""

    event_time_ms: int
    subject: str
    fraud: bool


class LabelProcessor:
    """One partition of `labels`, keyed by transaction: every verdict on a payment comes here, in order."""

    def __init__(
        self,
        source: TopicPartition,
        prefix: str,
        chain: Chain,
        limits: Limits,
        frauds_max: int,
        letters: DeadLetterWriter,
        metrics: Metrics,
    ) -> None:
        """frauds_max: remembered, so that a later label can take one back."""
        self._prefix, self._chain = prefix, chain
        self._letters, self._metrics = letters, metrics
        self._label = metrics.label(source)
        times = TimeLimits(limits.event_ahead_ms_max, limits.event_time_ms_min)
        self._known = FraudsKnown(limits.message_bytes_max, times, frauds_max, self._place, scan_ids=limits.scan_ids)
        self._fields = {name: entity_fields(chain.spec, name) for name in chain.spec.labelled}
        self.state_key = (
            f"labels-{STATE_VERSION}:{chain.labelled_digest}:{frauds_max}:{limits.message_bytes_max}"
            f":{limits.event_ahead_ms_max}:{limits.event_time_ms_min}:{limits.scan_ids:d}"
        )

    def snapshot(self) -> Capture:
        """The frauds known, in the order in which they came."""
        frauds = self._known.frauds.copy()

        def pack() -> Arrays:
            arrays: Arrays = {"time": np.array([told.event_time_ms for told in frauds.values()], np.int64)}
            texts = {"id": list(frauds), "subject": [told.subject for told in frauds.values()]}
            texts |= {f"of_{name}": [told.ids.get(name, "") for told in frauds.values()] for name in self._fields}
            for name, column in texts.items():
                arrays[f"{name}_text"], arrays[f"{name}_end"] = text_arrays.pack(column)
            return arrays

        return Capture.of(pack)

    def restore(self, arrays: Arrays) -> None:
        """Take over the state of a snapshot. Raises ValueError or KeyError where it does not fit."""

        def column(name: str) -> list[str]:
            return list(text_arrays.unpack(arrays[f"{name}_text"], arrays[f"{name}_end"]))

        of_entities = [column(f"of_{name}") for name in self._fields]
        rows = zip(column("id"), arrays["time"].tolist(), column("subject"), *of_entities, strict=True)
        self._known.frauds = {
            id_: Told(time_ms, subject, {name: own for name, own in zip(self._fields, ids, strict=True) if own})
            for id_, time_ms, subject, *ids in rows
        }

    def absorb(self, records: Sequence[Record]) -> None:
        """Remember frauds exactly as `process` does, without output."""
        for record in records:
            self._known.judge(record)

    async def process(self, records: Sequence[Record]) -> Result:
        """Frauds, and frauds taken back, to each entity; a label that repeats the last verdict changes nothing."""
        keys: list[str] = []
        values: list[bytes | None] = []
        headers: list[Headers] = []
        stamps: list[int] = []
        faults: list[Fault] = []
        unplaced = 0
        for record in records:
            found = self._known.judge(record)
            if isinstance(found, Fault):
                faults.append(found)
            elif found == "unplaced":
                unplaced += 1
            elif found is not None:
                told, verdict = found
                value = verdict_bytes(told, verdict)
                for name, id_ in told.ids.items():
                    keys.append(key_of(name, id_))
                    values.append(value)
                    own: Headers = [(ENTITY_HEADER, name.encode()), (ENTITY_LABEL_HEADER, verdict.encode())]
                    headers.append([*own, *headers_of(record)])
                    stamps.append(record.timestamp)
        owners = Subjects.of(keys)
        content: list[bytes | None] = [key.encode() for key in keys]
        topic = self._prefix + ENTITY_EVENTS.name
        writes = [Write(topic, content, values, headers, stamps, owners.partitions)] if keys else []
        if faults:
            writes.append(self._letters.write(self._prefix + DEAD_LETTERS.name, faults))
        return Result(writes, len(records), len(faults), faults, judged=unplaced)

    def refuse(self, fault: Fault, *, folded: bool) -> Result:
        """A dead letter for one record on which a stage raises."""
        if folded:
            self.absorb([fault.record])
        return self._letters.refusal(self._prefix + DEAD_LETTERS.name, fault)

    def committed(self, result: Result) -> None:
        """Count what is committed."""
        self._metrics.records.labels(self._label).inc(result.records)
        self._metrics.unplaced_labels.inc(result.judged or 0)
        count_faults(self._metrics, result.faults)

    def flush(self, *, force: bool = False) -> Result | None:
        """Nothing is held back."""

    def _place(self, label: Label) -> Told | None:
        """The entities that it names, and when; None where it names none of them, or no time."""
        ids = self._ids(label)
        if not ids or label.event_time_ms is None:
            return None
        return Told(label.event_time_ms, label.card_id or UNKNOWN_SUBJECT, ids)

    def _ids(self, label: Label) -> dict[str, str]:
        """Of the entities that it names, as the events of the payment would have them."""
        given = {**label.ids, "card_id": label.card_id, "terminal_id": label.terminal_id}
        found = {}
        for name, fields in self._fields.items():
            ids = {field: [given.get(field) or NO_VALUE] for field in fields}
            (id_,) = entity_ids(self._chain.spec, name, TransactionColumns(ids, np.zeros(1, np.int64), np.zeros(1)))
            if id_ != NO_VALUE:
                found[name] = id_
        return found


def verdict_bytes(told: Told, verdict: Verdict) -> bytes:
    """What lies on `entity-events`."""
    return b"%d %b %b" % (told.event_time_ms, verdict.encode(), told.subject.encode())


def is_verdict(record: Record) -> bool:
    """Whether a record of `entity-events` is of a label: our own writer puts that second."""
    headers = record.headers
    return len(headers) > 1 and headers[1][0] == ENTITY_LABEL_HEADER


def verdict_of(record: Record) -> VerdictAbout | None:
    """What such a record says; None where `assay entities` did not write it."""
    try:
        time_ms, verdict, subject = (record.value or b"").split(b" ", 2)
        if verdict not in (b"fraud", b"legitimate") or SOURCE_PARTITION_HEADER not in dict(record.headers):
            return None
        if not (time_ms.isdigit() and int(time_ms) <= EVENT_TIME_MS_MAX):
            return None
        return VerdictAbout(int(time_ms), subject.decode(), verdict == b"fraud")
    except ValueError:
        return None
