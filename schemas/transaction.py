"""A card payment, as it arrives on `transactions`."""

from typing import Annotated

from pydantic import Field

from schemas.base import EventTimeMs, Message, RawIdentifier


class Transaction(Message):
    """One card payment. The record's key is `card_id`, so that a card's payments stay in order on one partition."""

    transaction_id: RawIdentifier = Field(description="Unique id of the payment; a repeated one is a dead letter.")
    event_time_ms: EventTimeMs = Field(description="When the payment happened, ms since 1970 UTC.")
    card_id: RawIdentifier = Field(
        description="Keyed pseudonym of the card; never a card number (a card number is refused)."
    )
    terminal_id: RawIdentifier = Field(description="Id of the terminal or merchant outlet.")
    amount: Annotated[float, Field(ge=0.0, le=1e9)] = Field(description="Amount in the currency's main unit.")
    currency: Annotated[str, Field(min_length=3, max_length=3)] | None = Field(None, description="ISO 4217 code.")
    mcc: Annotated[str, Field(max_length=4)] | None = Field(None, description="ISO 18245 merchant category code.")
    country: Annotated[str, Field(max_length=3)] | None = Field(
        None, description="ISO 3166 code of the terminal's country."
    )
    channel: Annotated[str, Field(max_length=16)] | None = Field(
        None, description="How it was made: pos, online, atm, ..."
    )
