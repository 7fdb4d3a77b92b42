"""The breaker: which alerts of a storm are given reasons follows from the log alone, however it is cut into batches."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scoring.scores import Scores
from services.engine.carried_sums import has_sums, reasons_of, without_sums
from services.scorer.reason_limit import BINS, GIVEN_MAX, NOTHING_GIVEN, ReasonWindow, choose, severity

LIMIT = 20


def chosen(minutes: list[int], bins: list[int], cuts: list[int]) -> tuple[list[bool], ReasonWindow]:
    """Of the alerts in batches that end at these places, the window going through a note between them."""
    window, found = NOTHING_GIVEN, []
    for start, end in pairwise([0, *sorted(set(cuts)), len(bins)]):
        times = np.array(minutes[start:end], np.int64) * 60_000
        mask, window = choose(window, LIMIT, times, np.array(bins[start:end], np.intp))
        found += mask.tolist()
        packed = reasons_of(without_sums(window.packed()))
        assert packed is not None
        window = ReasonWindow.unpacked(packed)
    return found, window


@given(
    st.lists(st.tuples(st.integers(100, 103), st.integers(0, BINS - 1)), max_size=300),
    st.lists(st.integers(0, 300), max_size=10),
)
def test_however_the_log_is_cut_the_same_alerts_are_given_reasons(
    alerts: list[tuple[int, int]], cuts: list[int]
) -> None:
    """One batch, many, or a restart between two that reads the window from the offset's note."""
    minutes, bins = [minute for minute, _ in alerts], [place for _, place in alerts]
    inside = [cut for cut in cuts if 0 < cut < len(alerts)]
    assert chosen(minutes, bins, inside) == chosen(minutes, bins, [])


def test_below_the_bound_every_alert_is_given_reasons_and_beyond_it_the_most_severe() -> None:
    """A new minute begins again; an older timestamp is of the newest minute."""
    found, _ = chosen([5] * 60, [10] * LIMIT + [9] * 10 + [11] * 5 + [10] * 25, [])
    assert found == [True] * LIMIT + [False] * 10 + [True] * 5 + [False] * 25
    found, window = chosen([5] * 30 + [6] * 30 + [4] * 5, [10] * 65, [])
    assert found == [True] * 20 + [False] * 10 + [True] * 20 + [False] * 15
    assert window.minute == 6


def test_a_storm_that_grows_ever_more_severe_is_bounded_too() -> None:
    """Or an attacker would pay for it with our processor."""
    rising = [place for place in range(BINS) for _ in range(30)]
    found, window = chosen([1] * len(rising), rising, [])
    assert sum(found) == window.given == GIVEN_MAX * LIMIT


def test_severity_is_finest_near_one() -> None:
    """Of either score: one in a thousand is told from one in ten thousand."""
    probability = np.array([0.5, 0.9, 0.999, 0.9999, 1.0, 0.0], np.float32)
    percentile = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 99.99], np.float32)
    bins = severity(Scores(probability, np.zeros(6, np.float32), percentile)).tolist()
    assert bins[:5] == sorted(set(bins[:5]))
    assert bins[5] == pytest.approx(bins[3], abs=1)


def test_a_note_of_the_window_alone_holds_no_sums_and_other_notes_hold_no_window() -> None:
    """So that neither is taken for the other."""
    assert not has_sums(without_sums(NOTHING_GIVEN.packed()))
    assert has_sums("no base64")
    assert reasons_of("no base64") is None
