"""From validated events to records of `events`: each on its subject's partition, with the position of the user's own record."""

import re
from collections.abc import Sequence

import numpy as np

from schemas.source_spec import SourceSpec
from schemas.topics import EVENTS, SOURCE_SPEC_HEADER, position_headers
from services.engine.batches import Headers, Record, Write
from services.engine.placement import Subjects

TRACE_HEADERS = {
    "traceparent": re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "tracestate": re.compile(rb"[a-z0-9_*/@-]{1,256}=[\x21-\x2b\x2d-\x3c\x3e-\x7e]{1,256}"),
}
"""W3C trace context, one vendor's: what is not of this form came from no tracer, and is not handed on."""

DIGEST_CHARACTERS = 16


class Router:
    """Makes the records of `events`."""

    def __init__(self, prefix: str, spec: SourceSpec, partitions: int) -> None:
        """spec: of the user's source. partitions: of `events`."""
        self.prefix, self._topic, self._partitions = prefix, prefix + EVENTS.name, partitions
        self._spec = (SOURCE_SPEC_HEADER, spec.digest()[:DIGEST_CHARACTERS].encode())

    def writes(self, records: Sequence[Record], subjects: Subjects, values: Sequence[bytes]) -> list[Write]:
        """One write for each partition of `events` that gets some; on each, events keep the order of their records."""
        if not records:
            return []
        headers = self._headers(records)
        keys = [subject.encode() for subject in subjects.ids]
        places = subjects.partitions(self._partitions)
        order = np.argsort(places, kind="stable")
        numbers, starts = np.unique(places[order], return_index=True)
        writes = []
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
            chosen = rows.tolist()
            writes.append(
                Write(
                    self._topic,
                    [keys[row] for row in chosen],
                    [values[row] for row in chosen],
                    [headers[row] for row in chosen],
                    partition=number,
                )
            )
        return writes

    def _headers(self, records: Sequence[Record]) -> list[Headers]:
        first = records[0]
        offsets, timestamps_ms = [record.offset for record in records], [record.timestamp for record in records]
        found = position_headers(first.topic, first.partition, offsets, timestamps_ms)
        for headers, record in zip(found, records, strict=True):
            headers.append(self._spec)
            if record.headers:
                headers += [(name, value) for name, value in record.headers if _is_trace(name, value)]
        return found


def _is_trace(name: str, value: bytes | None) -> bool:
    form = TRACE_HEADERS.get(name)
    return form is not None and value is not None and form.fullmatch(value) is not None
