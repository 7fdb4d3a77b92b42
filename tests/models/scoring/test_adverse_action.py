"""Reasons for credit decisions: exact with eight inputs, in words, from what moved the decision."""

from itertools import combinations
from math import factorial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.features.spec_file import parse_spec
from models.scoring.adverse_action import adverse_reasons
from models.scoring.scores import Scores

FEATURES = 8
SPEC = parse_spec(
    "version: 1\nfeatures:\n"
    "  - {name: housing, kind: category, attribute: h, description: housing, "
    "values: {own: {number: 0, words: owner}, rent: {number: 1, words: tenant}}}\n"
    + "".join(
        f"  - {{name: f{i}, kind: number, attribute: f{i}, description: factor {i}}}\n" for i in range(1, FEATURES)
    )
)
RANDOM = np.random.default_rng(3)
BACKGROUND = RANDOM.integers(0, 2, (4, FEATURES)).astype(np.float32)


def probability(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """A model with interactions; the last input lowers it."""
    logit = rows[:, 0] * rows[:, 1] + 0.8 * rows[:, 2] + 0.3 * rows[:, 3] * rows[:, 4] - rows[:, 7] - 1.0
    return np.asarray(1.0 / (1.0 + np.exp(-logit)), np.float32)


class FakeSession:
    """The model above, as a session."""

    def __init__(self) -> None:
        histograms = tuple(SimpleNamespace(name=name, median=0.0) for name in SPEC.names)
        reference = SimpleNamespace(features=histograms, background=tuple(map(tuple, BACKGROUND.tolist())))
        self.bundle: Any = SimpleNamespace(manifest=SimpleNamespace(feature_spec=SPEC), reference=reference)
        self.rows_most, self.trees = 0, None

    def run(self, matrix: NDArray[np.float32]) -> Scores:
        """Score them."""
        column = self.probability(matrix)
        return Scores(column, 1.0 - column, 100.0 * column)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model above."""
        self.rows_most = max(self.rows_most, len(matrix))
        return probability(matrix)


def exact(row: NDArray[np.float32], feature: int) -> float:
    """The Shapley value by its definition."""

    def worth(members: tuple[int, ...]) -> float:
        mixed = BACKGROUND.copy()
        mixed[:, members] = row[list(members)]
        return float(probability(mixed).astype(np.float64).mean())

    others = [f for f in range(FEATURES) if f != feature]
    return sum(
        factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES)
        * (worth((*members, feature)) - worth(members))
        for size in range(FEATURES)
        for members in combinations(others, size)
    )  # fmt: skip


def test_contributions_are_the_shapley_values_by_definition() -> None:
    """For eight inputs nothing is estimated."""
    row = np.array([[1, 1, 1, 1, 1, 0, 0, 0]], np.float32)
    (reasons,) = adverse_reasons(FakeSession(), row, ["probability"])
    assert reasons
    for reason in reasons:
        assert reason.contribution == pytest.approx(exact(row[0], SPEC.names.index(reason.feature)), abs=1e-6)
    assert [r.contribution for r in reasons] == sorted((r.contribution for r in reasons), reverse=True)


def test_only_what_speaks_against_the_applicant_is_a_reason_four_at_most() -> None:
    """What lowered the score is none."""
    row = np.ones((1, FEATURES), np.float32)
    (reasons,) = adverse_reasons(FakeSession(), row, ["probability"])
    assert 1 <= len(reasons) <= 4
    assert all(reason.contribution > 0 for reason in reasons)
    assert "f7" not in {reason.feature for reason in reasons}


def test_a_reason_says_the_value_and_that_of_approved_applicants_in_words() -> None:
    """Category words, not their numbers."""
    row = np.array([[1, 1, 0, 0, 0, 0, 0, 0]], np.float32)
    (reasons,) = adverse_reasons(FakeSession(), row, ["probability"])
    texts = {reason.feature: reason.text for reason in reasons}
    assert texts["housing"] == "housing: tenant (approved applicants: owner)"
    assert texts["f1"] == "factor 1: 1 (approved applicants: 0)"


def test_many_decisions_are_explained_in_bounded_runs_with_the_same_reasons_as_one_by_one() -> None:
    """Memory does not grow with the batch, and neighbours change nothing."""
    rows = RANDOM.integers(0, 2, (200, FEATURES)).astype(np.float32)
    session = FakeSession()
    together = adverse_reasons(session, rows, ["probability"] * len(rows))
    assert session.rows_most <= 70_000
    assert together == [adverse_reasons(FakeSession(), row[None], ["probability"])[0] for row in rows]


def test_no_decision_needs_no_run() -> None:
    """An empty batch is explained for nothing."""
    session = FakeSession()
    assert adverse_reasons(session, np.zeros((0, FEATURES), np.float32), []) == []
    assert session.rows_most == 0
