"""A partition that is held: why, which records, and what an operator may do about it on the running process.

Held means: too many of the last records are dead letters, so nothing of the batch that crossed the line is committed and the
partition waits for an operator. It can be let through, up to an offset that is named, or tried again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.engine.batches import Record
from services.engine.faults import Fault

FAULTS_SHOWN_MAX = 1000

HELD_AT = " is held at offset "
"""In the metadata of a committed offset, where readers of the group find it."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an operator decides about. first_offset: nothing from it on is committed. Never a payload in it."""

    partition: str
    first_offset: int
    last_offset: int
    records: int
    cause: str
    reasons: dict[str, int]
    faults: tuple[tuple[int, str, str], ...]
    """Offset, reason, detail."""

    @classmethod
    def of(cls, partition: str, batch: Sequence[Record], faults: Sequence[Fault], cause: str) -> "Held":
        """A batch that is not committed, and what is wrong with it."""
        reasons = Counter(fault.reason.value for fault in faults)
        shown = tuple((int(f.record.offset), f.reason.value, f.detail) for f in faults[:FAULTS_SHOWN_MAX])
        first, last = int(batch[0].offset), int(batch[-1].offset)
        return cls(partition, first, last, len(batch), cause, dict(reasons.most_common()), shown)

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.reasons.items())
        where = f"{self.partition}{HELD_AT}{self.first_offset}"
        return f"{where}: {self.cause}; of the {self.records} from there on {reasons}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "partition": self.partition,
            "first_offset": self.first_offset,
            "last_offset": self.last_offset,
            "records": self.records,
            "cause": self.cause,
            "reasons": self.reasons,
            "faults": [
                {"offset": offset, "reason": reason, "detail": detail} for offset, reason, detail in self.faults
            ],
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """An operator's decision about a held partition.

    let_through_below: dead letters of the offsets below hold nothing. None: the partition is only tried again.
    """

    first_offset: int
    let_through_below: int | None
