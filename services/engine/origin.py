"""Where the user's own record lies that an event on `events` was made of: in its headers, and in those of what it becomes.

Only who reads a topic that our own processes write looks, and by that topic's whole name: a record that its producer keyed for
us is its own origin, whatever its headers say.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    Topic,
)
from services.engine.batches import Headers, Record

ORIGIN = re.compile(rb"[A-Za-z0-9._-]{1,249}-[0-9]{1,10}@[0-9]{1,19}")
"""A position, as `assay-origin` has it: what is not of this form came from a stranger, and is not handed on."""

HANDED_ON = frozenset({ENTITY_EVENTS.name, ENTITY_FEATURES.name})

POSITION = (SOURCE_TOPIC_HEADER, SOURCE_PARTITION_HEADER, SOURCE_OFFSET_HEADER, SOURCE_SPEC_HEADER)


class Position(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Origins:
    """Where records name their origin. positions: full names of topics whose records intake wrote, with the position of the
    user's in their source headers. handed_on: of those whose records `assay entities` wrote, with the origin as it found it,
    and the position of the source's record in their source headers.
    """

    positions: frozenset[str] = frozenset()
    handed_on: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reads: Iterable[Topic], prefix: str) -> "Origins":
        """For a process that reads these topics: of the user's own none is believed, whatever its name."""
        ours = [topic for topic in reads if not topic.users]
        return cls(
            frozenset(topic.full_name(prefix) for topic in ours if topic.name == EVENTS.name),
            frozenset(topic.full_name(prefix) for topic in ours if topic.name in HANDED_ON),
        )

    def headers(self, record: Record) -> Headers:
        """What is handed on: the position of the user's record. Nothing where none of ours wrote it."""
        origin = None
        if record.topic in self.positions:
            found = dict(record.headers)
            if all(found.get(name) is not None for name in POSITION):
                topic, partition, offset, _ = (found[name] for name in POSITION)
                origin = b"%b-%b@%b" % (topic, partition, offset)
        elif record.topic in self.handed_on:
            origin = dict(record.headers).get(ORIGIN_HEADER)
        return [(ORIGIN_HEADER, origin)] if origin is not None and ORIGIN.fullmatch(origin) else []

    def event(self, record: Record) -> Position:
        """Where the event's own record lies: the source's, where stages of entities passed it on; else this one."""
        if record.topic in self.handed_on:
            found = dict(record.headers)
            topic, partition, offset = (found.get(name) or b"" for name in POSITION[:3])
            if topic and _is_number(partition, 9) and _is_number(offset, 18):
                return Position(topic.decode(errors="replace"), int(partition), int(offset))
        return Position(record.topic, record.partition, record.offset)


NO_ORIGINS = Origins()
"""Of a process whose input is written by its user, or by those that hand no origin on."""


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
