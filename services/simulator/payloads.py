"""Payments as keys and payloads, a chosen share of them garbage. Pure: same seed, same bytes."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from models.simulation.stream import TransactionDay
from schemas import codec
from schemas.label import Label
from schemas.transaction import Transaction

CARD_NUMBER = "4111111111111111"
"""A card number that payment networks publish for tests; it passes the Luhn check."""

CURRENCY = "EUR"

DAY_MS = 86_400_000

_transaction = codec.record_type(Transaction)
_label = codec.record_type(Label, left_out=frozenset({"ids"}))


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
    """Key and value of a Kafka record; is_label: for `labels`, not for `transactions`."""

    key: bytes
    value: bytes
    garbage: Garbage | None = None
    is_label: bool = False


def payloads(
    days: Iterable[TransactionDay], bad_share: float = 0.0, seed: int = 0, label_delay_days: int | None = None
) -> Iterator[Payload]:
    """The days' payments in their order; each is replaced by garbage with probability `bad_share`.

    The very first is never a repetition, as there is nothing to repeat. label_delay_days: a payment's fraud is reported by a
    label between the payments of so many days later; None makes none.
    """
    labels: deque[tuple[int, Payload]] = deque()
    random = np.random.default_rng([seed, 1])  # apart from the generator's own draws
    good: Payload | None = None
    for day in days:
        bad = (random.random(len(day)) < bad_share).tolist()
        kinds = random.integers(len(KINDS), size=len(day)).tolist()
        attributes = _attributes(day)
        rows = zip(
            bad,
            kinds,
            day.transaction_id,
            day.event_time_ms.tolist(),
            day.card_id,
            day.terminal_id,
            day.amount.tolist(),
            day.is_fraud.tolist(),
            attributes,
            strict=True,
        )
        for is_bad, kind, transaction_id, event_time_ms, card_id, terminal_id, amount, is_fraud, further in rows:
            while labels and labels[0][0] <= event_time_ms:
                yield labels.popleft()[1]
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
            end = b"," + codec.encode(further)[1:] if further else b"}"
            payload = Payload(card_id.encode(), value[:-1] + end)
            if is_bad:
                yield _spoiled(payload, KINDS[kind], good)
            else:
                good = payload
                yield payload
                if is_fraud and label_delay_days is not None:
                    told_ms = event_time_ms + label_delay_days * DAY_MS
                    ids = {name: value for name, value in further.items() if isinstance(value, str)}
                    told = _labelled(transaction_id, card_id, terminal_id, event_time_ms, told_ms, ids)
                    labels.append((told_ms, told))


def _attributes(day: TransactionDay) -> list[dict[str, Any]]:
    """Of each payment, its attributes; none where the day has none."""
    if not day.attributes:
        return [{}] * len(day)
    rows = zip(*day.attributes.values(), strict=True)
    return [dict(zip(day.attributes, row, strict=True)) for row in rows]


def _labelled(
    transaction_id: str, card_id: str, terminal_id: str, event_time_ms: int, told_ms: int, ids: dict[str, str]
) -> Payload:
    """The label of a fraud. ids: those of its attributes that are texts."""
    value = codec.encode(
        _label(
            transaction_id=transaction_id,
            verdict="fraud",
            source="simulator",
            labelled_at_ms=told_ms,
            card_id=card_id,
            terminal_id=terminal_id,
            event_time_ms=event_time_ms,
            ids=ids or codec.LEFT_OUT,
        )
    )
    return Payload(transaction_id.encode(), value, is_label=True)


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
