"""An event as intake writes it on `events`: the fields of its own, and every attribute of the source spec under its name.

Amounts are in the currency's main unit, times in ms since 1970 UTC, flags true or false. A place is two numbers, NAME.latitude
and NAME.longitude. What an event lacks is left out. The attributes are those of the source spec whose digest is in the header
`assay-source-spec`; readers that do not know one ignore it.
"""

from typing import Annotated

from pydantic import Field

from schemas.base import EventTimeMs, Message, RawIdentifier

Text = Annotated[str, Field(max_length=1_000)]


class Event(Message):
    """One event of the user's, selected, validated and keyed by its subject. Attributes stand beside these fields."""

    id: RawIdentifier = Field(description="Unique id of the event; a repeated one is a dead letter of the scorer.")
    time: EventTimeMs = Field(description="When it happened, ms since 1970 UTC.")
    subject: RawIdentifier = Field(description="Whose history comes first, and the record's key: a keyed pseudonym.")
    counterparty: RawIdentifier | None = Field(None, description="The other side: the terminal, the payee's account.")
    amount: Annotated[float, Field(ge=-1e9, le=1e9)] = Field(
        description="Amount in the currency's main unit; a refund is negative."
    )
    currency: Annotated[str, Field(min_length=3, max_length=3)] | None = Field(None, description="ISO 4217 code.")
    mcc: Text | None = Field(None, description="Merchant category code.")
    country: Text | None = Field(None, description="Country where it happened.")
    channel: Text | None = Field(None, description="How it was made: pos, online, atm, ...")
