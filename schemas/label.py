"""What a transaction turned out to be, on `labels`.

Labels may contradict each other: an analyst dismisses, the cardholder's bank charges back months later. One rule settles it
everywhere (profiler, monitor, data sets): **of the labels of one payment the last on the topic counts**. The record's key is
the payment's id, so all of them are on one partition and their order is the same for every reader. Time does not enter: what
is imported late was said late. As of a moment, the last of those said by then counts (`labelled_at_ms`).
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import EventTimeMs, Identifier, Message
from schemas.feature_kinds.base import IdField
from schemas.privacy import card_numbers_in, is_card_number

Verdict = Literal["fraud", "legitimate"]
LabelSource = Literal["chargeback", "analyst", "customer", "simulator"]


LABEL_AGE_DAYS_MAX = 180
"""Chargebacks come up to half a year after the payment; what waits for labels waits so long."""

IDS_MAX = 16


class Label(Message):
    """A verdict on one transaction, which may come months after it."""

    transaction_id: Identifier = Field(description="Id of the payment judged.")
    verdict: Verdict = Field(description="What it was.")
    source: LabelSource = Field(description="Who says so.")
    labelled_at_ms: EventTimeMs = Field(description="When it was said, ms since 1970 UTC.")
    card_id: Identifier | None = Field(None, description="Keyed pseudonym of the card, where known.")
    terminal_id: Identifier | None = Field(None, description="Id of the terminal, where known.")
    event_time_ms: EventTimeMs | None = Field(None, description="When the payment happened, where known.")
    ids: Annotated[dict[IdField, Identifier], Field(max_length=IDS_MAX)] = Field(
        {},
        description="Further ids of the payment by the event's own names, where known: device_id, payee_id. Features that read "
        "labels of an entity need those that name it.",
    )


def card_number_problem(label: Label, *, scan_ids: bool) -> str | None:
    """Which field is, or holds, a card number, in a sentence; as payments are judged. scan_ids: the other ids, too."""
    if label.card_id is not None and is_card_number(label.card_id):
        return "card_id is a card number: send a keyed pseudonym"
    for name in ("transaction_id", "terminal_id") if scan_ids else ():
        if card_numbers_in(getattr(label, name) or ""):
            return f"{name} holds a card number: send another id"
    if scan_ids and any(map(card_numbers_in, label.ids.values())):
        return "ids holds a card number: send another id"
    return None
