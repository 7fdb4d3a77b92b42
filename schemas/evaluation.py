"""How good a model was on its test cut, as tables: beside other models, by day, by kind of fraud, and how sure that is."""

from typing import Annotated

from pydantic import Field

from schemas.base import Count, Message, Probability, Share

Name = Annotated[str, Field(min_length=1, max_length=64)]


class Estimate(Message):
    """A figure with its 95 % interval."""

    value: float = Field(description="As measured.")
    low: float = Field(description="Lower end of the interval.")
    high: float = Field(description="Upper end of the interval.")
    too_few: bool | None = Field(
        None,
        description="True where too few cards or applicants had either class for an interval: it says nothing then.",
    )


class ModelFigures(Message):
    """One model on the test cut."""

    model: Name = Field(description="Which model.")
    figures: dict[Name, Estimate] = Field(description="Its figures by name.")
    difference: dict[Name, Estimate] = Field(
        {}, description="The bundle's figures less its own, with paired intervals; empty for the bundle's own model."
    )


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
    figures: dict[Name, float] = Field(description="Figures on it, by name.")


class Evaluation(Message):
    """Every table."""

    intervals: str = Field(description="How the intervals were made, in words.")
    models: tuple[ModelFigures, ...] = Field(description="The bundle's model first, then those it is compared with.")
    calibration: tuple[CalibrationBin, ...] = Field(description="Bins of rising probability, equally filled.")
    by_day: tuple[Group, ...] = Field((), description="Day by day.")
    by_scenario: tuple[Group, ...] = Field((), description="One kind of fraud each, among all that is legitimate.")
    unseen: tuple[Group, ...] = Field(
        (), description="The same kinds, by a classifier that was trained without any fraud of theirs."
    )
