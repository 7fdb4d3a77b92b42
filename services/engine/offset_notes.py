"""What is kept with a committed offset, in its metadata: whose log it belongs to, what is not in the sums yet, why it is held.

Offset and note are committed in one step, so the note is never older or newer than the offset.
"""

import re
from dataclasses import dataclass

METADATA_MAX = 1000
"""Of an offset: brokers keep 4,096 bytes (offset.metadata.max.bytes)."""

_FORM = re.compile(r"log=([0-9a-f]{32})(?: uncounted_from=(\d{1,19}))?(?:; (.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OffsetNote:
    """log_id: of the log whose offset it is. uncounted_from: the first offset that no sum covers yet. held: why, in words."""

    log_id: str | None = None
    uncounted_from: int | None = None
    held: str = ""

    def __str__(self) -> str:
        if self.log_id is None:
            return self.held[:METADATA_MAX]
        counted = "" if self.uncounted_from is None else f" uncounted_from={self.uncounted_from}"
        return f"log={self.log_id}{counted}{'; ' if self.held else ''}{self.held}"[:METADATA_MAX]

    @classmethod
    def read(cls, metadata: str | None) -> "OffsetNote":
        """What we wrote; earlier versions wrote why a partition is held, and nothing else."""
        found = _FORM.fullmatch(metadata or "")
        if found is None:
            return cls(held=metadata or "")
        return cls(found[1], int(found[2]) if found[2] else None, found[3] or "")
