"""Finds the record on which a stage raises something unforeseen: the batch is cut until that record is alone.

Each time the state is thrown away and built again from what is committed, since it is unknown what the stage did to it. A
record is blamed only when it fails alone, twice, in the same way; what Kafka, the disk, the memory or the GPU does wrong is
never blamed on a record.
"""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from numpy.typing import NDArray

from services.engine.batches import Processor, Record
from services.errors import AssayError, StateOutdatedError

PARTS = 16
"""Into how many a batch that failed is cut: 2,000 records are down to one after three cuts."""

IN_A_ROW_MAX = 5
"""Unscorable records without a scored one between them: more, and it is not the records. The partition is held."""


class SuspectError(Exception):
    """A stage raised something unforeseen on a batch: its offsets. Its cause is what it raised."""


NOT_OF_THE_RECORDS = (KafkaError, OSError, TimeoutError, MemoryError, AssayError, StateOutdatedError, SuspectError)


class UnsendableError(Exception):
    """Outputs that cannot be put into a batch for Kafka. Its cause says why."""


def origin_of(error: SuspectError) -> dict[str, str]:
    """The type of what a stage raised, and where. Not its text, which may quote a payload."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    frames = traceback.extract_tb(cause.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(cause).__name__, "where": where, "offsets": str(error)}


def suspicious(error: Exception) -> bool:
    """Whether the records may be to blame for what a stage, or the sending of its outputs, raised."""
    return not isinstance(error, NOT_OF_THE_RECORDS)


class Suspects:
    """Of one partition. Forgotten with its worker: the next owner finds the same record in the same way."""

    def __init__(self) -> None:
        self._end: int | None = None
        """Behind the last record of the part that failed last; None while nothing is suspected."""
        self._records_max = 0
        self._failed_alone: dict[int, str] = {}
        self._unscorable: dict[int, str] = {}
        self.not_folded: set[int] = set()
        """Offsets on which the fold itself raises: they leave no trace in the state."""

    def blame(self, batch: Sequence[Record], error: Exception) -> None:
        """A batch failed: cut it smaller, or blame its one record."""
        cause = error.__cause__ if isinstance(error, UnsendableError) and error.__cause__ else error
        name, offset = type(cause).__name__, int(batch[0].offset)
        if len(batch) == 1 and self._failed_alone.get(offset) == name:
            self._unscorable[offset] = name
        elif len(batch) == 1:
            self._failed_alone[offset] = name
        self._end = int(batch[-1].offset) + 1
        self._records_max = -(-len(batch) // PARTS)

    def why(self, record: Record) -> str | None:
        """What a stage raises on this record; None where it is not blamed."""
        return self._unscorable.get(record.offset) if self._unscorable else None

    def cut(self, batch: Sequence[Record]) -> Sequence[Sequence[Record]]:
        """The batch in the parts to process: small ones where it is suspected, unscorable records alone."""
        if self._end is None:
            return [batch]
        parts, start = [], 0
        for place in range(1, len(batch)):
            if self._ends_part(batch[place - 1], batch[place], place - start):
                parts.append(batch[start:place])
                start = place
        return [*parts, batch[start:]]

    def _ends_part(self, record: Record, following: Record, records: int) -> bool:
        """Whether a part of so many records that ends with `record` is full."""
        assert self._end is not None, "nothing is suspected"
        if record.offset in self._unscorable or following.offset in self._unscorable:
            return True
        return record.offset < self._end and (following.offset >= self._end or records >= self._records_max)

    def committed(self, next_offset: int) -> None:
        """Everything before is settled."""
        if self._end is not None and next_offset >= self._end:
            self.forgive()

    def forgive(self) -> None:
        """Nothing is suspected any more; what the fold cannot take stays so."""
        self._end, self._failed_alone, self._unscorable = None, {}, {}

    def foldable(self, records: Sequence[Record]) -> Sequence[Record]:
        """Records without those that the fold cannot take."""
        if not self.not_folded:
            return records
        return [record for record in records if record.offset not in self.not_folded]


class Folding:
    """A processor as `restore` uses it: a record on which the fold raises is found and left out, in the same way."""

    def __init__(self, processor: Processor, suspects: Suspects) -> None:
        self._processor, self._suspects = processor, suspects
        self.stateless: bool = getattr(processor, "stateless", False)

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over the state of a snapshot."""
        self._processor.restore(arrays)

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold records without output. Raises SuspectError where the state must be built again."""
        for part in self._suspects.cut(self._suspects.foldable(records)):
            if part:
                fold(self._processor, part, self._suspects)


def fold(processor: Processor, part: Sequence[Record], suspects: Suspects) -> None:
    """Absorb. Raises SuspectError, the part or its one record suspected, where the fold raises something unforeseen."""
    try:
        processor.absorb(part)
    except Exception as error:
        if not suspicious(error):
            raise
        if len(part) == 1:
            suspects.not_folded.add(int(part[0].offset))
        else:
            suspects.blame(part, error)
        raise SuspectError(f"{part[0].offset} to {part[-1].offset}") from error
