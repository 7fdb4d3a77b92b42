"""What a bundle's training traffic looked like: `reference.json`, read for drift and for alert reasons."""

from typing import Annotated

from pydantic import Field, model_validator

from schemas.base import Count, FeatureName, FeatureVector, Message, Number

SCORE_BINS = 20
"""Equal bins over a score's range, as on `scoring-metrics`."""

ScoreCounts = Annotated[tuple[Count, ...], Field(min_length=SCORE_BINS, max_length=SCORE_BINS)]


Edges = Annotated[tuple[Number, ...], Field(max_length=1025)]
Counts = Annotated[tuple[Count, ...], Field(max_length=1024)]


class FeatureHistogram(Message):
    """Distribution of one feature: counts[i] values in [edges[i], edges[i + 1])."""

    name: FeatureName = Field(description="The feature's name in the feature spec.")
    median: Number = Field(description="Its median, which alert reasons quote as typical.")
    edges: Edges = Field(description="Rising; the first and last bins also hold what lies beyond.")
    counts: Counts = Field(description="One fewer than the edges.")

    @model_validator(mode="after")
    def _one_bin_between_two_edges(self) -> "FeatureHistogram":
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{self.name}: {len(self.counts)} bins need {len(self.counts) + 1} edges")
        return self


class Reference(Message):
    """Distributions over validation traffic, and the payments that alert reasons compare with.

    Of payments, the legitimate ones; of applications, all (medians are of those approved who repaid).
    """

    features: Annotated[tuple[FeatureHistogram, ...], Field(max_length=512)] = Field(
        description="One per feature, in order."
    )
    probability_counts: ScoreCounts = Field(description="Counts in 20 equal bins over 0 to 1.")
    anomaly_percentile_counts: ScoreCounts = Field(description="Counts in 20 equal bins over 0 to 100.")
    background: Annotated[tuple[FeatureVector, ...], Field(min_length=1, max_length=64)] = Field(
        description="Typical legitimate feature rows: the point from which Shapley values count."
    )
    of_everyone: bool | None = Field(
        None,
        description="Of credit: whether the distributions are of all who applied, as drift is measured on. Else of those "
        "approved who repaid, as bundles of versions before have them.",
    )
