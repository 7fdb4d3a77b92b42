"""A credit application's attributes to a model's inputs: the one mapping, used by trainer, stream and files alike.

Pure and row by row. What a feature cannot be made of is a sentence, which names our own attribute and never its value.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from schemas.feature_kinds.event import (
    ApplicationFeature,
    CategoryFeature,
    CombinedFeature,
    DifferenceFeature,
    FlagFeature,
    MissingFeature,
    NumberFeature,
    RatioFeature,
)
from schemas.feature_spec import FeatureSpec

Value = float | bool | str | None
Attributes = Mapping[str, Value]
Read = Callable[[Attributes], float]

NUMBER_MAX = 1e15
"""Larger numbers are a mistake, and sums of them would not fit a float32."""


class AttributeSpecError(ValueError):
    """A spec that reads payments where applications come, or the reverse: one sentence."""


class _UnknownError(Exception):
    """A feature has no value: missing, of the wrong type, out of bounds, or a category that no one named."""


class AttributeMapping:
    """A feature spec, ready to read applications."""

    def __init__(self, spec: FeatureSpec) -> None:
        """Raises AttributeSpecError where the spec does not read applications."""
        features = [feature for feature in spec.features if isinstance(feature, ApplicationFeature)]
        if len(features) != len(spec.features):
            raise AttributeSpecError("The feature spec reads payments, not applications: give a credit bundle or spec.")
        self._reads = [_reader(feature) for feature in features]

    def row(self, attributes: Attributes) -> list[float] | str:
        """The inputs of one application, in the spec's order, or why there are none."""
        try:
            return [read(attributes) for read in self._reads]
        except _UnknownError as error:
            return str(error)

    def matrix(self, applications: Iterable[Attributes]) -> tuple[NDArray[np.float32], dict[int, str]]:
        """float32[k, F] of the applications that have all inputs, in order; and by place why others have none."""
        rows: list[list[float]] = []
        problems: dict[int, str] = {}
        for place, attributes in enumerate(applications):
            row = self.row(attributes)
            if isinstance(row, str):
                problems[place] = row
            else:
                rows.append(row)
        return np.array(rows, np.float32).reshape(-1, len(self._reads)), problems


def _reader(feature: ApplicationFeature) -> Read:
    """What computes one feature."""
    if isinstance(feature, NumberFeature):
        read: Read = partial(_number_feature, feature)
    elif isinstance(feature, CategoryFeature):
        numbers = {name: value.number for name, value in feature.values.items()}
        read = partial(_category_feature, feature.attribute, numbers, feature.other.number if feature.other else None)
    elif isinstance(feature, CombinedFeature):
        read = partial(_combined_feature, feature)
    elif isinstance(feature, FlagFeature):
        read = partial(_flag_feature, feature.attribute)
    elif isinstance(feature, MissingFeature):
        return partial(_missing_feature, feature.attribute)
    elif isinstance(feature, DifferenceFeature):
        read = partial(_difference_feature, feature)
    else:
        read = partial(_ratio_feature, feature)
    return read if feature.missing is None else partial(_or_missing, read, feature.attributes_read, feature.missing)


def _or_missing(read: Read, names: Sequence[str], missing: float, attributes: Attributes) -> float:
    return missing if any(attributes.get(name) is None for name in names) else read(attributes)


def _number(attributes: Attributes, name: str) -> float:
    value = attributes.get(name)
    if value is None:
        raise _UnknownError(f"attribute {name} is missing")
    if isinstance(value, str) or not abs(value) <= NUMBER_MAX:
        raise _UnknownError(f"attribute {name} is not a number up to {NUMBER_MAX:.0e}")
    return float(value)


def _number_feature(feature: NumberFeature, attributes: Attributes) -> float:
    value = _number(attributes, feature.attribute)
    if feature.at_least is not None and value < feature.at_least:
        raise _UnknownError(f"attribute {feature.attribute} is below {feature.at_least:g}")
    if feature.at_most is not None and value > feature.at_most:
        raise _UnknownError(f"attribute {feature.attribute} is above {feature.at_most:g}")
    return value if feature.transform == "none" else math.log1p(value)


def _category_feature(name: str, numbers: Mapping[str, float], other: float | None, attributes: Attributes) -> float:
    value = attributes.get(name)
    if value is None:
        raise _UnknownError(f"attribute {name} is missing")
    number = numbers.get(category(value), other)
    if number is None:
        raise _UnknownError(f"attribute {name} has a value that the feature spec does not name")
    return number


def category(value: float | bool | str) -> str:
    """A category as the spec writes it: a whole number without point, yes and no as true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _flag_feature(name: str, attributes: Attributes) -> float:
    value = _number(attributes, name)
    if value not in (0.0, 1.0):
        raise _UnknownError(f"attribute {name} is neither yes nor no")
    return value


def _missing_feature(name: str, attributes: Attributes) -> float:
    return 1.0 if attributes.get(name) is None else 0.0


def _difference_feature(feature: DifferenceFeature, attributes: Attributes) -> float:
    value = _number(attributes, feature.attribute) - _number(attributes, feature.minus)
    return min(max(value, feature.at_least), feature.at_most)


def _combined_feature(feature: CombinedFeature, attributes: Attributes) -> float:
    values = [_number(attributes, name) for name in feature.attributes]
    match feature.aggregation:
        case "mean":
            return math.fsum(values) / len(values)
        case "sum":
            return math.fsum(values)
        case "max":
            return max(values)
        case _:
            return min(values)


def _ratio_feature(feature: RatioFeature, attributes: Attributes) -> float:
    above = math.fsum(_number(attributes, name) for name in feature.numerator)
    below = math.fsum(_number(attributes, name) for name in feature.denominator)
    if below <= 0.0:
        return feature.no_denominator
    return min(max(above / below, feature.at_least), feature.at_most)
