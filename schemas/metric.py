"""Partial sums of one partition over about a second, on `scoring-metrics`."""

from typing import Annotated

from pydantic import Field, model_validator

from schemas.base import Bins, Count, EventTimeMs, Message, ModelName, Number, Offset, Partition, TopicName, grow
from schemas.budget import BudgetSums

FeatureCounts = Annotated[tuple[Annotated[tuple[Count, ...], Field(max_length=1024)], ...], Field(max_length=512)]
"""Counts by bin, one list a feature."""


class ScoringMetric(Message):
    """Sums that add up: over partitions, over time, over processes. Written in the transaction whose records it counts.

    What is committed before its sums are written lies with the group's offset, and the next owner of the partition writes it:
    after a kill no record is missing, and none is in two sums. Until then `assay verify` reports such records as `uncounted`.
    Counters for billing are the topics themselves.
    """

    source_topic: TopicName = Field(description="Input topic.")
    source_partition: Partition = Field(description="Input partition.")
    first_offset: Offset = Field(description="First input offset counted.")
    last_offset: Offset = Field(description="Last input offset counted.")
    until_ms: EventTimeMs = Field(description="Wall-clock time of the last batch counted, ms since 1970 UTC.")
    model: ModelName = Field(description="Bundle name, version and execution provider.")
    records: Count = Field(description="Inputs consumed.")
    scored: Count = Field(description="Scores written.")
    alerts: Count = Field(description="Alerts written.")
    dead_letters: Count = Field(description="Dead letters written.")
    late: Count = Field(description="Scored, but later than the allowed lateness.")
    amount_sum: Number = Field(description="Sum of the amounts scored, in main units, whatever the currency.")
    alert_amount_sum: Number = Field(description="Sum of the amounts alerted.")
    probability_histogram: Bins = Field(description="Counts in 20 equal bins over 0 to 1.")
    anomaly_percentile_histogram: Bins = Field(description="Counts in 20 equal bins over 0 to 100.")
    feature_histograms: FeatureCounts = Field(
        (), description="Counts of each feature, in the spec's order, in the bins of the bundle's reference."
    )
    clock_ms: EventTimeMs = Field(0, description="Newest event time that the partition has seen, ms since 1970 UTC.")
    let_through: Count = Field(
        0, description="Alerts of the control group: not to be blocked, so that they get labels."
    )
    challenger: ModelName | None = Field(
        None, description="Bundle that scored the same payments as challenger: name, version and provider."
    )
    challenger_scored: Count = Field(0, description="Payments that the challenger scored.")
    challenger_alerts: Count = Field(0, description="Those that it would have alerted.")
    both_alerts: Count = Field(0, description="Those that champion and challenger agree to alert.")
    challenger_probability_histogram: Bins = Field((), description="As above, of the challenger's scores.")
    challenger_anomaly_percentile_histogram: Bins = Field((), description="As above, of its percentiles.")
    budget: BudgetSums | None = Field(None, description="What the policy's budget counts, where it has one.")

    @model_validator(mode="after")
    def _parts_are_within_their_wholes(self) -> "ScoringMetric":
        if not (
            grow(self.first_offset, self.last_offset)
            and grow(self.let_through, self.alerts, self.scored, self.records)
            and grow(self.late, self.scored)
            and grow(self.dead_letters, self.records)
            and grow(self.both_alerts, self.challenger_alerts, self.challenger_scored)
            and grow(self.both_alerts, self.alerts)
        ):
            raise ValueError("a count is above that of which it is a part")
        return self
