"""Groups of people by what no model reads: shares counted by hand, and differences that the intervals find."""

import numpy as np
import pytest

from models.features.spec_file import parse_spec
from models.training.credit.fairness import GROUP_MIN, approvals, fairness

pytestmark = pytest.mark.train

SPEC = parse_spec(
    """
version: 1
features:
  - {name: income, kind: number, attribute: income}
  - {name: age, kind: number, attribute: age, protected: true, description: age}
  - name: sex
    kind: category
    attribute: sex
    protected: true
    description: sex
    values: {m: {number: 0, words: male}, f: {number: 1, words: female}}
"""
)


def people(rows: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, who is approved and who defaults: women are approved less often, whether they repay or not."""
    random = np.random.default_rng(0)
    sex = random.integers(0, 2, rows)
    features = np.column_stack([random.normal(size=rows), random.integers(18, 90, rows), sex]).astype(np.float32)
    return features, random.random(rows) < np.where(sex == 1, 0.6, 0.8), random.random(rows) < 0.2


def test_groups_are_counted_and_a_difference_is_found() -> None:
    """Both sexes and all bands of age; what is no ground makes no group."""
    features, approved, defaulted = people()
    found = {(one.ground, one.group): one for one in fairness(SPEC, features, approved, defaulted, seed=1)}
    bands = ("below 26", "from 26 below 41", "from 41 below 61", "from 61")
    assert set(found) == {("sex", "male"), ("sex", "female"), *(("age", words) for words in bands)}
    women, rows = found["sex", "female"], features[:, 2] == 1
    assert women.applicants == rows.sum()
    assert women.approved.value == pytest.approx(approved[rows].mean())
    assert women.opportunity.value == pytest.approx(approved[rows & ~defaulted].mean())
    assert women.defaults == pytest.approx(defaulted[rows & approved].mean())
    difference = approved[rows & ~defaulted].mean() - approved[~rows & ~defaulted].mean()
    assert women.opportunity_less_others.value == pytest.approx(difference)
    assert women.opportunity_less_others.high < -0.1
    assert found["sex", "male"].less_others.value == pytest.approx(-women.less_others.value)
    old = found["age", "from 61"].less_others
    assert old.low < 0.0 < old.high


def test_a_group_too_small_to_judge_is_left_out() -> None:
    """Fewer than fifty who repaid."""
    features, approved, defaulted = people()
    features[:, 1] = 30.0
    features[: GROUP_MIN // 2, 1] = 70.0
    assert {one.ground for one in fairness(SPEC, features, approved, defaulted, seed=1)} == {"sex"}


def test_each_fold_declines_as_many_as_defaulted() -> None:
    """The riskiest ones."""
    scores = [np.array([0.1, 0.9, 0.5], np.float32), np.array([0.3, 0.2], np.float32)]
    truths = [np.array([True, False, False]), np.array([False, False])]
    assert approvals(scores, truths).tolist() == [True, False, True, True, True]
