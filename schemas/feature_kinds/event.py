"""Kinds that read one event, a payment or an application: its fields and attributes, and simple arithmetic of them."""

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from schemas.base import Number, Part
from schemas.feature_kinds.base import BaseFeature, Transform, TransformedFeature, number_words, seconds_words

ATTRIBUTES_MAX = 256
"""Attributes of one application, at most."""

AttributeName = Annotated[str, Field(min_length=1, max_length=64)]
"""Name of an attribute, as the user's system writes it."""

Attributes = Annotated[tuple[AttributeName, ...], Field(min_length=1, max_length=ATTRIBUTES_MAX)]
Words = Annotated[str, Field(min_length=1, max_length=200)]
Total = Literal["mean", "sum", "max", "min"]

SAME_MAX = 3
"""Values with one number that are named; more are only counted."""

_CALENDAR_WORDS = {
    "hour": "local time of day",
    "is_night": "at night (local time before 07:00)",
    "is_weekend": "on a Saturday or Sunday (local time)",
}


class FieldFeature(TransformedFeature):
    """A number of the payment itself."""

    kind: Literal["field"] = Field(description="A number of the payment itself.")
    field: Literal["amount"] = Field(description="Which one.")

    def _derived_words(self) -> str:
        return self.field


class CalendarFeature(BaseFeature):
    """What the local clock and calendar said."""

    kind: Literal["calendar"] = Field(description="Local clock and calendar.")
    part: Literal["hour", "is_night", "is_weekend"] = Field(
        description="hour: 0 to 24 with fractions; is_night: 1 from 00:00 to 06:59:59; is_weekend: 1 on Saturday and Sunday."
    )

    def value_words(self, value: float) -> str:
        """A time of day, or yes and no."""
        if self.part != "hour":
            return "yes" if value else "no"
        hour, minute = divmod(int(value * 60), 60)
        return f"{hour:02d}:{minute:02d}"

    def _derived_words(self) -> str:
        return _CALENDAR_WORDS[self.part]


class AttributeFeature(BaseFeature):
    """What every feature of attributes has."""

    missing: Number | None = Field(
        None, description="Value where an attribute is absent or null. Without it such an event is a dead letter."
    )
    protected: bool = Field(
        False,
        description="A ground by which law forbids to decide (ECOA: sex, marital status, national origin; age): it may be "
        "compared with, no bundle is trained on it.",
    )

    @property
    def attributes_read(self) -> tuple[str, ...]:
        """Names of the attributes that it needs."""
        raise NotImplementedError

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        yield from ()


class OneAttributeFeature(AttributeFeature):
    """What reads one attribute. Each kind declares it behind `kind`, so that manifests keep the order of their fields."""

    if TYPE_CHECKING:
        attribute: AttributeName

    @property
    def attributes_read(self) -> tuple[str, ...]:
        """Names of the attributes that it needs."""
        return (self.attribute,)


class NumberFeature(OneAttributeFeature):
    """A number of the event."""

    kind: Literal["number"] = Field(description="A number of the event.")
    attribute: AttributeName = Field(description="Which one.")
    at_least: Number | None = Field(
        None,
        description="Of an application, a smaller number is a mistake: a dead letter. Of a payment, it becomes this.",
    )
    at_most: Number | None = Field(
        None,
        description="Of an application, a larger number is a mistake: a dead letter. Of a payment, it becomes this.",
    )
    transform: Transform = Field(
        "none", description="log1p: natural logarithm of 1 + value; needs at_least: 0 or more."
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            yield "at_least", f"{self.at_least:g} is above at_most, {self.at_most:g}; exchange them"
        if self.transform == "log1p" and (self.at_least is None or self.at_least < 0):
            yield "transform", "log1p needs numbers from 0 on; add at_least: 0, or remove the transform"

    def _derived_words(self) -> str:
        words = self.attribute.replace("_", " ").lower()
        return words if self.transform == "none" else f"{words} (logarithm)"


class CategoryValue(Part):
    """One value of a category: the number that the model reads, and the words that a reason quotes."""

    number: Number = Field(description="What the model reads.")
    words: Words | None = Field(None, description="The value in words, for reasons. Default: the value itself.")


def _same(value: float, number: float) -> bool:
    """Whether a float32 is that number."""
    return abs(value - number) <= 1e-6 * abs(number)


class Learn(Part):
    """How the values of a category are taken from the training cut, and what the model reads of them."""

    encode: Literal["embedding", "frequency", "rate"] = Field(
        "embedding",
        description="embedding: each value has weights of its own in the network; frequency: its share of the training cut; "
        "rate: its share of frauds, or of defaults, there, drawn towards the share of all by `smoothing`.",
    )
    values_max: Annotated[int, Field(ge=1, le=200)] = Field(50, description="So many values are named, the commonest.")
    count_min: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        20, description="A value that the training cut has less often is not named."
    )
    smoothing: Annotated[float, Field(ge=0.0, le=1e6)] = Field(
        50.0, description="rate: as if so many more events of the value had the rate of all."
    )
    outcome: Literal["frauds", "defaults"] = Field(
        "frauds",
        exclude_if=lambda outcome: outcome == "frauds",
        description="What a rate is of, in words; training on applications writes defaults.",
    )


class CategoryFeature(OneAttributeFeature):
    """A category of the event, mapped to numbers."""

    kind: Literal["category"] = Field(description="A category of the event.")
    attribute: AttributeName = Field(description="Which one.")
    values: Annotated[dict[AttributeName, CategoryValue], Field(max_length=ATTRIBUTES_MAX)] = Field(
        {},
        exclude_if=operator.not_,
        description="Every value that is known, and its number. A whole number given as value is written without point.",
    )
    other: CategoryValue | None = Field(
        None, description="For every value not named. Without it an event with one is a dead letter."
    )
    learn: Learn | None = Field(
        None,
        exclude_if=operator.not_,
        description="In place of values, other and missing: training takes them from its training cut and writes them here.",
    )

    @property
    def is_open(self) -> bool:
        """Whether its values are still to be learnt."""
        return self.learn is not None and self.other is None

    @property
    def is_embedded(self) -> bool:
        """Whether its numbers only stand for values, and mean nothing as numbers."""
        return self.learn is not None and self.learn.encode == "embedding"

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if self.learn is None and not self.values:
            yield "values", "name the values and their numbers, or write learn: {} to take them from the training data"
        if self.is_open and (self.values or self.missing is not None):
            yield "learn", "values, other and missing are learnt together; remove them, or remove learn"

    def value_words(self, value: float) -> str:
        """The words of the known value whose number is nearest; of a learnt rate or frequency, what it is."""
        known = self.values | ({"other": self.other} if self.other else {})
        is_named = any(_same(value, one.number) for one in known.values())
        if self.missing is not None and _same(value, self.missing) and not is_named:
            return "not known"
        if self.learn is not None and not self.is_embedded:
            return self._measured_words(value)
        # a median between two values has no words of its own
        name = min(known, key=lambda name: abs(known[name].number - value))
        return known[name].words or name

    def _measured_words(self, value: float) -> str:
        names = [name for name, one in self.values.items() if _same(value, one.number)]
        what = self.learn.outcome if self.learn and self.learn.encode == "rate" else "of all"
        share = f"{number_words(100 * value)} % {what}"
        return f"{' or '.join(names)} ({share})" if 0 < len(names) <= SAME_MAX else share

    def _derived_words(self) -> str:
        return self.attribute.replace("_", " ").lower()


class CombinedFeature(AttributeFeature):
    """One number made of several."""

    kind: Literal["combined"] = Field(description="Mean, sum, largest or smallest of several numbers.")
    attributes: Attributes = Field(description="Of which.")
    aggregation: Total = Field(description="mean, sum, max or min.")

    @property
    def attributes_read(self) -> tuple[str, ...]:
        """Names of the attributes that it needs."""
        return self.attributes

    def _derived_words(self) -> str:
        return f"{self.aggregation} of {', '.join(name.replace('_', ' ').lower() for name in self.attributes)}"


class RatioFeature(AttributeFeature):
    """One sum of numbers divided by another."""

    kind: Literal["ratio"] = Field(description="A sum of numbers divided by another sum.")
    numerator: Attributes = Field(description="What is divided: the sum of these.")
    denominator: Attributes = Field(description="By what: the sum of these.")
    at_least: Number = Field(0.0, description="A smaller ratio becomes this.")
    at_most: Number = Field(10.0, description="A larger ratio becomes this.")
    no_denominator: Number = Field(0.0, description="Value where the denominator is not above 0.")

    @property
    def attributes_read(self) -> tuple[str, ...]:
        """Names of the attributes that it needs."""
        return (*self.numerator, *self.denominator)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if self.at_least > self.at_most:
            yield "at_least", f"{self.at_least:g} is above at_most, {self.at_most:g}; exchange them"

    def _derived_words(self) -> str:
        sides = (self.numerator, self.denominator)
        above, below = (" + ".join(name.replace("_", " ").lower() for name in names) for names in sides)
        return f"{above} relative to {below}"


class FlagFeature(OneAttributeFeature):
    """Yes or no."""

    kind: Literal["flag"] = Field(description="1 where a flag of the event is yes, 0 where it is no.")
    attribute: AttributeName = Field(description="Which one.")

    def value_words(self, value: float) -> str:
        """Yes and no."""
        return {1.0: "yes", 0.0: "no"}.get(value, super().value_words(value))

    def _derived_words(self) -> str:
        return self.attribute.replace("_", " ")


class MissingFeature(OneAttributeFeature):
    """Whether something is not known."""

    kind: Literal["missing"] = Field(description="1 where the event lacks an attribute, 0 where it has it.")
    attribute: AttributeName = Field(description="Which one.")

    def value_words(self, value: float) -> str:
        """Yes and no."""
        return "yes" if value else "no"

    def _derived_words(self) -> str:
        return f"{self.attribute.replace('_', ' ')} is missing"


class BoundedFeature(AttributeFeature):
    """A number that is made of two."""

    at_least: Number = Field(-1e15, description="A smaller one becomes this.")
    at_most: Number = Field(1e15, description="A larger one becomes this.")

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if self.at_least > self.at_most:
            yield "at_least", f"{self.at_least:g} is above at_most, {self.at_most:g}; exchange them"


class DifferenceFeature(BoundedFeature):
    """One number less another."""

    kind: Literal["difference"] = Field(description="One number of the event less another.")
    attribute: AttributeName = Field(description="From which; amount is a payment's.")
    minus: AttributeName = Field(description="What is subtracted.")

    @property
    def attributes_read(self) -> tuple[str, ...]:
        """Names of the attributes that it needs."""
        return self.attribute, self.minus

    def _derived_words(self) -> str:
        return f"{self.attribute.replace('_', ' ')} less {self.minus.replace('_', ' ')}"


class BetweenFeature(BoundedFeature):
    """Seconds from one time of a payment to another."""

    kind: Literal["between"] = Field(description="Seconds from one time of the payment to another.")
    start: AttributeName = Field(description="From when.")
    end: AttributeName = Field("event_time", description="Until when; event_time is the payment's.")

    @property
    def attributes_read(self) -> tuple[str, ...]:
        """Names of the attributes that it needs."""
        return self.end, self.start

    def value_words(self, value: float) -> str:
        """In the two largest units."""
        return seconds_words(value) if value >= 0 else f"{seconds_words(-value)} before"

    def _derived_words(self) -> str:
        return f"time from {self.start.replace('_', ' ')} to {self.end.replace('_', ' ')}"


class NetworkFeature(OneAttributeFeature):
    """What an internet address says of its network."""

    kind: Literal["network"] = Field(description="What an internet address of the payment says of its network.")
    attribute: AttributeName = Field(description="Which address.")
    part: Literal["private", "listed"] = Field(
        description="private: 1 where no packet reaches it from outside (RFC 6890), else 0; listed: 1 where it is in "
        "`networks`, else 0."
    )
    networks: AttributeName | None = Field(
        None, description="listed: which of the spec's `networks`: of hosting companies, of anonymous proxies ..."
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if (self.part == "listed") != (self.networks is not None):
            yield "networks", "listed needs the name of one of the spec's networks, and private none; correct one"

    def value_words(self, value: float) -> str:
        """Yes and no."""
        return {1.0: "yes", 0.0: "no"}.get(value, super().value_words(value))

    def _derived_words(self) -> str:
        network = (
            "a private network" if self.networks is None else f"a network of the list {self.networks.replace('_', ' ')}"
        )
        return f"{self.attribute.replace('_', ' ')} is of {network}"


ApplicationFeature = (
    NumberFeature | CategoryFeature | FlagFeature | MissingFeature | CombinedFeature | RatioFeature | DifferenceFeature
)
"""What applications have, too. The order says nothing: a spec names its kinds."""

EventFeature = FieldFeature | CalendarFeature | ApplicationFeature | BetweenFeature | NetworkFeature
