"""What each reader of `labels` asks of a label: whether it counts, and what it changes of what is known of its payment."""

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from schemas import codec
from schemas.dead_letter import DeadLetterReason
from schemas.label import Label, Verdict, card_number_problem
from services.engine.batches import Record
from services.engine.faults import Fault, TimeLimits, parsed

F = TypeVar("F")


class FraudsKnown(Generic[F]):
    """Judges labels in their order, and remembers up to `frauds_max` frauds, so that a later label can take one back.

    place: where a reader keeps a fraud; None where its label does not say enough. scan_ids: for card numbers, in all ids and
    not in the card's alone.
    """

    def __init__(
        self,
        message_bytes_max: int,
        times: TimeLimits,
        frauds_max: int,
        place: Callable[[Label], F | None],
        *,
        scan_ids: bool,
    ) -> None:
        self._bytes_max, self._times, self._frauds_max = message_bytes_max, times, frauds_max
        self._place, self._scan_ids = place, scan_ids
        self._parse = codec.decoder(Label)
        self.frauds: dict[str, F] = {}
        """By payment, in the order in which they came."""

    def judge(self, record: Record) -> tuple[F, Verdict] | Fault | Literal["unplaced"] | None:
        """The fraud that a label adds or takes back, if any; unplaced: a fraud whose label does not say enough."""
        label = parsed(record, self._parse, self._bytes_max)
        if isinstance(label, Fault):
            return label
        if problem := card_number_problem(label, scan_ids=self._scan_ids):
            return Fault(record, DeadLetterReason.CARD_NUMBER, problem)
        for field, time_ms in (("event_time_ms", label.event_time_ms), ("labelled_at_ms", label.labelled_at_ms)):
            if time_ms is not None and (fault := self._times.fault(record, field, time_ms)):
                return fault
        if label.verdict == "legitimate":
            taken_back = self.frauds.pop(label.transaction_id, None)
            return None if taken_back is None else (taken_back, "legitimate")
        if label.transaction_id in self.frauds:
            return None
        fraud = self._place(label)
        if fraud is None:
            return "unplaced"
        self.frauds[label.transaction_id] = fraud
        if len(self.frauds) > self._frauds_max:
            del self.frauds[next(iter(self.frauds))]
        return fraud, "fraud"
