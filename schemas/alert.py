"""A transaction that crossed a threshold, with the reasons, on `alerts`."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Currency, FeatureName, Identifier, Message, Number
from schemas.policy import RULES_MAX, Words
from schemas.score import Score

Trigger = Literal["probability", "anomaly_percentile"]
Triggers = Annotated[tuple[Trigger, ...], Field(max_length=2)]
ReasonText = Annotated[str, Field(max_length=20_000)]
REASONS_MAX = 16
"""Room for more than the four that are given today."""


class Reason(Message):
    """One factor behind an alert."""

    feature: FeatureName = Field(description="Name of the feature in the bundle's feature spec.")
    value: Number = Field(description="The feature's value for this transaction, in the feature's own unit.")
    contribution: Number = Field(
        description="Shapley value: how much it moved `score` from the background, in its unit."
    )
    score: Trigger = Field(description="Which of the two scores the contribution is of.")
    text: ReasonText = Field(description="The factor in words.")


ATTRIBUTES_SHOWN_MAX = 16
"""Attributes of a source that people can be shown with an alert."""


class ShownAttribute(Message):
    """An attribute of the event that its source spec marks `show`."""

    name: Annotated[str, Field(max_length=64)] = Field(description="Its name in the source spec.")
    words: Annotated[str, Field(max_length=200)] = Field(description="What it is, in words.")
    text: Annotated[str, Field(max_length=200)] = Field(
        description="Its value in words; of one marked `personal` only the end, and nothing where it is sealed; never a card "
        "number."
    )
    sealed: Annotated[str, Field(max_length=2_000)] | None = Field(
        None, description="Where decisions are sealed per subject: the words of one marked `personal`, encrypted."
    )


ShownAttributes = Annotated[tuple[ShownAttribute, ...], Field(max_length=ATTRIBUTES_SHOWN_MAX)]

Reasons = Annotated[tuple[Reason, ...], Field(max_length=REASONS_MAX)]


class Alert(Score):
    """A score that crossed a threshold, the payment's facts that an analyst asks for first, and up to four reasons."""

    terminal_id: Identifier = Field(description="Id of the terminal or merchant outlet; `-` where there is none.")
    amount: Number = Field(description="Amount in the currency's main unit.")
    currency: Currency | None = Field(None, description="ISO 4217 code.")
    triggers: Triggers = Field(
        description="Which scores crossed their thresholds; none where a rule alone asks for a look."
    )
    reasons: Reasons = Field(description="The strongest factors first, four at most.")
    reasons_left_out: bool = Field(
        False, description="It came in a storm, beyond the alerts that are given reasons, so there are none."
    )
    attributes: ShownAttributes = Field(
        (), description="Those of the event's attributes that the source spec marks `show`, where it has them."
    )
    rule_words: Annotated[tuple[Words, ...], Field(max_length=RULES_MAX)] = Field(
        (), description="The rules that hold, in words, as `rules` has them."
    )
