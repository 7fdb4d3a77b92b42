"""The reference that drift is measured against: every feature in bins in which a shift can show."""

import numpy as np
import pytest

from models.training.reference import FEATURE_BINS, _histogram, _typical


def test_a_continuous_feature_has_bins_of_equal_shares() -> None:
    """Twenty of them, from the lowest value to the highest."""
    column = np.random.default_rng(0).gamma(2.0, size=10_000).astype(np.float32)
    histogram = _histogram("f", column)
    assert len(histogram.counts) == FEATURE_BINS
    assert max(histogram.counts) - min(histogram.counts) <= 2
    assert (histogram.edges[0], histogram.edges[-1]) == (float(column.min()), float(column.max()))


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.98])
def test_a_flag_has_a_bin_for_no_and_a_bin_for_yes(share: float) -> None:
    """However rare it is."""
    yes = round(1000 * share)
    histogram = _histogram("f", np.repeat([0.0, 1.0], [1000 - yes, yes]).astype(np.float32))
    assert (histogram.counts[0], sum(histogram.counts[1:])) == (1000 - yes, yes)
    assert sum(count > 0 for count in histogram.counts) == 2


def test_a_value_that_most_rows_have_stands_alone() -> None:
    """A rate that is mostly 0: what is above 0 is not in its bin."""
    column = np.concatenate([np.zeros(950), np.linspace(0.01, 1.0, 50)]).astype(np.float32)
    histogram = _histogram("f", column)
    assert histogram.counts[0] == 950
    assert sum(histogram.counts) == 1000


def test_a_constant_feature_is_one_bin() -> None:
    """Of width 1."""
    histogram = _histogram("f", np.full(10, 3.0, np.float32))
    assert (histogram.edges, histogram.counts) == ((3.0, 4.0), (10,))


def test_what_is_typical_of_a_category_is_its_commonest_value() -> None:
    """Codes have no middle: the median of these is a value of one row in ten."""
    codes = np.repeat([2.0, 3.0, 4.0], [45, 10, 45]).astype(np.float32)
    codes[-1] = 2.0
    assert _histogram("f", codes, is_code=True).median == 2.0
    assert _histogram("f", codes).median == 3.0
    rows = np.stack([codes, np.full(100, 7.0, np.float32)], axis=1)
    assert _typical(rows, (0,)) == (2.0, 7.0)
    assert _typical(rows, ()) == (3.0, 7.0)
