"""Which inputs are due an event, a score or a dead letter: not those that their envelope or the source spec passes over."""

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from models.sources.parser import EventParser
from schemas import codec
from schemas.source_spec import SourceSpec
from services.formats import RecordReader
from services.formats.documents import documents
from services.verification.read import STALL_S_MAX, VerificationError


class Meant:
    """Of one source. spec: of its records; without one all are meant. reader: of their format and envelope."""

    def __init__(self, spec: SourceSpec | None, reader: RecordReader | None = None) -> None:
        self._spec, self._reader = spec, reader
        self._parser = EventParser(spec) if spec is not None and spec.select else None

    def selects(self, value: bytes | None) -> bool:
        """Whether the source spec selects an event; one that it cannot tell of is due a dead letter."""
        try:
            return self._parser is None or not value or self._parser.meant(value)
        except codec.RejectedError:
            return True

    async def of(self, records: Sequence[Any]) -> list[Any]:
        """Those of some records, in order of offset; with a reader their values are JSON.

        Raises VerificationError where no schema registry answers for a minute.
        """
        found: Sequence[Any] = records
        if self._spec is not None and self._reader is not None:
            try:
                async with asyncio.timeout(STALL_S_MAX):
                    read = await documents(self._reader, self._spec, records)
            except TimeoutError:
                raise VerificationError(
                    f"The records of {self._spec.topic} cannot be read: {self._reader.waits_for()}: check "
                    "ASSAY_SCHEMA_REGISTRY_URL."
                ) from None
            found = sorted([*read.records, *(fault.record for fault in read.faults)], key=attrgetter("offset"))
        return [record for record in found if self.selects(record.value)]
