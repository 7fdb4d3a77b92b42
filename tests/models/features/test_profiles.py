"""Terminal profiles equal brute force, in any order of arrival; the terminal days are what the payments were."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.columns import TransactionColumns
from models.features.fold import fold
from models.features.history import FeatureStateError
from models.features.profiles import ROWS_FIRST, Forgotten, Profile, TerminalProfiles
from models.features.spec_file import parse_spec
from models.features.state import FeatureState
from models.features.terminal_days import DAY_MS
from schemas.feature_spec import PROFILE_DAYS

SPEC = parse_spec("""
version: 1
label_delay: 3d
allowed_lateness: 1h
features:
  - {name: count_1d, kind: profile, aggregation: count, window: 1d}
  - {name: rate_7d, kind: profile, aggregation: fraud_rate, window: 7d}
  - {name: count_30d, kind: profile, aggregation: count, window: 30d, transform: log1p}
  - {name: rate_1d, kind: profile, aggregation: fraud_rate, window: 1d}
""")
TODAY = 20_000
SUMS = st.tuples(st.sampled_from("abc"), st.integers(TODAY - 50, TODAY), st.integers(0, 5), st.integers(0, 2))


def filled(
    profiles: TerminalProfiles, *terminals: str, day: int = TODAY
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """The features of a payment at each terminal."""
    matrix = np.full((len(terminals), len(SPEC.features)), np.nan, np.float32)
    profiles.fill(SPEC, terminals, np.full(len(terminals), day * DAY_MS + 5), matrix)
    return matrix


@given(st.lists(SUMS, max_size=60), st.randoms())
@settings(deadline=None, max_examples=100)
def test_features_equal_brute_force_whatever_the_order(sums: list[tuple[str, int, int, int]], random: object) -> None:
    """Windows end three days before the day before; what has no payments has a fraud rate of 0."""
    random.shuffle(sums)  # type: ignore[attr-defined]
    profiles = TerminalProfiles()
    payments, frauds = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for terminal, day, paid, fraudulent in sums:
        assert profiles.add(day, [terminal], [paid], [fraudulent]) == 0
        payments[terminal, day] += paid
        frauds[terminal, day] += fraudulent

    def window(counts: Counter[tuple[str, int]], terminal: str, days: int) -> int:
        return sum(counts[terminal, day] for day in range(TODAY - 3 - days, TODAY - 3))

    expected = [
        [
            window(payments, terminal, 1),
            min(1.0, window(frauds, terminal, 7) / (window(payments, terminal, 7) or np.inf)),
            np.log1p(window(payments, terminal, 30)),
            min(1.0, window(frauds, terminal, 1) / (window(payments, terminal, 1) or np.inf)),
        ]
        for terminal in "abcd"
    ]
    np.testing.assert_allclose(filled(profiles, *"abcd"), expected, rtol=1e-6)


@given(st.lists(SUMS, max_size=60))
@settings(deadline=None, max_examples=50)
def test_a_profile_taken_over_says_the_same(sums: list[tuple[str, int, int, int]]) -> None:
    """From terminal to terminal, as through the topic, and all at once, as through a snapshot."""
    profiles, taken, restored = TerminalProfiles(), TerminalProfiles(), TerminalProfiles()
    for terminal, day, paid, fraudulent in sums:
        profiles.add(day, [terminal], [paid], [fraudulent])
        taken.put(terminal, profiles.profile(terminal))
    restored.load(profiles.to_arrays())
    for day in (TODAY - 40, TODAY, TODAY + 20, TODAY + 100):
        said = filled(profiles, *"abcd", day=day).tobytes()
        assert filled(taken, *"abcd", day=day).tobytes() == said
        assert filled(restored, *"abcd", day=day).tobytes() == said


@given(st.lists(st.tuples(SUMS, st.sampled_from(["", "", *"abcd"])), max_size=60))
@settings(deadline=None, max_examples=50)
def test_a_terminal_that_is_removed_leaves_nothing_behind(steps: list[tuple[tuple[str, int, int, int], str]]) -> None:
    """Its row is another's from then on; the others keep their order, in snapshots too."""
    profiles, kept = TerminalProfiles(), dict[str, list[tuple[int, int, int]]]()
    for (terminal, day, paid, fraudulent), removed in steps:
        profiles.add(day, [terminal], [paid], [fraudulent])
        kept.setdefault(terminal, []).append((day, paid, fraudulent))
        profiles.remove(removed)
        kept.pop(removed, None)
    alone, restored = TerminalProfiles(), TerminalProfiles()
    for terminal, sums in kept.items():
        for day, paid, fraudulent in sums:
            alone.add(day, [terminal], [paid], [fraudulent])
    restored.load(profiles.to_arrays())
    for found in (profiles, restored):
        assert list(found) == list(alone)
        assert [found.profile(terminal) for terminal in found] == [alone.profile(terminal) for terminal in alone]
        assert filled(found, *"abcd").tobytes() == filled(alone, *"abcd").tobytes()
    profiles.trim()
    assert {terminal: profiles.profile(terminal) for terminal in profiles}.items() <= {
        terminal: alone.profile(terminal) for terminal in alone
    }.items()


def test_the_least_worth_make_room_and_the_same_ones_every_time() -> None:
    """Of those that came once the fewest payments first, then the longest idle; else of the others the longest idle."""
    profiles = TerminalProfiles()
    for day, terminals in (
        (TODAY - 9, "ab"),
        (TODAY - 8, "abcd"),
        (TODAY - 7, "ab"),
        (TODAY - 7, "efg"),
        (TODAY - 6, "a"),
    ):
        profiles.add(day, list(terminals), [1] * len(terminals), [0] * len(terminals))
    profiles.add(TODAY - 7, ["e"], [5], [0])
    again = TerminalProfiles()
    again.load(profiles.to_arrays())
    for found in (profiles, again):
        assert found.forget(2, fresh_min=2) == Forgotten("fresh", ["c", "d"])
        assert found.forget(1, fresh_min=4) == Forgotten("established", ["b"])
        assert found.forget(2, fresh_min=1) == Forgotten("fresh", ["f", "g"])
        assert list(found) == ["a", "e"]


def test_a_day_older_than_what_is_kept_is_refused() -> None:
    """And says so, for the caller to count."""
    profiles = TerminalProfiles()
    assert profiles.add(TODAY, ["a"], [1], [0]) == 0
    assert profiles.add(TODAY - PROFILE_DAYS, ["a", "b", "a"], [5, 1, 5], [5, 1, 5]) == 2
    assert profiles.profile("a") == Profile(TODAY, [1], [0])


def test_terminals_that_no_feature_can_see_any_more_make_room() -> None:
    """The table grows with the terminals that are heard of, not with all there ever were."""
    profiles = TerminalProfiles()
    for turn in range(20):
        terminals = [f"terminal-{turn}-{number}" for number in range(ROWS_FIRST)]
        profiles.add(turn * 2 * PROFILE_DAYS, terminals, [1] * ROWS_FIRST, [0] * ROWS_FIRST)
    assert len(profiles) <= 2 * ROWS_FIRST
    profiles, terminals = TerminalProfiles(), [f"terminal-{number}" for number in range(5 * ROWS_FIRST)]
    paid = [number % 7 for number in range(5 * ROWS_FIRST)]
    profiles.add(TODAY - 4, terminals, paid, [0] * len(paid))
    assert len(profiles) == 5 * ROWS_FIRST
    assert filled(profiles, *terminals)[:, 0].tolist() == paid


def test_one_terminal_of_a_far_day_ends_no_other() -> None:
    """A label dated 2099: when room is needed, the terminals of today are still there."""
    profiles, terminals = TerminalProfiles(), [f"terminal-{n}" for n in range(ROWS_FIRST - 2)]
    profiles.add(TODAY, terminals, [1] * len(terminals), [0] * len(terminals))
    profiles.add(47_000, ["evil"], [0], [1])
    profiles.add(TODAY, [f"new-{n}" for n in range(100)], [1] * 100, [0] * 100)
    assert all(terminal in profiles for terminal in terminals)


def test_making_room_in_the_middle_of_an_addition_mixes_up_nothing() -> None:
    """Parts that cross the size of the table, again and again: each terminal keeps its own sums."""
    profiles, number = TerminalProfiles(), 5 * ROWS_FIRST
    terminals = [f"terminal-{n}" for n in range(number)]
    for start in range(0, number, 500):
        part = terminals[start : start + 500]
        profiles.add(20_000, part, [n + 1 for n in range(start, start + len(part))], [0] * len(part))
    assert [profiles.profile(terminal).payments for terminal in terminals] == [[n + 1] for n in range(number)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-200, 4000)), min_size=1, max_size=60), st.integers(0, 60))
@settings(deadline=None, max_examples=100)
def test_each_payment_in_time_is_told_once_with_its_day(events: list[tuple[str, int]], cut: int) -> None:
    """Whatever the cut, and across a snapshot; days that are still open come when time has passed."""
    times = TODAY * DAY_MS + np.cumsum([60_000 * minutes for _, minutes in events], dtype=np.int64)
    terminals = [terminal for terminal, _ in events]
    cards = [str(place % 3) for place in range(len(times))]
    columns = TransactionColumns({"card_id": cards, "terminal_id": terminals}, times, np.ones(len(times)))
    state, told, late = FeatureState(SPEC, 1), Counter[tuple[str, int]](), []
    for part in (columns[:cut], columns[cut:]):
        late += fold(state, part)[1].tolist()
        for closed in state.closed_days():
            told.update({(terminal, closed.day): n for terminal, n in closed.payments.items()})
        state = FeatureState.from_arrays(SPEC, 1, state.to_arrays())
    later = np.full(2, times.max() + 10 * DAY_MS)
    fold(state, TransactionColumns({"card_id": ["y", "z"], "terminal_id": ["z", "z"]}, later, np.ones(2)))
    for closed in state.closed_days():
        told.update({(terminal, closed.day): n for terminal, n in closed.payments.items()})
    days = (times // DAY_MS).tolist()
    assert not any(late)  # nothing reads a history
    assert told == Counter(zip(terminals, days, strict=True))


def test_a_state_folded_for_another_spec_writes_each_day_once() -> None:
    """A longer lateness, or features of terminals where there were none: what was written is not written again, nor lost."""
    first = TODAY * DAY_MS
    times = first + np.array([*range(0, 24 * 60, 30), 24 * 60 + 10, 24 * 60 + 20], np.int64) * 60_000
    cards = [f"card-{place}" for place in range(len(times))]
    columns = TransactionColumns({"card_id": cards, "terminal_id": ["t"] * len(times)}, times, np.ones(len(times)))
    later = TransactionColumns({"card_id": ["y", "z"], "terminal_id": ["z", "z"]}, times[-2:] + 7_200_000, np.ones(2))
    plain = parse_spec("{version: 1, features: [{name: amount, kind: field, field: amount}]}")
    short = SPEC.model_copy(update={"allowed_lateness": "5m"})
    for before, after in ((short, SPEC), (SPEC, short), (plain, SPEC)):
        for committed in (columns, columns[:-1], columns[:-2]):
            old, new = FeatureState(before, 100), FeatureState(after, 100)
            fold(old, committed)
            written = old.closed_days()
            fold(new, committed)
            new.closed_days()  # as `absorb` does
            fold(new, columns[len(committed) :])
            fold(new, later)
            written += new.closed_days()
            assert [(day.day, day.payments) for day in written] == [(TODAY, {"t": 48})]


@pytest.mark.parametrize("name", ["profiles_text", "profiles_sums", "profiles_last_day"])
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    """Cut short or missing: the state is rebuilt from the log."""
    profiles = TerminalProfiles()
    profiles.add(TODAY, ["a"], [1], [0])
    arrays = profiles.to_arrays()
    with pytest.raises(FeatureStateError):
        TerminalProfiles().load({**arrays, name: arrays[name][:-1]})
    del arrays[name]
    with pytest.raises(FeatureStateError):
        TerminalProfiles().load(arrays)


def test_sums_stop_at_what_an_array_holds_and_never_wrap_around() -> None:
    """Records of the largest count that the schema takes, one after another."""
    profiles = TerminalProfiles()
    for _ in range(3):
        profiles.add(20_000, ["t", "t"], [2**31 - 1, 2**31 - 1], [-(2**31 - 1), 0])
    assert profiles.profile("t") == Profile(20_000, [2**31 - 1], [-(2**31 - 1)])
