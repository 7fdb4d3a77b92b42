"""What the profiler says of the terminals, as a table that follows `terminal-profiles`."""

from collections.abc import Sequence

import structlog

from models.features.profiles import Profile, TerminalProfiles
from schemas import codec
from schemas.terminal import TerminalProfile
from services.engine.batches import Record

log = structlog.get_logger(__name__)

_decode = codec.decoder(TerminalProfile)


class ProfileTable:
    """The profiles made of the topic's records below `next_offset`. The same records in the same order give the same table."""

    def __init__(self) -> None:
        self.profiles = TerminalProfiles()
        self.next_offset = 0

    def apply(self, records: Sequence[Record]) -> None:
        """Take in the next records. One that is no profile is skipped, and said so."""
        for record in records:
            try:
                profile = _decode(record.value or b"")
            except codec.RejectedError as error:
                log.error("profiles.record_refused", offset=record.offset, why=str(error))
                continue
            self.profiles.put(
                profile.terminal_id, Profile(profile.last_day, list(profile.payments), list(profile.frauds))
            )
        if records:
            self.next_offset = records[-1].offset + 1
