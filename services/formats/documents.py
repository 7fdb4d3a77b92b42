"""Records of any format and envelope as records of plain JSON, which the decoder reads; those that are stay as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from schemas.source_spec import SourceSpec
from services.engine.batches import Headers, Record
from services.engine.faults import Fault
from services.formats.reader import PassedOver, RecordReader


class Document(NamedTuple):
    """A record with its event's JSON in place of its value. record: itself."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Headers
    value: bytes
    record: Record


@dataclass(frozen=True, slots=True)
class Documents:
    """What became of some records. passed_over: how many are no events by their envelope: deletions, tombstones."""

    records: Sequence[Record]
    faults: list[Fault] = field(default_factory=list)
    passed_over: int = 0


async def documents(reader: RecordReader, source: SourceSpec, records: Sequence[Record]) -> Documents:
    """The records as JSON. Waits for a schema registry that does not answer: no record is at fault for that."""
    if source.is_json:
        return Documents(records)
    await reader.prepare(records)
    found: list[Record] = []
    faults: list[Fault] = []
    passed_over = 0
    for record in records:
        made = reader.to_json(record)
        if isinstance(made, Fault):
            faults.append(made)
        elif isinstance(made, PassedOver):
            passed_over += 1
        else:
            at = record.topic, record.partition, record.offset, record.timestamp
            found.append(Document(*at, record.key, record.headers, made, record))
    return Documents(found, faults, passed_over)


def of_records(faults: Sequence[Fault]) -> list[Fault]:
    """The same faults, of the records as they lie on the user's topic."""
    return [
        replace(fault, record=fault.record.record) if isinstance(fault.record, Document) else fault for fault in faults
    ]
