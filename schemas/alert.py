"""A transaction that crossed a threshold, with the reasons, on `alerts`."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Identifier, Message
from schemas.score import Score

Trigger = Literal["probability", "anomaly_percentile"]


class Reason(Message):
    """One factor behind an alert."""

    feature: str = Field(description="Name of the feature in the bundle's feature spec.")
    value: float = Field(description="The feature's value for this transaction, in the feature's own unit.")
    contribution: float = Field(
        description="Shapley value: how much it moved `score` from the background, in its unit."
    )
    score: Trigger = Field(description="Which of the two scores the contribution is of.")
    text: str = Field(description="The factor in words.")


class Alert(Score):
    """A score that crossed a threshold, the payment's facts that an analyst asks for first, and up to four reasons."""

    terminal_id: Identifier = Field(description="Id of the terminal or merchant outlet.")
    amount: Annotated[float, Field(ge=0.0)] = Field(description="Amount in the currency's main unit.")
    currency: str | None = Field(None, description="ISO 4217 code.")
    triggers: tuple[Trigger, ...] = Field(description="Which scores crossed their thresholds.")
    reasons: tuple[Reason, ...] = Field(description="The strongest factors first, four at most.")
