"""What is kept with a committed offset, in its metadata: whose log it belongs to, and why it is held.

Offset and note are committed in one step, so the note is never older or newer than the offset.
"""

import re
from dataclasses import dataclass

METADATA_MAX = 1000
"""Of an offset: brokers keep 4,096 bytes (offset.metadata.max.bytes)."""

_FORM = re.compile(r"log=([0-9a-f]{32})(?:; (.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OffsetNote:
    """log_id: of the log whose offset it is. held: why, in words."""

    log_id: str | None = None
    held: str = ""

    def __str__(self) -> str:
        if self.log_id is None:
            return self.held[:METADATA_MAX]
        return f"log={self.log_id}{'; ' if self.held else ''}{self.held}"[:METADATA_MAX]

    @classmethod
    def read(cls, metadata: str | None) -> "OffsetNote":
        """What we wrote; earlier versions wrote why a partition is held, and nothing else."""
        found = _FORM.fullmatch(metadata or "")
        if found is None:
            return cls(held=metadata or "")
        return cls(found[1], found[2] or "")
