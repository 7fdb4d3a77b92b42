"""Where the user's own record lies that an event on `events` was made of: in its headers, and in those of what it becomes.

Only a scorer of a routed source looks: a record that its producer keyed for us is its own origin.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from schemas.topics import (
    ENTITY_EVENTS,
    ENTITY_FEATURES,
    EVENTS,
    ORIGIN_HEADER,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_SPEC_HEADER,
    SOURCE_TIMESTAMP_HEADER,
    SOURCE_TOPIC_HEADER,
)
from services.engine.batches import Headers, Record

ORIGIN = re.compile(rb"[A-Za-z0-9._-]{1,249}-[0-9]{1,10}@[0-9]{1,19}")
"""A position, as `assay-origin` has it: what is not of this form came from a stranger, and is not handed on."""

WITH_ORIGIN = tuple(topic.name for topic in (EVENTS, ENTITY_EVENTS, ENTITY_FEATURES))
"""Topics that only our own processes write, whatever their prefix: on any other, such a header is its producer's word."""

POSITION = (SOURCE_TOPIC_HEADER, SOURCE_PARTITION_HEADER, SOURCE_OFFSET_HEADER, SOURCE_SPEC_HEADER)


PASSED_ON = (ENTITY_EVENTS.name, ENTITY_FEATURES.name)


class Position(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


def position_of_event(record: Record) -> Position:
    """Where the event's own record lies: the source's, where stages of entities passed it on; else this one."""
    if record.topic.endswith(PASSED_ON):
        found = dict(record.headers)
        topic, partition, offset = (found.get(name) or b"" for name in POSITION[:3])
        if topic and _is_number(partition, 9) and _is_number(offset, 18):
            return Position(topic.decode(errors="replace"), int(partition), int(offset))
    return Position(record.topic, record.partition, record.offset)


def origin_headers(record: Record) -> Headers:
    """What is handed on: the position of the user's record. Nothing where intake did not make the record."""
    found = dict(getattr(record, "headers", ()))
    origin = found.get(ORIGIN_HEADER)  # handed on by the stages of entities
    if origin is None and all(found.get(name) is not None for name in POSITION):
        topic, partition, offset, _ = (found[name] for name in POSITION)
        origin = b"%b-%b@%b" % (topic, partition, offset)
    believed = origin is not None and record.topic.endswith(WITH_ORIGIN) and ORIGIN.fullmatch(origin)
    return [(ORIGIN_HEADER, origin)] if origin is not None and believed else []


def origin_timestamps_ms(records: Sequence[Record]) -> list[int]:
    """When the users' records were produced, from which latency counts; the record's own time where no header says."""
    return [_timestamp_ms(record) for record in records]


def _is_number(text: bytes, digits_max: int) -> bool:
    return text.isdigit() and len(text) <= digits_max


def _timestamp_ms(record: Record) -> int:
    for name, value in record.headers:
        if name == SOURCE_TIMESTAMP_HEADER and value and len(value) <= 13 and value.isdigit():
            return int(value)
    return int(record.timestamp)
