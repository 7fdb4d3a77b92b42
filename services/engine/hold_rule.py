"""When a partition is held: too many of its records are dead letters, or a stage raises on whatever it is given."""

from collections.abc import Sequence

from schemas.dead_letter import DeadLetterReason
from services.engine.batches import Record, Result
from services.engine.dead_letters import DeadLetterCap
from services.engine.suspects import IN_A_ROW_MAX
from services.settings.processing import RuntimeSettings


class HoldRule:
    """Of one partition. Forgotten with its worker: the next owner counts from nothing."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self.let_through_below = 0
        self._start_over()

    def _start_over(self) -> None:
        self._cap = DeadLetterCap(self._settings.dead_letter_share_max, self._settings.dead_letter_window_records)
        self._unscorable_in_a_row = 0

    def let_through(self, below: int) -> None:
        """Dead letters of the offsets below hold nothing: an operator's decision."""
        self.let_through_below = below
        self._start_over()

    def why(self, result: Result, blamed: str | None, batch: Sequence[Record]) -> str | None:
        """Why the dead letters of a result are too many to be committed without an operator; None where they are not.

        blamed: what a stage raises on the batch's one record, if it does.
        """
        if not result.faults or batch[0].offset < self.let_through_below:
            return None
        if blamed is not None and self._unscorable_in_a_row >= IN_A_ROW_MAX:
            return f"a stage raises {blamed} on more than {IN_A_ROW_MAX} records in a row, so it is not the records"
        if self._cap.exceeded(*_for_the_cap(result)):
            return f"more than {self._settings.dead_letter_share_max:.0%} of the last records are dead letters"
        return None

    def count(self, result: Result, blamed: str | None) -> None:
        """One more result, once it is committed."""
        self._cap.count(*_for_the_cap(result))
        if blamed is not None:
            self._unscorable_in_a_row += 1
        elif len(result.faults) < result.records:
            self._unscorable_in_a_row = 0


def _for_the_cap(result: Result) -> tuple[int, int]:
    """Records and dead letters of a result, without repetitions: a source that repeats itself does not send garbage."""
    if not result.faults:
        return result.records, 0
    repeated = sum(fault.reason is DeadLetterReason.DUPLICATE for fault in result.faults)
    return result.records - repeated, result.dead_letters - repeated
