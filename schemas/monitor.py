"""What the monitor remembers and says: evidence in, reports out."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.base import (
    Count,
    Digest,
    EventTimeMs,
    FeatureName,
    Identifier,
    LargeBins,
    Message,
    ModelName,
    Number,
    Offset,
    OffsetOrNone,
    Partition,
    Positive,
    Probability,
    Share,
    grow,
)
from schemas.credit_label import Repayment
from schemas.label import Verdict
from schemas.metric import FeatureCounts
from schemas.policy import Name
from schemas.reference import Reference
from schemas.score import PolicyName, RuleNames

FeatureNames = Annotated[tuple[FeatureName, ...], Field(max_length=512)]
JUDGED_MAX = 1_000
"""Models that judged one payment."""


class ModelReference(Message):
    """The reference of a bundle that scores, on `model-references`: the scorer tells it with its first sums."""

    model: ModelName = Field(description="Bundle name, version and execution provider, as on scores. The record's key.")
    bundle_digest: Digest = Field(description="SHA-256 over the bundle's files, hex.")
    reference: Reference = Field(description="Distributions of its validation traffic.")
    weekly: FeatureNames = Field((), description="Features that follow the week: compared over whole weeks only.")


class Judged(Message):
    """A decision as far as the monitor needs it."""

    model: ModelName = Field(description="What scored it.")
    event_time_ms: EventTimeMs = Field(description="When the payment happened.")
    probability: Probability = Field(description="Calibrated probability of fraud.")
    alert: bool = Field(description="Whether a threshold was crossed.")
    policy: PolicyName | None = Field(None, description="The policy of which a rule holds; None where none does.")
    rules: RuleNames = Field((), description="Its rules that are on and hold.")
    shadow_rules: RuleNames = Field((), description="Those in shadow that hold.")
    weight: Positive = Field(
        description="How many payments it stands for: 1 / its chance to be recorded and to get a label. 0: it was blocked."
    )
    amount: Number | None = Field(None, description="Amount in the currency's main unit; none where it is not known.")


class LabelEvidence(Message):
    """A label as far as the monitor needs it."""

    verdict: Verdict | Repayment = Field(description="What the payment was, or what became of the application's loan.")
    labelled_at_ms: EventTimeMs = Field(description="When it was said.")
    event_time_ms: EventTimeMs | None = Field(None, description="When the payment happened, where known.")
    partition: Partition = Field(description="Its partition of `labels`.")
    offset: Offset = Field(description="Its offset there: of two labels of a payment the later one counts.")


class Evidence(Message):
    """A recorded decision or a label, on its way to the one partition where they meet."""

    transaction_id: Identifier = Field(description="Which payment.")
    judged: Judged | None = Field(None, description="How it was scored.")
    told: LabelEvidence | None = Field(None, description="What it turned out to be.")


AllJudged = Annotated[tuple[Judged, ...], Field(max_length=JUDGED_MAX)]


class LedgerEntry(Message):
    """All that is known of a payment, on `monitor-ledger`: its score, its label or both."""

    judged: AllJudged = Field((), description="How it was scored, once known; one entry a model.")
    told: LabelEvidence | None = Field(None, description="The label that counts, once there is one.")


class DriftWindow(Message):
    """The sums of a model since its last report, on `monitor-windows`."""

    offset: OffsetOrNone = Field(-1, description="Newest record of `scoring-metrics` taken in.")
    from_ms: EventTimeMs = Field(0, description="Wall-clock time of the first sums, ms since 1970 UTC.")
    until_ms: EventTimeMs = Field(0, description="Wall-clock time of the last sums.")
    from_clock_ms: EventTimeMs = Field(0, description="Event-time clock of the first sums.")
    clock_ms: EventTimeMs = Field(0, description="Newest event-time clock.")
    sums: Count = Field(0, description="Records of sums.")
    records: Count = Field(0, description="Inputs consumed.")
    scored: Count = Field(0, description="Scores written.")
    alerts: Count = Field(0, description="Alerts written.")
    dead_letters: Count = Field(0, description="Dead letters written.")
    probability: LargeBins = Field((), description="Counts by bin.")
    anomaly_percentile: LargeBins = Field((), description="Counts by bin.")
    features: FeatureCounts = Field((), description="Counts by bin, one list a feature.")
    challenger: ModelName | None = Field(None, description="What scored the same payments as challenger.")
    challenger_scored: Count = Field(0, description="Payments that it scored.")
    challenger_alerts: Count = Field(0, description="Those that it would have alerted.")
    both_alerts: Count = Field(0, description="Those that both alerted.")
    challenger_probability: LargeBins = Field((), description="Counts of its probability by bin.")

    @model_validator(mode="after")
    def _parts_are_within_their_wholes(self) -> "DriftWindow":
        if not (
            grow(self.alerts, self.scored, self.records)
            and grow(self.dead_letters, self.records)
            and grow(self.both_alerts, self.challenger_alerts, self.challenger_scored)
            and grow(self.both_alerts, self.alerts)
        ):
            raise ValueError("a count is above that of which it is a part")
        return self


class Drift(Message):
    """How far a distribution is from its reference."""

    name: FeatureName = Field(description="Feature, `probability` or `anomaly_percentile`.")
    psi: Number = Field(description="Population stability index, natural logarithm.")
    ks: Share = Field(description="Kolmogorov-Smirnov distance between the binned distributions.")
    drifted: bool = Field(description="Whether the index is above the limit.")


Drifts = Annotated[tuple[Drift, ...], Field(max_length=514)]


class ChallengerReport(Message):
    """What the challenger would have done in a window, beside what the champion did."""

    challenger: ModelName = Field(description="Bundle name, version and execution provider.")
    scored: Count = Field(description="Payments that it scored.")
    alert_rate: Share = Field(description="Alerts a score, had it decided.")
    agreement: Share | None = Field(description="Of the payments that either alerted, those that both did.")
    psi: Number = Field(description="Stability index of its probability against the champion's.")


class DriftReport(Message):
    """One window of one model against its reference."""

    from_ms: EventTimeMs = Field(description="Wall-clock time of the first sums, ms since 1970 UTC.")
    until_ms: EventTimeMs = Field(description="Wall-clock time of the last sums.")
    sums: Count = Field(description="Records of sums that were added up: the work that the report took.")
    scored: Count = Field(description="Payments scored in the window.")
    alert_rate: Share = Field(description="Alerts a score.")
    dead_letter_rate: Share = Field(description="Dead letters an input.")
    distributions: Drifts = Field(description="Scores and features; the largest index first.")
    drifted: bool = Field(description="Whether any is above the limit.")
    challenger: ChallengerReport | None = Field(None, description="The challenger beside it, where there is one.")


class RuleQuality(Message):
    """What labels say of the payments of which a rule holds. Weighted as the rest."""

    policy: PolicyName = Field(description="The policy, as outputs name it.")
    rule: Name = Field(description="The rule.")
    state: Literal["on", "shadow"] = Field(description="What it was then.")
    hits: Positive = Field(description="Payments of which it holds, weighted.")
    frauds: Positive = Field(description="Of them frauds, weighted.")
    labelled: Count = Field(description="Recorded ones of them with a label, unweighted.")
    precision: Share | None = Field(None, description="Frauds among them.")


RULES_REPORTED_MAX = 1_000


class QualityReport(Message):
    """What labels say of a model's payments of an age. Weighted: each recorded payment counts for those it stands for.

    Of applications too: a fraud is then a default, an alert what was not approved, and figures are of those with a label alone.
    Figures are None where there is nothing to take them of.
    """

    age_days_min: Count = Field(description="Payments at least so old, by the newest event or label seen.")
    age_days_max: Count | None = Field(description="And younger than this.")
    mature: bool = Field(description="Whether labels had their time: only then no label of a payment means legitimate.")
    payments: Positive = Field(description="Payments, weighted.")
    frauds: Positive = Field(description="Of them frauds, weighted.")
    alerts: Positive = Field(description="Alerts, weighted.")
    fraud_alerts: Positive = Field(description="Of them frauds, weighted.")
    labelled: Count = Field(description="Recorded payments with a label, unweighted.")
    precision: Share | None = Field(None, description="Frauds among the alerts.")
    recall: Share | None = Field(None, description="Alerts among the frauds.")
    average_precision: Share | None = Field(None, description="Of the probability.")
    roc_auc: Share | None = Field(None, description="Of the probability: area under the ROC curve.")
    passed_bad_rate: Share | None = Field(
        None, description="Frauds among what was not alerted; of applications, defaults among those approved."
    )
    brier: Share | None = Field(None, description="Mean squared error of the probability.")
    calibration_error: Share | None = Field(
        None, description="Mean distance of predicted and observed fraud share over ten bins of probability."
    )
    money_caught: Number | None = Field(
        None,
        description="Amounts of frauds that alerted, weighted; none where no amount is known. Refunds count nothing.",
    )
    money_missed: Number | None = Field(None, description="Amounts of frauds that did not.")
    money_stopped: Number | None = Field(None, description="Amounts of alerts that were no fraud.")
    rules: Annotated[tuple[RuleQuality, ...], Field(max_length=RULES_REPORTED_MAX)] = Field(
        (), description="Rules that hold of some of them, the policy of the newest payment first."
    )


class MonitorReport(Message):
    """A finding about one model, on `monitor`."""

    kind: Literal["drift", "quality"] = Field(description="Which of the parts is there.")
    model: ModelName = Field(description="Bundle name, version and execution provider.")
    at_ms: EventTimeMs = Field(description="Kafka timestamp of the newest record that went into it.")
    drift: DriftReport | None = Field(None, description="For drift.")
    quality: QualityReport | None = Field(None, description="For quality.")

    @model_validator(mode="after")
    def _its_part_is_there(self) -> "MonitorReport":
        if getattr(self, self.kind) is None:
            raise ValueError("the part that its kind names is missing")
        return self
