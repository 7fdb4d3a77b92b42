"""Attributes to inputs: every kind of feature, and a sentence for everything that none can be made of."""

import math
from typing import Any

import numpy as np
import pytest

from models.features.attributes import AttributeMapping, Attributes, AttributeSpecError
from models.features.spec_file import FeatureSpecError, parse_spec

SPEC = """
version: 1
features:
  - {name: income, kind: number, attribute: income, at_least: 0, at_most: 1000000, transform: log1p}
  - name: housing
    kind: category
    attribute: housing
    description: housing
    values:
      own: {number: 2, words: owner}
      rent: {number: 1}
    other: {number: 0, words: somewhere else}
  - name: grade
    kind: category
    attribute: grade
    values: {1: {number: 10}, "true": {number: 20}}
    missing: -1
  - {name: delays, kind: combined, aggregation: max, attributes: [d1, d2, d3]}
  - {name: use, kind: ratio, numerator: [b1, b2], denominator: [limit], at_most: 3, no_denominator: 1}
"""
GOOD: Attributes = {
    "income": 99.0,
    "housing": "own",
    "grade": 1.0,
    "d1": 0.0,
    "d2": 4.0,
    "d3": -1.0,
    "b1": 30.0,
    "b2": 20.0,
    "limit": 100.0,
}


def mapping(text: str = SPEC) -> AttributeMapping:
    """The spec, ready to read."""
    return AttributeMapping(parse_spec(text))


def test_every_kind_of_feature_reads_what_it_says() -> None:
    """Logarithm, category, whole number as category, maximum, ratio of sums."""
    assert mapping().row(GOOD) == pytest.approx([math.log(100.0), 2.0, 10.0, 4.0, 0.5])


@pytest.mark.parametrize(
    ("changes", "place", "value"),
    [
        ({"housing": "castle"}, 1, 0.0),
        ({"grade": None}, 2, -1.0),
        ({"grade": True}, 2, 20.0),
        ({"limit": 1.0}, 4, 3.0),
        ({"limit": 0.0}, 4, 1.0),
        ({"b1": -500.0}, 4, 0.0),
    ],
)
def test_other_missing_caps_and_no_denominator_take_their_declared_values(
    changes: dict[str, Any], place: int, value: float
) -> None:
    """What the spec names for the unusual is what the model reads."""
    row = mapping().row({**GOOD, **changes})
    assert isinstance(row, list)
    assert row[place] == value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"income": None}, "attribute income is missing"),
        ({"income": -1.0}, "attribute income is below 0"),
        ({"income": 2e6}, "attribute income is above 1e+06"),
        ({"income": "s3cret"}, "attribute income is not a number"),
        ({"income": float("nan")}, "attribute income is not a number"),
        ({"d2": 1e300}, "attribute d2 is not a number up to 1e+15"),
        ({"housing": None}, "attribute housing is missing"),
        ({"grade": "s3cret"}, "attribute grade has a value that the feature spec does not name"),
        ({"d3": None}, "attribute d3 is missing"),
    ],
)
def test_what_no_input_can_be_made_of_is_a_sentence_without_the_value(changes: dict[str, Any], words: str) -> None:
    """The sentence goes to a dead letter."""
    problem = mapping().row({**GOOD, **changes})
    assert isinstance(problem, str)
    assert problem.startswith(words)
    assert "s3cret" not in problem


def test_many_applications_map_as_one_by_one_and_the_refused_are_numbered() -> None:
    """The trainer's way and the stream's are one."""
    rows, problems = mapping().matrix([GOOD, {**GOOD, "income": None}, {**GOOD, "housing": "rent"}])
    assert rows.tolist() == [np.float32(mapping().row(GOOD)).tolist(), [*rows[0][:1], 1.0, *rows[0][2:]]]
    assert problems == {1: "attribute income is missing"}


def test_a_category_quotes_its_words_also_between_two_values() -> None:
    """As reasons do, for a value and for a median."""
    housing = parse_spec(SPEC).features[1]
    assert [housing.value_words(number) for number in (2.0, 1.0, 0.0, 1.9)] == [
        "owner",
        "rent",
        "somewhere else",
        "owner",
    ]


def test_a_spec_of_payments_reads_no_applications() -> None:
    """And says which one it wants."""
    payments = parse_spec("{version: 1, features: [{name: a, kind: field, field: amount}]}")
    with pytest.raises(AttributeSpecError, match="reads payments, not applications"):
        AttributeMapping(payments)


@pytest.mark.parametrize(
    ("line", "replacement", "error"),
    [
        ("at_most: 1000000", "at_most: -1", "line 4: .*0 is above at_most, -1; exchange them"),
        ("at_least: 0, at_most: 1000000, transform", "transform", "line 4: log1p needs numbers from 0 on; add at_least: 0"),
        ("own: {number: 2, words: owner}", "own: {words: owner}", "line 10: .*number: add it"),
        ("kind: combined", "kind: combine", "line 18: .*Input tag 'combine'"),
        ("aggregation: max", "aggregation: most", "line 18: .*'mean', 'sum', 'max' or 'min'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_spec_names_its_line_and_the_fix(line: str, replacement: str, error: str) -> None:
    """As for payments."""
    assert line in SPEC
    with pytest.raises(FeatureSpecError, match=error):
        parse_spec(SPEC.replace(line, replacement))


def test_applications_have_the_kinds_that_payments_have() -> None:
    """Flags, what is missing and differences, by the same words; a flag that is neither yes nor no is a sentence."""
    made = mapping("""
version: 1
features:
  - {name: owner, kind: flag, attribute: owner, missing: 0.5}
  - {name: no_limit, kind: missing, attribute: limit}
  - {name: left, kind: difference, attribute: limit, minus: use, at_least: 0, missing: -1}
""")
    assert made.row({"owner": True, "limit": 10, "use": 4}) == [1.0, 0.0, 6.0]
    assert made.row({"owner": 0.0, "limit": 1, "use": 4}) == [0.0, 0.0, 0.0]
    assert made.row({"use": 4}) == [0.5, 1.0, -1.0]
    assert made.row({"owner": 2.0, "limit": 1, "use": 1}) == "attribute owner is neither yes nor no"
    assert made.row({"owner": "yes", "limit": 1, "use": 1}) == "attribute owner is not a number up to 1e+15"
