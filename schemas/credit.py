"""What Assay says of each credit application: on `credit-scores`, and in full on `credit-decisions`."""

from typing import Literal

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

CreditOutcome = Literal["approve", "decline", "refer"]
"""refer: a person should look, since the model has seen hardly anything like it."""


class CreditScore(Message):
    """Both scores of one application. A pure function of the log and the bundle: it holds no wall-clock time."""

    application_id: Identifier = Field(description="Id of the application scored.")
    event_time_ms: EventTimeMs = Field(description="When the application was made, ms since 1970 UTC.")
    applicant_id: Identifier = Field(description="Keyed pseudonym of the applicant.")
    probability: Probability = Field(description="Calibrated probability of default, from the classifier.")
    reconstruction_error: Positive = Field(
        description="Mean squared error of the VAE's reconstruction of the scaled features."
    )
    anomaly_percentile: Percentile = Field(
        description="Share of applications repaid in full with a smaller reconstruction error, in percent."
    )
    outcome: CreditOutcome = Field(
        description="decline: the probability reached its threshold; refer: it did not, but the anomaly percentile did."
    )
    model: ModelName = Field(description="Bundle name, version and execution provider that scored it: credit/1@cpu.")


class CreditDecision(CreditScore):
    """The record of one decision, kept for every application (EU AI Act art. 12 and annex III 5(b); ECOA, 12 CFR 1002.9).

    It is what the model says. Who decides otherwise records that in their own system, under `decision_id`.
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
