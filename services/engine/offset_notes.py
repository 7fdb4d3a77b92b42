"""What is kept with a committed offset, in its metadata: whose log it belongs to, where its outputs begin, sums that are not
written yet, and why it is held.

Offset and note are committed in one step, so the note is never older or newer than the offset.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

HELD_MAX, SINCE_MAX, CARRIED_MAX = 900, 900, 2000
"""Characters. Brokers keep 4,096 bytes of each offset's metadata (offset.metadata.max.bytes)."""

_FORM = re.compile(
    r"log=([0-9a-f]{32})(?:; since=((?:[A-Za-z0-9._-]+:[0-9]+,?)+))?(?:; carried=([A-Za-z0-9+/=]+))?(?:; (.*))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class OffsetNote:
    """log_id: of the log whose offset it is. held: why, in words. carried: held back by the processor (`Result`).

    since: where this log's outputs begin, if a former log of that name has left some: `topic:offset`, comma-separated.
    """

    log_id: str | None = None
    held: str = ""
    carried: str = ""
    since: str = ""

    def __str__(self) -> str:
        held = self.held[:HELD_MAX]
        if self.log_id is None:
            return held
        parts = [f"log={self.log_id}"]
        parts += [f"{name}={value}" for name, value in (("since", self.since), ("carried", self.carried)) if value]
        return "; ".join([*parts, *([held] if held else [])])

    @property
    def begins(self) -> dict[str, int]:
        """By output topic, on the partition of the input partition's outputs: those before are a former log's."""
        return {
            topic: int(offset) for topic, _, offset in (part.rpartition(":") for part in self.since.split(",") if part)
        }

    @classmethod
    def read(cls, metadata: str | None) -> "OffsetNote":
        """What we wrote; earlier versions wrote why a partition is held, and nothing else."""
        found = _FORM.fullmatch(metadata or "")
        if found is None:
            return cls(held=metadata or "")
        return cls(found[1], found[4] or "", found[3] or "", found[2] or "")


def since(begins: Mapping[str, int]) -> str:
    """`begins` of a note as text; topics that are too many to be kept are left out, the last ones first."""
    text = ",".join(f"{topic}:{offset}" for topic, offset in begins.items())
    return text if len(text) <= SINCE_MAX else text[:SINCE_MAX].rpartition(",")[0]
