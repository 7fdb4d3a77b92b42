"""What Assay says of each credit application: on `credit-scores`, and in full on `credit-decisions`."""

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
    Percentile,
    Positive,
    Probability,
)
from schemas.feature_kinds.event import ATTRIBUTES_MAX, AttributeName
from schemas.policy import Action, Words
from schemas.score import PolicyName, RuleNames

CreditOutcome = Literal["approve", "decline", "refer"]
"""refer: a person should look, since the model has seen hardly anything like it."""

OUTCOMES: dict[Action, CreditOutcome] = {"approve": "approve", "review": "refer", "decline": "decline"}
"""What a policy's actions are called here; none of them is a challenge."""

ADVERSE_ACTIONS_MAX = 4
"""12 CFR 1002.9, comment 9(b)(2)-1: more than four reasons are of little help to an applicant."""

UnreadAttributes = Annotated[tuple[AttributeName, ...], Field(max_length=ATTRIBUTES_MAX)]


class CreditScore(Message):
    """Both scores of one application. A pure function of the log and the bundle: it holds no wall-clock time."""

    application_id: Identifier = Field(description="Id of the application scored.")
    event_time_ms: EventTimeMs = Field(description="When the application was made, ms since 1970 UTC.")
    applicant_id: Identifier = Field(description="Keyed pseudonym of the applicant.")
    probability: Probability = Field(description="Calibrated probability of default, from the classifier.")
    reconstruction_error: Positive = Field(
        description="Mean squared error of the VAE's reconstruction of the scaled features; of one with mixed likelihoods, "
        "mean nats a feature; of one that scores rarity, nats."
    )
    anomaly_percentile: Percentile = Field(
        description="Share of applications repaid in full with a smaller reconstruction error, in percent."
    )
    outcome: CreditOutcome = Field(
        description="decline: the probability reached its threshold; refer: it did not, but the anomaly percentile did. With a "
        "policy: what its rules and the scores ask for, the most severe."
    )
    model: ModelName = Field(description="Bundle name, version and execution provider that scored it: credit/1@cpu.")
    policy: PolicyName | None = Field(
        None,
        description="Policy that decided, with the first digits of its digest: credit/3@0123456789ab. None: there is none.",
    )
    rules: RuleNames = Field((), description="Rules of the policy that hold, in its order.")
    shadow_rules: RuleNames = Field((), description="Those in shadow that hold: they have no effect.")
    unread_attributes: UnreadAttributes = Field(
        (),
        description="Attributes that the policy's conditions read and that are of another type than it says: they count as "
        "missing, and the application is referred at least.",
    )


OF_CREDIT_POLICIES = frozenset(("policy", "rules", "shadow_rules", "unread_attributes"))
"""Fields that are not written without a policy."""


class ShadowOutcome(Message):
    """What the policy in shadow said of the same application."""

    policy: PolicyName = Field(description="Its name, version and first digits of its digest.")
    outcome: CreditOutcome = Field(description="What it would have decided.")
    rules: RuleNames = Field((), description="Its rules that hold.")


class ChallengerOutcome(Message):
    """What the challenger said of the same application."""

    model: ModelName = Field(description="Bundle name, version and execution provider.")
    probability: Probability = Field(description="Its calibrated probability of default.")
    anomaly_percentile: Percentile = Field(description="Its anomaly percentile.")
    outcome: CreditOutcome = Field(
        description="What would have been decided by its scores and its thresholds, under the policy that decides."
    )


class CreditDecision(CreditScore):
    """The record of one decision, kept for every application (EU AI Act art. 12 and annex III 5(b); ECOA, 12 CFR 1002.9).

    It is what model and policy say. Who decides otherwise records that in their own system, under `decision_id`.
    """

    decision_id: DecisionId = Field(description="Source topic, partition and offset: applications-3-1042.")
    decided_at_ms: EventTimeMs = Field(description="Wall-clock time of the decision, ms since 1970 UTC.")
    bundle_digest: Digest = Field(description="SHA-256 over the bundle's files, hex.")
    features: FeatureVector = Field(description="The feature vector as scored, in the order of the feature spec.")
    probability_threshold: Probability = Field(description="Declined from this probability on.")
    anomaly_percentile_threshold: Percentile = Field(description="Referred from this percentile on.")
    reasons: Reasons = Field(
        (),
        description="If declined or referred: the specific principal reasons, strongest first, four at most, from the factors "
        "scored. Shapley values of the score against approved applicants.",
    )
    adverse_actions: Annotated[tuple[Words, ...], Field(max_length=ADVERSE_ACTIONS_MAX)] = Field(
        (),
        description="In words for the applicant, the most severe first: why rules of the policy asked for this outcome. They "
        "come before `reasons`; four in all.",
    )
    policy_digest: Digest | None = Field(
        None, description="SHA-256 of the policy's canonical form, where there is one."
    )
    shadow_policy: ShadowOutcome | None = Field(None, description="What the policy in shadow said, where there is one.")
    challenger: ChallengerOutcome | None = Field(None, description="What the challenger said, where there is one.")
