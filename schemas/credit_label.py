"""What became of a loan, on `credit-labels`: said months after the application, by the system that services it.

As of payments (`schemas/label.py`), of the labels of one application the last on the topic counts; the record's key is the
application's id.
"""

from typing import Literal

from pydantic import Field

from schemas.base import EventTimeMs, Identifier, Message

Repayment = Literal["default", "repaid"]

CREDIT_LABEL_AGE_DAYS_MAX = 800
"""An application waits so long for its label: as long as its decision is kept."""


class CreditLabel(Message):
    """What became of one application that was granted. Of those that were not, and of loans still open, none is due."""

    application_id: Identifier = Field(description="Id of the application. The record's key.")
    verdict: Repayment = Field(
        description="default: by your own definition, that of the bundle's training. repaid: the time in which a default "
        "would count is over, without one."
    )
    labelled_at_ms: EventTimeMs = Field(description="When it was said, ms since 1970 UTC.")
    event_time_ms: EventTimeMs | None = Field(None, description="When the application was made, where known.")
