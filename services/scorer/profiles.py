"""What the profiler says of the terminals, as a table that follows `terminal-profiles`."""

from collections.abc import Sequence

from models.features.profiles import Profile, TerminalProfiles
from schemas import codec
from schemas.terminal import TerminalProfile
from schemas.topics import TERMINAL_PROFILES
from services.engine.batches import Record
from services.engine.tables import each
from services.observability.metrics import Metrics

_decode = codec.decoder(TerminalProfile)


class ProfileTable:
    """The profiles made of the topic's records below `next_offset`. The same records in the same order give the same table."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.profiles = TerminalProfiles()
        self.next_offset = 0
        self._metrics = metrics or Metrics()

    def apply(self, records: Sequence[Record]) -> None:
        """Take in the next records. An invalid one is skipped, counted and logged."""
        each(TERMINAL_PROFILES, records, self._take, self._metrics)
        if records:
            self.next_offset = records[-1].offset + 1

    def _take(self, record: Record) -> None:
        if record.value is None and record.key:  # it made room for others
            self.profiles.remove(record.key.decode())
            return
        profile = _decode(record.value or b"")
        self.profiles.put(profile.terminal_id, Profile(profile.last_day, list(profile.payments), list(profile.frauds)))
