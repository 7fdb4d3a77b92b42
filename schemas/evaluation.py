"""How good a model was on its test cut, as tables: beside other models, by day, by kind of fraud, and how sure that is."""

from typing import Annotated

from pydantic import Field

from schemas.base import Count, Message, Number, Probability, Share, Words

Name = Annotated[str, Field(min_length=1, max_length=64)]
FIGURES_MAX = 256

UNSUPERVISED = ", unsupervised"
"""How the name of a model ends that knows no label: it is compared with the anomaly score."""


class Estimate(Message):
    """A figure with its 95 % interval."""

    value: Number = Field(description="As measured.")
    low: Number = Field(description="Lower end of the interval.")
    high: Number = Field(description="Upper end of the interval.")
    too_few: bool | None = Field(
        None,
        description="True where too few cards or applicants had either class for an interval: it says nothing then.",
    )


class ModelFigures(Message):
    """One model on the test cut."""

    model: Name = Field(description="Which model.")
    figures: Annotated[dict[Name, Estimate], Field(max_length=FIGURES_MAX)] = Field(description="Its figures by name.")
    difference: Annotated[dict[Name, Estimate], Field(max_length=FIGURES_MAX)] = Field(
        {}, description="The bundle's figures less its own, with paired intervals; empty for the bundle's own model."
    )

    @property
    def unsupervised(self) -> bool:
        """Whether it knows no label, so that its difference is the anomaly score's."""
        return self.model.endswith(UNSUPERVISED)


class CalibrationBin(Message):
    """Payments of similar probability, and how many of them were frauds."""

    records: Count = Field(description="How many.")
    probability: Probability = Field(description="Their mean probability.")
    positive_share: Share = Field(description="Share of them that were positive.")


class Group(Message):
    """A part of the test cut."""

    name: Name = Field(description="Which part: a day, a kind of fraud.")
    records: Count = Field(description="Transactions in it.")
    positives: Count = Field(description="Frauds in it.")
    figures: Annotated[dict[Name, Number], Field(max_length=FIGURES_MAX)] = Field(description="Figures on it, by name.")


Models = Annotated[tuple[ModelFigures, ...], Field(max_length=FIGURES_MAX)]
Calibration = Annotated[tuple[CalibrationBin, ...], Field(max_length=1_000)]
Groups = Annotated[tuple[Group, ...], Field(max_length=1_000)]


class Evaluation(Message):
    """Every table."""

    intervals: Words = Field(description="How the intervals were made, in words.")
    models: Models = Field(description="The bundle's model first, then those it is compared with.")
    calibration: Calibration = Field(description="Bins of rising probability, equally filled.")
    by_day: Groups = Field((), description="Day by day.")
    by_scenario: Groups = Field((), description="One kind of fraud each, among all that is legitimate.")
    unseen: Groups = Field(
        (), description="The same kinds, by a classifier that was trained without any fraud of theirs."
    )
