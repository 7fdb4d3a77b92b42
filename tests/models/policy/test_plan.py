"""Steps of one kind run together: the same answers as one by one, whatever share of the words is looked up."""

import random

import numpy as np
import pytest

from models.policy.program import Program
from schemas.policy import Policy, Rule
from tests.models.policy.columns import KNOWN, batch, numbers

WORDS = [None, "a", "b", "c", "d", "other"]


def python(number: float | None, word: str | None, bound: float, words: list[str]) -> bool:
    """One rule in Python."""
    return number is not None and number > bound and word is not None and word not in words


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 500], [1, 0, 0, 0, 0, 0]])
def test_many_rules_of_few_columns_find_what_each_finds_alone(weights: list[int]) -> None:
    """Comparisons, look-ups and ANDs of a hundred rules; the words looked up are all of the values, few of them, or none."""
    draw = random.Random(1)
    rows = 700
    values = [None if draw.random() < 0.1 else draw.uniform(0, 10) for _ in range(rows)]
    words = draw.choices(WORDS, weights, k=rows)
    asked = [(round(draw.uniform(0, 10), 2), draw.sample(["a", "b", "c", "d"], 2)) for _ in range(100)]
    rules = tuple(
        Rule(
            name=f"rule_{place}",
            words="-",
            condition=f"number > {bound} AND word NOT IN ('{one}', '{other}')",
            action="review",
            owner="-",
        )
        for place, (bound, (one, other)) in enumerate(asked)
    )
    columns = {"number": numbers(values), "word": words}
    held = Program(Policy(name="p", version=1, rules=rules), KNOWN).held(batch(rows, columns))
    expected = [
        [python(number, word, bound, listed) for number, word in zip(values, words, strict=True)]
        for bound, listed in asked
    ]
    assert np.array_equal(held, np.array(expected))


def test_rules_that_are_always_or_never_true_stand_beside_others() -> None:
    """A constant is a row that is there before anything runs."""
    conditions = ["TRUE", "FALSE", "number > 1", "TRUE AND number > 1", "NOT (1 = 1)", "1 < 2 OR number > 5"]
    rules = tuple(
        Rule(name=f"rule_{place}", words="-", condition=condition, action="review", owner="-")
        for place, condition in enumerate(conditions)
    )
    held = Program(Policy(name="p", version=1, rules=rules), KNOWN).held(batch(2, {"number": numbers([0.0, 2.0])}))
    assert held.tolist() == [[True, True], [False, False], [False, True], [False, True], [False, False], [True, True]]
