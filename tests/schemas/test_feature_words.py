"""Features and their values are said in an analyst's words, not in the model's numbers."""

import math

import pytest
from pydantic import TypeAdapter

from schemas.feature_kinds.base import seconds_words
from schemas.feature_spec import Feature

FEATURE: TypeAdapter[Feature] = TypeAdapter(Feature)


def said(value: float, **feature: str) -> str:
    """`value` of a feature so declared, in words."""
    return FEATURE.validate_python({"name": "f", **feature}).value_words(value)


@pytest.mark.parametrize(
    ("feature", "value", "words"),
    [
        ({"kind": "field", "field": "amount"}, 1234.5, "1,234.5"),
        ({"kind": "field", "field": "amount"}, -0.001, "0"),
        ({"kind": "field", "field": "amount", "transform": "log1p"}, math.log1p(250), "250"),
        ({"kind": "calendar", "part": "hour"}, 13.43, "13:25"),
        ({"kind": "calendar", "part": "is_night"}, 1.0, "yes"),
        ({"kind": "calendar", "part": "is_weekend"}, 0.0, "no"),
        ({"kind": "since", "key": "card", "event": "last"}, 7312.0, "2 h 1 min"),
        ({"kind": "since", "key": "card", "event": "last", "transform": "log1p"}, math.log1p(90), "1 min 30 s"),
        ({"kind": "since", "key": "card", "event": "last"}, 2_592_000.0, "30 d or more"),
        ({"kind": "window", "key": "card", "aggregation": "count", "window": "1h"}, 7.0, "7"),
        ({"kind": "window", "key": "card", "aggregation": "ratio", "window": "1h"}, 4.126, "4.13 times"),
        ({"kind": "profile", "aggregation": "fraud_rate", "window": "7d"}, 0.125, "12.5%"),
    ],
)
def test_a_value_is_said_in_its_own_unit(feature: dict[str, str], value: float, words: str) -> None:
    """Times as times, shares in percent, yes and no; logarithms undone."""
    assert said(value, **feature) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.6, "1 min"), (3600, "1 h"), (86_399, "23 h 59 min"), (90_061, "1 d 1 h")]
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    """Not in thousands of seconds."""
    assert seconds_words(seconds) == words
