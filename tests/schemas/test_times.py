"""What a number can mean as a time."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import times
from schemas.times import EVENT_TIME_MS_MAX, TIME_MS_MIN, UNITS_MS, record_time_problem, unit_of


@given(st.integers(TIME_MS_MIN, EVENT_TIME_MS_MAX - 1), st.sampled_from(sorted(UNITS_MS)))
def test_the_unit_of_a_time_between_1980_and_2100_is_found(time_ms: int, unit: str) -> None:
    """Whatever the unit: the ranges do not overlap."""
    value = time_ms / UNITS_MS[unit]
    assert unit_of(value) in (unit, None if abs(value * UNITS_MS[unit] - TIME_MS_MIN) < 1 else unit)


@pytest.mark.parametrize("value", [0, 1, 12.5, -1_780_000_000, 1e30, 86_399])
def test_other_numbers_have_no_unit(value: float) -> None:
    """Seconds of a day, amounts, nonsense."""
    assert unit_of(value) is None


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 1_780_000_000, 1_780_000_000_000_000, 4_102_444_800_000, 2**62])
def test_an_implausible_timestamp_of_a_record_has_a_problem(timestamp_ms: int) -> None:
    """And the sentence names the unit where there is one; a plausible one has none."""
    assert record_time_problem(timestamp_ms)
    assert record_time_problem(1_546_300_800_000) is None


def test_the_examples_are_true() -> None:
    """Those in the docstrings."""
    assert doctest.testmod(times).failed == 0
