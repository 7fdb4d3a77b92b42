"""What a transaction turned out to be, on `labels`."""

from typing import Literal

from pydantic import Field

from schemas.base import EventTimeMs, Identifier, Message

Verdict = Literal["fraud", "legitimate"]
LabelSource = Literal["chargeback", "analyst", "customer", "simulator"]


class Label(Message):
    """A verdict on one transaction, which may come months after it."""

    transaction_id: Identifier = Field(description="Id of the payment judged.")
    verdict: Verdict = Field(description="What it was.")
    source: LabelSource = Field(description="Who says so.")
    labelled_at_ms: EventTimeMs = Field(description="When it was said, ms since 1970 UTC.")
    card_id: Identifier | None = Field(None, description="Keyed pseudonym of the card, where known.")
    terminal_id: Identifier | None = Field(None, description="Id of the terminal, where known.")
    event_time_ms: EventTimeMs | None = Field(None, description="When the payment happened, where known.")
