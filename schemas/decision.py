"""The audit record of a decision, on `decisions`."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.alert import Reasons
from schemas.base import (
    DecisionId,
    Digest,
    EventTimeMs,
    FeatureVector,
    Identifier,
    Message,
    ModelName,
    Number,
    Percentile,
    Probability,
    Share,
)
from schemas.policy import Action
from schemas.score import PolicyName, RuleNames, Score

Outcome = Literal["pass", "alert"]
RecordedBecause = Literal["alert", "application", "sample"]


class ChallengerScore(Message):
    """What the challenger said of the same payment as challenger."""

    model: ModelName = Field(description="Bundle name, version and execution provider.")
    probability: Probability = Field(description="Its calibrated probability of fraud.")
    anomaly_percentile: Percentile = Field(description="Its anomaly percentile.")
    alert: bool = Field(description="Whether it would have alerted.")


class ShadowRuling(Message):
    """What the policy in shadow said of the same payment."""

    policy: PolicyName = Field(description="Its name, version and first digits of its digest.")
    action: Action = Field(description="What it would have had done.")
    rules: RuleNames = Field((), description="Its rules that hold.")
    alert: bool = Field(description="Whether it would have alerted.")


class Decision(Score):
    """Everything needed to explain later why a decision was what it was (EU AI Act art. 12, ECOA/Reg B).

    Kept for every alert, every credit application and a share of the rest.
    """

    decision_id: DecisionId = Field(description="Source topic, partition and offset: transactions-3-1042.")
    decided_at_ms: EventTimeMs = Field(description="Wall-clock time of the decision, ms since 1970 UTC.")
    bundle_digest: Digest = Field(description="SHA-256 over the bundle's files, hex.")
    features: FeatureVector = Field(description="The feature vector as scored, in the order of the feature spec.")
    probability_threshold: Probability = Field(description="An alert is raised from this probability on.")
    anomaly_percentile_threshold: Percentile = Field(description="An alert is raised from this percentile on.")
    outcome: Outcome = Field(description="What was decided.")
    recorded_because: RecordedBecause = Field(description="Why this decision was recorded.")
    reasons: Reasons = Field((), description="For alerts: the strongest factors first.")
    reasons_left_out: bool = Field(False, description="As the alert has it: there are none, since it came in a storm.")
    sample_share: Share = Field(1.0, description="Chance that a decision such as this is recorded; alerts always are.")
    challenger: ChallengerScore | None = Field(None, description="What the challenger said, where there is one.")
    control_share: Share = Field(
        0.0, description="Share of the alerts that are let through as control group; 0: none is."
    )
    policy_digest: Digest | None = Field(
        None, description="SHA-256 of the policy's canonical form, where there is one."
    )
    shadow_policy: ShadowRuling | None = Field(None, description="What the policy in shadow said, where there is one.")
    sealed: Annotated[str, Field(max_length=1_000_000)] | None = Field(
        None,
        description="Where decisions are sealed per subject: card_id, features and reasons, encrypted; then card_id is a keyed "
        "hash of the card's, and the other two are empty.",
    )
    amount: Number | None = Field(
        None, description="Amount in the currency's main unit, for figures in money. Not where decisions are sealed."
    )


class SealedPart(Message):
    """What of a decision is about the person, in clear."""

    card_id: Identifier
    features: FeatureVector
    reasons: Reasons
