"""What labels say, on its way to the entities: onto the partition of each of them on `entity-events`, to be folded there."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.entities import entity_ids
from models.features.layout import entity_fields
from schemas.label import Label, Verdict
from schemas.times import EVENT_TIME_MS_MAX
from schemas.topics import ENTITY_EVENTS, ENTITY_HEADER, ENTITY_LABEL_HEADER, SOURCE_PARTITION_HEADER
from services.engine.batches import Headers, Record, Write
from services.engine.faults import headers_of
from services.engine.placement import Subjects
from services.entities.chain import Chain, key_of
from services.profiler.labels import Change, Counted, Told

STATE_VERSION = 1


class VerdictAbout(NamedTuple):
    """What a stage folds: a payment of an entity's id was a fraud, or, taking that back, was none."""

    event_time_ms: int
    subject: str
    fraud: bool


def by_entity(prefix: str, chain: Chain) -> Counted:
    """Frauds by the entities of which features read labels. prefix: of topics."""
    spec, names, topic = chain.spec, chain.spec.labelled, prefix + ENTITY_EVENTS.name
    fields = {name: entity_fields(spec, name) for name in names}

    def ids(label: Label) -> Mapping[str, str]:
        """Of the entities that it names, as the events of the payment would have them."""
        given = {**label.ids, "card_id": label.card_id, "terminal_id": label.terminal_id}
        found = {}
        for name in names:
            columns = {field: [given.get(field) or NO_VALUE] for field in fields[name]}
            (id_,) = entity_ids(spec, name, TransactionColumns(columns, np.zeros(1, np.int64), np.zeros(1)))
            if id_ != NO_VALUE:
                found[name] = id_
        return found

    def writes(changes: Sequence[Change]) -> list[Write]:
        """To each entity."""
        keys: list[str] = []
        values: list[bytes | None] = []
        headers: list[Headers] = []
        stamps: list[int] = []
        for record, told, verdict in changes:
            value = verdict_bytes(told, verdict)
            for name, id_ in zip(names, told.ids, strict=True):
                if not id_:
                    continue
                keys.append(key_of(name, id_))
                values.append(value)
                own: Headers = [(ENTITY_HEADER, name.encode()), (ENTITY_LABEL_HEADER, verdict.encode())]
                headers.append([*own, *headers_of(record)])
                stamps.append(record.timestamp)
        content: list[bytes | None] = [key.encode() for key in keys]
        return [Write(topic, content, values, headers, stamps, Subjects.of(keys).partitions)]

    return Counted(f"labels-{STATE_VERSION}:{chain.labelled_digest}", names, ids, writes, subjects=True)


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
