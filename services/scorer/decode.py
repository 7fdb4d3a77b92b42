"""Stage 1: bytes to transactions. What is not one is a fault, and its neighbours never notice."""

import contextlib
from collections.abc import Sequence

from schemas import codec
from schemas.dead_letter import DeadLetterReason
from schemas.privacy import card_numbers_in, has_control_character, is_card_number, none_is_card_number
from schemas.times import RECORD_TIME_MS_MAX, TIME_MS_MIN
from schemas.transaction import Transaction
from services.engine.batches import Record
from services.engine.faults import Fault, TimeLimits, guarded, parsed

IDS = ("transaction_id", "card_id", "terminal_id")


def may_hold_control_characters(payloads: Sequence[bytes]) -> bool:
    """In JSON they are escaped, or not ASCII, or DEL: so most batches are cleared without a look at any text."""
    joined = b"".join(payloads)
    return b"\\" in joined or b"\x7f" in joined or not joined.isascii()


def _unprintable(transaction: Transaction) -> str:
    """The name of an id with a control character (Unicode's Cc, or a line's or paragraph's end); empty where there is none."""
    return next((name for name in IDS if has_control_character(getattr(transaction, name))), "")


class Decoder:
    """Parses and validates. Keeps nothing between batches."""

    def __init__(self, message_bytes_max: int, times: TimeLimits, *, scan_ids: bool = False) -> None:
        """scan_ids: refuse card numbers in the other ids, too."""
        self._scan_ids = scan_ids
        self._message_bytes_max = message_bytes_max
        self._times = times
        self._parse = codec.decoder(Transaction)
        self._parse_all = codec.batch_decoder(Transaction)

    def decode(self, records: Sequence[Record]) -> tuple[list[Record], list[Transaction], list[Fault]]:
        """Good records with their transactions, in order, and the faults."""
        payloads = [record.value for record in records]
        if payloads and None not in payloads and max(map(len, payloads)) <= self._message_bytes_max:
            with contextlib.suppress(
                ValueError, TypeError, LookupError, ArithmeticError, RecursionError
            ):  # then one by one
                transactions = self._parse_all(payloads)
                if transactions is not None and self._passes_fast_checks(records, payloads, transactions):
                    return list(records), transactions, []
        return self._one_by_one(records)

    def _passes_fast_checks(
        self, records: Sequence[Record], payloads: Sequence[bytes], transactions: Sequence[Transaction]
    ) -> bool:
        """Whether no transaction of a batch needs a closer look: looks at all of them at once."""
        times_ms, stamps_ms = [t.event_time_ms for t in transactions], [record.timestamp for record in records]
        earliest_ms = min(stamps_ms)
        if earliest_ms < TIME_MS_MIN or max(stamps_ms) > RECORD_TIME_MS_MAX:
            return False
        if max(times_ms) > earliest_ms + self._times.ahead_ms_max or min(times_ms) < self._times.floor_ms:
            return False
        if self._scan_ids and card_numbers_in(
            "\n".join([f"{t.transaction_id}\n{t.terminal_id}" for t in transactions])
        ):
            return False
        if may_hold_control_characters(payloads) and any(map(_unprintable, transactions)):
            return False
        return none_is_card_number([t.card_id for t in transactions])

    def _one_by_one(self, records: Sequence[Record]) -> tuple[list[Record], list[Transaction], list[Fault]]:
        good, transactions, faults = [], [], []
        for record in records:
            outcome = guarded(self._judge, record)
            if isinstance(outcome, Fault):
                faults.append(outcome)
            else:
                good.append(record)
                transactions.append(outcome)
        return good, transactions, faults

    def _judge(self, record: Record) -> Transaction | Fault:
        transaction = parsed(record, self._parse, self._message_bytes_max)
        if isinstance(transaction, Fault):
            return transaction
        if name := _unprintable(transaction):
            return Fault(record, DeadLetterReason.SCHEMA, f"{name} holds a control character: send another id")
        if is_card_number(transaction.card_id):
            return Fault(record, DeadLetterReason.CARD_NUMBER, "card_id is a card number: send a keyed pseudonym")
        for name in ("transaction_id", "terminal_id") if self._scan_ids else ():
            if card_numbers_in(getattr(transaction, name)):
                return Fault(record, DeadLetterReason.CARD_NUMBER, f"{name} holds a card number: send another id")
        return self._times.fault(record, "event_time_ms", transaction.event_time_ms) or transaction
