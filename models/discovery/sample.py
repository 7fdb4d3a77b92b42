"""A sample of a topic or a file: records as the parser takes them, with their keys and partitions where they have any."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

RECORDS_MAX = 4_000
"""Of a sample, where nothing else is asked for."""


class DiscoveryError(ValueError):
    """A sample that nothing can be found out about, in one sentence with the next step."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. where: its place, in words. fault: why a file's row is none."""

    payload: bytes
    where: str
    key: bytes | None = None
    partition: int = 0
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Some records of a topic or a file.

    partitions: of the topic; 0 for a file. table: whether it is of a table, whose cells say nothing of types of JSON. format,
    envelope: of the topic's records, of which the payloads here are the events as JSON.
    """

    name: str
    records: Sequence[Record]
    partitions: int = 0
    table: bool = False
    format: str = "json"
    envelope: str = "none"
    notes: Sequence[str] = field(default_factory=list)

    @property
    def of_topic(self) -> bool:
        """Whether it has keys and partitions."""
        return self.partitions > 0


def sampled(records: int, records_max: int) -> Sequence[int]:
    """Places of a sample, in order; the same for the same numbers. Even steps could miss a rhythm of the records."""
    if records <= records_max:
        return range(records)
    return sorted(random.Random(records).sample(range(records), records_max))


def objects(sample: Sample) -> list[dict[str, Any] | None]:
    """Each record's object; None for what is no object of JSON. Raises DiscoveryError where hardly any is one."""
    found = [_object(record.payload) for record in sample.records]
    if not found:
        raise DiscoveryError(f"{sample.name} holds no record: send some, or give a file with rows.")
    bad = sum(value is None for value in found)
    if 2 * bad > len(found):
        raise DiscoveryError(
            f"{bad:,} of {len(found):,} records of {sample.name} are no objects of JSON: give a topic or a file of them, or "
            "say what a topic's records are with --format."
        )
    return found


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
