"""Stage 2: the duplicate window, whatever the cut into batches, the restarts and the clock."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.engine.duplicates import GENERATIONS, DuplicateWindow, WindowLimits, warm
from services.settings.processing import RuntimeSettings

Stream = list[tuple[str, int]]
"""Ids and their records' timestamps."""


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    """So that no example waits for it."""
    warm()


def places(window: DuplicateWindow, stream: Stream) -> list[int]:
    """Which of a batch are repetitions."""
    return window.repeated([i for i, _ in stream], np.array([stamp for _, stamp in stream], np.int64))


def restored(window: DuplicateWindow) -> DuplicateWindow:
    """Another process's, from a snapshot."""
    other = DuplicateWindow(window.limits)
    other.load(window.to_arrays())
    return other


def as_written(stream: Stream, limits: WindowLimits) -> list[int]:
    """Record by record, in lists: the rule of decision 82 in its shortest form."""
    clock_ms, generations, found = 0, [], []
    for place, (record_id, stamp_ms) in enumerate(stream):
        clock_ms = max(clock_ms, stamp_ms)
        newest: Any = generations[-1] if generations else None
        full = newest and len(newest["ids"]) >= limits.ids_max
        over = newest and len(newest["ids"]) >= limits.ids_min and clock_ms - newest["first_ms"] >= limits.span_ms
        if not newest or full or over:
            generations.append({"ids": [], "first_ms": clock_ms})
        while True:
            newer, total = (sum(len(g["ids"]) for g in part) for part in (generations[1:], generations))
            old = generations[0].get("last_ms", clock_ms) < clock_ms - limits.window_ms or total >= limits.records_max
            if newer < limits.records_min or not old:
                break
            generations.pop(0)
        if any(record_id in generation["ids"] for generation in generations):
            found.append(place)
        else:
            generations[-1]["ids"].append(record_id)
        generations[-1]["last_ms"] = clock_ms
    return found


IDS = st.sampled_from([f"tx-{i}" for i in range(12)] + ["ä" * 40])
STREAMS = st.lists(st.tuples(IDS, st.integers(0, 60)), max_size=80)
LIMITS = st.builds(WindowLimits, st.integers(1, 12), st.integers(0, 40), st.integers(0, 24))


@given(STREAMS, LIMITS, st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1))
def test_any_cut_and_any_restart_give_the_decisions_of_the_rule(
    stream: Stream, limits: WindowLimits, cuts: list[tuple[int, bool]]
) -> None:
    """Batches of any sizes, a snapshot after some, clocks that jump both ways."""
    window, found, start, turn = DuplicateWindow(limits), [], 0, 0
    while start < len(stream):
        size, restart = cuts[turn % len(cuts)]
        found += [start + place for place in places(window, stream[start : start + size])]
        start, turn = start + size, turn + 1
        if restart:
            window = restored(window)
    assert found == as_written(stream, limits)


@given(STREAMS, LIMITS.map(lambda limits: WindowLimits(limits.records_min, limits.window_ms, 10_000)))
@example([("a", 0), ("b", 5), ("c", 5), ("d", 5), ("a", 10)], WindowLimits(1, 10, 10_000))
def test_an_id_is_remembered_for_the_time_and_for_the_records_that_the_settings_say(
    stream: Stream, limits: WindowLimits
) -> None:
    """Every repetition within either is found, and none is found that lies a generation beyond both."""
    found = set(places(DuplicateWindow(limits), stream))
    accepted: dict[str, tuple[int, int]] = {}
    clock_ms, count = 0, 0
    for place, (record_id, stamp_ms) in enumerate(stream):
        clock_ms = max(clock_ms, stamp_ms)
        first_ms, before = accepted.get(record_id, (-(10**9), -(10**9)))
        if clock_ms - first_ms <= limits.window_ms or count - before <= limits.records_min - 1:
            assert place in found
        if place not in found:
            accepted[record_id] = (clock_ms, count)
            count += 1
        assert record_id in accepted


def test_the_window_of_records_is_exact_where_no_time_is_set_and_it_is_small() -> None:
    """As it was before there was a time: the last 8 of their partition."""
    window = DuplicateWindow(WindowLimits(4))
    assert places(window, [(str(i), 0) for i in range(9)]) == []
    assert [bool(places(restored(window), [(str(i), 0)])) for i in range(9)] == [False] * 5 + [True] * 4


def test_a_jump_of_the_clock_forgets_no_more_than_the_last_records_allow() -> None:
    """One record dated far ahead, as producers' own timestamps may be."""
    window = DuplicateWindow(WindowLimits(records_min=40, window_ms=1000, records_max=10_000))
    places(window, [(str(i), 100) for i in range(200)])
    places(window, [("ahead", 10**12)])
    found = {int(str(i)) for i in range(200) if places(restored(window), [(str(i), 100)])}
    assert found >= set(range(161, 200))


@pytest.mark.parametrize("restart", [False, True])
def test_a_timestamp_that_goes_back_makes_no_id_live_longer(restart: bool) -> None:
    """The clock is the newest so far, in the batches before and in the snapshot too."""
    window = DuplicateWindow(WindowLimits(records_min=1, window_ms=100, records_max=1000))
    places(window, [("a", 0), ("b", 1000)])
    assert places(restored(window) if restart else window, [("a", 5), ("b", 5)]) == [1]


def test_at_the_limit_of_records_the_oldest_are_forgotten() -> None:
    """All within the time: memory is bounded, a generation more or less."""
    window = DuplicateWindow(WindowLimits(records_min=10, window_ms=10**6, records_max=400))
    places(window, [(str(i), 5) for i in range(5000)])
    assert 300 <= len(window) <= 400
    assert places(window, [(str(i), 5) for i in range(4700, 5000)]) == list(range(300))
    assert places(window, [("0", 5)]) == []


def test_at_the_advertised_rate_the_default_remembers_its_whole_time() -> None:
    """27,500 records a second on one partition: the limit in records is no shorter."""
    limits = WindowLimits.of(RuntimeSettings())
    assert limits.records_max >= 27_500 * limits.window_ms / 1000 * (1 + 1 / GENERATIONS)


def test_a_window_of_zero_lets_everything_through() -> None:
    """The setting's way to switch it off."""
    assert places(DuplicateWindow(WindowLimits(0, 10_000, 100)), [("a", 1), ("a", 1)]) == []


@given(st.lists(st.text(min_size=1, max_size=90), unique=True, max_size=20))
def test_ids_of_any_characters_survive_a_snapshot(ids: list[str]) -> None:
    """They are the user's; also long ones, and those that differ at the end alone."""
    ids = [i for i in ids if i.isprintable()]
    ids += [f"{'x' * 100}{i}" for i in range(3)]
    window, stream = DuplicateWindow(WindowLimits(100)), [(i, 0) for i in ids]
    assert places(window, stream) == []
    assert places(restored(window), stream) == list(range(len(ids)))


def test_what_is_captured_is_the_window_of_that_moment() -> None:
    """Generations are closed and forgotten, tables grow, before the thread reads it."""
    window = DuplicateWindow(WindowLimits(3000, 10, 10_000))
    places(window, [(str(i), i) for i in range(5000)])
    before, captured = restored(window), window.capture()
    assert sum(places(before, [(str(i), 0)]) == [0] for i in range(2000, 5000)) == 3000
    for start in range(5000, 25_000, 500):
        places(window, [(str(i), i) for i in range(start, start + 500)])
    arrays, again = captured.arrays(), DuplicateWindow(window.limits)
    again.load(arrays)
    assert places(again, [(str(i), 5000) for i in range(2500, 5500)]) == list(range(2500))


@pytest.mark.parametrize(
    "spoilt", ["duplicates_hashes", "duplicates_generations", "duplicates_key", "duplicates_clock_ms"]
)
def test_arrays_that_do_not_fit_leave_a_window_as_it_was(spoilt: str) -> None:
    """Each of them shorter than the others say."""
    window = DuplicateWindow(WindowLimits(8))
    places(window, [(str(i), 0) for i in range(6)])
    arrays = window.to_arrays()
    arrays[spoilt] = arrays[spoilt][:-1]
    with pytest.raises(ValueError, match=r"size|form|twice|unpack"):
        window.load(arrays)
    assert places(window, [(str(i), 0) for i in range(6)]) == list(range(6))


def test_an_id_that_is_twice_in_a_snapshot_is_refused() -> None:
    """It was not written by a window."""
    window = DuplicateWindow(WindowLimits(100))
    places(window, [("a", 0), ("b", 0)])
    arrays = window.to_arrays()
    arrays["duplicates_hashes"][1] = arrays["duplicates_hashes"][0]
    with pytest.raises(ValueError, match="twice"):
        window.load(arrays)
