"""What Assay says of each transaction, on `scores`."""

from typing import Annotated

from pydantic import Field

from schemas.base import EventTimeMs, Identifier, Message, ModelName, Percentile, Positive, Probability
from schemas.policy import RULES_MAX, Action, Name

RuleNames = Annotated[tuple[Name, ...], Field(max_length=RULES_MAX)]
PolicyName = Annotated[str, Field(max_length=100)]
ThresholdPair = Annotated[tuple[Percentile, ...], Field(max_length=2)]
"""Of probability and percentile; empty where it is not said."""


class Score(Message):
    """Both scores of one transaction. A pure function of the log and the bundle: it holds no wall-clock time."""

    transaction_id: Identifier = Field(description="Id of the payment scored.")
    event_time_ms: EventTimeMs = Field(description="When the payment happened, ms since 1970 UTC.")
    card_id: Identifier = Field(description="Keyed pseudonym of the card.")
    probability: Probability = Field(description="Calibrated probability of fraud, from the classifier.")
    reconstruction_error: Positive = Field(
        description="Mean squared error of the VAE's reconstruction of the scaled features; of one with mixed likelihoods, "
        "mean nats a feature; of one that scores rarity, nats."
    )
    anomaly_percentile: Percentile = Field(
        description="Share of legitimate traffic with a smaller reconstruction error, in percent."
    )
    alert: bool = Field(description="Whether a threshold was crossed; then a record on `alerts` belongs to it.")
    model: ModelName = Field(description="Bundle name, version and execution provider that scored it: fraud/3@cpu.")
    late: bool = Field(
        False, description="Arrived later than the allowed lateness: scored, but not part of the history."
    )
    let_through: bool = Field(
        False,
        description="An alert of the control group: a system that blocks on alerts lets it pass, so that its label tells.",
    )
    policy: PolicyName | None = Field(
        None,
        description="Policy that decided, with the first digits of its digest: fraud/3@0123456789ab. None: there is none.",
    )
    action: Action | None = Field(
        None, description="What is to be done: approve, challenge, review, decline. None: there is no policy."
    )
    withheld_action: Action | None = Field(
        None, description="What the policy said of an alert of the control group, whose action is approve."
    )
    rules: RuleNames = Field((), description="Rules of the policy that hold, in its order.")
    shadow_rules: RuleNames = Field((), description="Those in shadow that hold: they have no effect.")
    thresholds: ThresholdPair = Field(
        (),
        description="Where the policy has a budget: the probability and the percentile from which on it is an alert.",
    )


OF_POLICIES = frozenset(("policy", "action", "withheld_action", "rules", "shadow_rules", "thresholds"))
"""Fields that are not written without a policy."""
