"""Bytes to events, as the source spec says: the first stage. What is not one is a fault, and its neighbours never notice."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from models.sources.events import Events
from models.sources.parser import EventParser, Row
from models.sources.spec_file import default_source
from schemas import codec
from schemas.dead_letter import DeadLetterReason
from schemas.derived import Currencies
from schemas.privacy import card_numbers_in, has_control_character, is_card_number, none_is_card_number
from schemas.source_spec import SourceSpec
from schemas.times import RECORD_TIME_MS_MAX, TIME_MS_MIN
from services.engine.batches import Record
from services.engine.faults import Fault, TimeLimits, guarded, parsed


class Decoded(NamedTuple):
    """Good records with their events, in order, the faults, and how many records the source spec does not select."""

    records: list[Record]
    events: Events
    faults: list[Fault]
    unselected: int = 0


def may_hold_control_characters(payloads: Sequence[bytes]) -> bool:
    """In JSON they are escaped, or not ASCII, or DEL: so most batches are cleared without a look at any text."""
    joined = b"".join(payloads)
    return b"\\" in joined or b"\x7f" in joined or not joined.isascii()


class Decoder:
    """Parses and validates. Keeps nothing between batches."""

    def __init__(
        self,
        message_bytes_max: int,
        times: TimeLimits,
        *,
        scan_ids: bool = False,
        source: SourceSpec | None = None,
        currencies: Currencies | None = None,
    ) -> None:
        """scan_ids: refuse card numbers in the other ids, too. source: what the records are; by default, `transactions`.

        currencies: refuse amounts in any other.
        """
        self._scan_ids = scan_ids
        self._message_bytes_max = message_bytes_max
        self._times = times
        spec = source or default_source()
        self._parser = EventParser(spec, currencies)
        event = spec.event
        self._time_path = event.time.where
        self._subject_path = event.subject.where
        others = {"id": event.id.where, **({"counterparty": event.counterparty.where} if event.counterparty else {})}
        others |= {name: spec.attributes[name].paths[0] for name in self._parser.texts}
        self._scanned = others
        self._printable = {"id": event.id.where, "subject": event.subject.where, **others}
        """Columns of ids, and the path of each: what must hold no control character, and what may be asked for cards."""

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Every record is in one of the parts: good, at fault, or not selected."""
        if not self._parser.selects:
            return self._decode(records)
        meant = [record for record in records if self._meant(record)]
        return self._decode(meant)._replace(unselected=len(records) - len(meant))

    def _decode(self, records: Sequence[Record]) -> Decoded:
        payloads = [record.value for record in records]
        if payloads and None not in payloads and max(map(len, payloads)) <= self._message_bytes_max:
            with contextlib.suppress(
                ValueError, TypeError, LookupError, ArithmeticError, RecursionError
            ):  # then one by one
                events = self._parser.batch(payloads)
                if events is not None and self._passes_fast_checks(records, payloads, events):
                    return Decoded(list(records), events, [])
        return self._one_by_one(records)

    def _meant(self, record: Record) -> bool:
        """Whether a record is an event; where that cannot be known, it is one at fault."""
        payload: bytes | None = record.value
        if not isinstance(payload, bytes) or not payload or len(payload) > self._message_bytes_max:
            return True
        try:
            return self._parser.meant(payload)
        except codec.RejectedError:
            return True

    def _passes_fast_checks(self, records: Sequence[Record], payloads: Sequence[bytes], events: Events) -> bool:
        """Whether no event of a batch needs a closer look: looks at all of them at once."""
        times_ms, stamps_ms = events.time_ms, [record.timestamp for record in records]
        earliest_ms = min(stamps_ms)
        if earliest_ms < TIME_MS_MIN or max(stamps_ms) > RECORD_TIME_MS_MAX:
            return False
        if times_ms.max() > earliest_ms + self._times.ahead_ms_max or times_ms.min() < self._times.floor_ms:
            return False
        if self._scan_ids and any(map(card_numbers_in, self._joined(events))):
            return False
        if may_hold_control_characters(payloads) and self._unprintable(events):
            return False
        return none_is_card_number(events.subjects)

    def _joined(self, events: Events) -> list[str]:
        """Each column of ids but the subject's, as one text."""
        return ["\n".join(filter(None, events.column(name))) for name in self._scanned]

    def _unprintable(self, events: Events) -> str:
        """The path of a column of ids of which one has a control character (Unicode's Cc, or a line's or paragraph's end)."""
        for name, path in self._printable.items():
            if any(value is not None and has_control_character(value) for value in events.column(name)):
                return path
        return ""

    def _one_by_one(self, records: Sequence[Record]) -> Decoded:
        good: list[Record] = []
        rows: list[Row] = []
        faults: list[Fault] = []
        for record in records:
            outcome = guarded(self._judge, record)
            if isinstance(outcome, Fault):
                faults.append(outcome)
            else:
                good.append(record)
                rows.append(outcome)
        return Decoded(good, self._parser.events(rows), faults)

    def _judge(self, record: Record) -> Row | Fault:
        row = parsed(record, self._parser.row, self._message_bytes_max)
        if isinstance(row, Fault):
            return row
        event = self._parser.events([row])
        if path := self._unprintable(event):
            return Fault(record, DeadLetterReason.SCHEMA, f"{path} holds a control character: send another id")
        if is_card_number(event.subjects[0]):
            detail = f"{self._subject_path} is a card number: send a keyed pseudonym"
            return Fault(record, DeadLetterReason.CARD_NUMBER, detail)
        for name, path in self._scanned.items() if self._scan_ids else ():
            if card_numbers_in(event.column(name)[0] or ""):
                return Fault(record, DeadLetterReason.CARD_NUMBER, f"{path} holds a card number: send another id")
        return self._times.fault(record, self._time_path, int(event.time_ms[0])) or row
