"""Bad input: one dead letter each, and a cap so that a misconfigured topic is not drained into them."""

import secrets
from collections import deque
from collections.abc import Sequence

from schemas import codec
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.privacy import PrivacyKey
from services.engine.batches import Record, Result, Write
from services.engine.faults import Fault, headers_of
from services.engine.origin import NO_ORIGINS, Origins
from services.settings.processing import RuntimeSettings

CAP_RECORDS_MIN = 100
"""Below this many records a share says nothing."""


def privacy_key(runtime: RuntimeSettings) -> PrivacyKey:
    """The key from the settings, or a random one that ends with the process."""
    if runtime.privacy_key is None:
        return PrivacyKey("ephemeral", secrets.token_bytes(32))
    return PrivacyKey(runtime.privacy_key_id, runtime.privacy_key.get_secret_value().encode())


class DeadLetterWriter:
    """Makes dead letters."""

    def __init__(self, key: PrivacyKey, origins: Origins = NO_ORIGINS) -> None:
        """origins: of the topics that are read."""
        self._key, self.origins = key, origins
        self._letter = codec.record_type(DeadLetter)

    def encode(self, source: Record, reason: DeadLetterReason, detail: str) -> bytes:
        """The dead letter of one record. `detail` must not quote the payload."""
        payload = source.value or b""
        return codec.encode(
            self._letter(
                reason=reason,
                detail=detail,
                source_topic=source.topic,
                source_partition=source.partition,
                source_offset=source.offset,
                payload_bytes=len(payload),
                payload_hmac_sha256=self._key.hash(payload),
                key_id=self._key.key_id,
            )
        )

    def write(self, topic: str, faults: Sequence[Fault]) -> Write:
        """Dead letters for `topic`, in the order of the faults."""
        write = Write(topic)
        for fault in faults:
            source = fault.record
            write.append(None, self.encode(source, fault.reason, fault.detail), headers_of(source, self.origins))
        return write

    def refusal(self, topic: str, fault: Fault) -> Result:
        """What becomes of one record on which a stage raises: its dead letter for `topic`, and nothing else."""
        return Result([self.write(topic, [fault])], 1, 1, (fault,))


class DeadLetterCap:
    """Watches the share of dead letters among a partition's last records."""

    def __init__(self, share_max: float, window_records: int) -> None:
        self._share_max = share_max
        self._window_records = window_records
        self._batches: deque[tuple[int, int]] = deque()
        self._records = 0
        self._dead_letters = 0

    def exceeded(self, records: int, dead_letters: int) -> bool:
        """Whether the share over the window would be above the cap with one more batch."""
        records, dead_letters = self._records + records, self._dead_letters + dead_letters
        for old_records, old_dead_letters in self._batches:
            if records - old_records < self._window_records:
                break
            records, dead_letters = records - old_records, dead_letters - old_dead_letters
        return records >= CAP_RECORDS_MIN and dead_letters > self._share_max * records

    def count(self, records: int, dead_letters: int) -> None:
        """One more batch, once it is committed."""
        self._batches.append((records, dead_letters))
        self._records += records
        self._dead_letters += dead_letters
        while self._records - self._batches[0][0] >= self._window_records:
            old_records, old_dead_letters = self._batches.popleft()
            self._records -= old_records
            self._dead_letters -= old_dead_letters
