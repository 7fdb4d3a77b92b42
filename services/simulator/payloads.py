"""Payments as keys and payloads, a chosen share of them garbage. Pure: same seed, same bytes."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.simulation.stream import TransactionDay
from schemas import codec
from schemas.transaction import Transaction

CARD_NUMBER = "4111111111111111"
"""A card number that payment networks publish for tests; it passes the Luhn check."""

CURRENCY = "EUR"

_transaction = codec.record_type(Transaction)


class Garbage(StrEnum):
    """What is wrong with a bad payload. Each is due exactly one dead letter."""

    CUT_SHORT = "cut_short"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_A_NUMBER = "not_a_number"
    REPEATED = "repeated"
    """The last good payment once more, with its key."""
    CARD_NUMBER = "card_number"


KINDS = tuple(Garbage)


@dataclass(frozen=True, slots=True)
class Payload:
    """Key and value of a Kafka record."""

    key: bytes
    value: bytes
    garbage: Garbage | None = None


def payloads(days: Iterable[TransactionDay], bad_share: float = 0.0, seed: int = 0) -> Iterator[Payload]:
    """The days' payments in their order; each is replaced by garbage with probability `bad_share`.

    The very first is never a repetition, as there is nothing to repeat.
    """
    random = np.random.default_rng([seed, 1])  # apart from the generator's own draws
    good: Payload | None = None
    for day in days:
        bad = (random.random(len(day)) < bad_share).tolist()
        kinds = random.integers(len(KINDS), size=len(day)).tolist()
        rows = zip(
            bad,
            kinds,
            day.transaction_id,
            day.event_time_ms.tolist(),
            day.card_id,
            day.terminal_id,
            day.amount.tolist(),
            strict=True,
        )
        for is_bad, kind, transaction_id, event_time_ms, card_id, terminal_id, amount in rows:
            value = codec.encode(
                _transaction(
                    transaction_id=transaction_id,
                    event_time_ms=event_time_ms,
                    card_id=card_id,
                    terminal_id=terminal_id,
                    amount=amount,
                    currency=CURRENCY,
                )
            )
            payload = Payload(card_id.encode(), value)
            if is_bad:
                yield _spoiled(payload, KINDS[kind], good)
            else:
                good = payload
                yield payload


def _spoiled(payload: Payload, kind: Garbage, good: Payload | None) -> Payload:
    if kind is Garbage.REPEATED and good is not None:
        return Payload(good.key, good.value, kind)
    fields = json.loads(payload.value)
    match kind:
        case Garbage.MISSING_FIELD:
            del fields["amount"]
        case Garbage.WRONG_TYPE:
            fields["amount"] = f"{fields['amount']} {CURRENCY}"
        case Garbage.NOT_A_NUMBER:
            fields["amount"] = float("nan")
        case Garbage.CARD_NUMBER:
            fields["card_id"] = CARD_NUMBER
        case _:
            return Payload(payload.key, payload.value[: len(payload.value) // 2], Garbage.CUT_SHORT)
    return Payload(payload.key, json.dumps(fields).encode(), kind)
