"""Lists in memory: values, prefixes, ranges, expiry; and the same answers as a plain dictionary's."""

import random
from typing import Any

import numpy as np
import pytest

from models import policy
from models.lists import lists as held
from models.lists.lists import ListFullError, Lists
from models.lists.texts import RECENT_MIN, TextSet, hashes_of
from schemas.lists import ListEntry

NOW_MS = 1_700_000_000_000


def entry(value: str, kind: str = "value", field: str = "device", **changes: Any) -> ListEntry:
    """An entry of `blocked`."""
    return ListEntry(list_name="blocked", field=field, kind=kind, value=value, **changes)  # type: ignore[arg-type]


def lists_of(*entries: ListEntry) -> Lists:
    """Lists with these entries."""
    lists = Lists()
    for each in entries:
        lists.put(each)
    return lists


def as_policies_ask(lists: Lists) -> policy.Lists:
    """Checked by mypy: what a compiled policy asks."""
    return lists


def on(lists: Lists, values: Any, field: str = "device", at_ms: int = NOW_MS) -> list[bool]:
    """Which values are on `blocked`."""
    return as_policies_ask(lists).contains("blocked", field, values, np.full(len(values), at_ms)).tolist()


def test_a_value_counts_for_its_field_and_an_any_entry_for_all() -> None:
    """Missing values are on no list; an unknown list holds nothing."""
    lists = lists_of(entry("d-1"), entry("x-1", field="*"))
    assert on(lists, ["d-1", "d-2", None, "x-1"]) == [True, False, False, True]
    assert on(lists, ["d-1", "x-1"], "payee") == [False, True]
    assert not lists.contains("other", "device", ["d-1"], np.array([NOW_MS])).any()


def test_an_entry_counts_for_events_before_its_expiry_whatever_the_clock_says() -> None:
    """By the event's time alone, so a replay finds the same."""
    lists = lists_of(
        entry("d-1", expires_at_ms=NOW_MS),
        entry("10.0.0.0/8", "network", expires_at_ms=NOW_MS),
        entry("5..7", "range", expires_at_ms=NOW_MS),
    )
    times = np.array([NOW_MS - 1, NOW_MS])
    assert lists.contains("blocked", "device", ["d-1", "d-1"], times).tolist() == [True, False]
    assert lists.contains("blocked", "device", ["10.1.2.3", "10.1.2.3"], times).tolist() == [True, False]
    assert lists.contains("blocked", "device", np.array([6.0, 6.0]), times).tolist() == [True, False]


def test_the_longest_of_several_spans_that_hold_a_value_counts() -> None:
    """A wide prefix that expired does not hide a narrow one that has not."""
    lists = lists_of(
        entry("10.0.0.0/8", "network", expires_at_ms=NOW_MS - 1),
        entry("10.1.0.0/16", "network"),
        entry("0.0.0.0/0", "network"),
    )
    assert on(lists, ["10.1.9.9", "10.2.0.1", "203.0.113.1"]) == [True, True, True]
    lists.put(entry("0.0.0.0/0", "network", removed=True))
    assert on(lists, ["10.1.9.9", "10.2.0.1", "203.0.113.1"]) == [True, False, False]


def test_prefixes_know_both_versions_and_every_way_to_write_an_address() -> None:
    """What is no address is in no prefix."""
    lists = lists_of(
        entry("203.0.113.0/24", "network"), entry("2001:db8::/32", "network"), entry("255.255.255.255/32", "network")
    )
    lists.put(entry("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "network"))
    inside = [
        "203.0.113.0",
        "203.0.113.255",
        "::ffff:203.0.113.7",
        "2001:DB8:0:0::1",
        "2001:db8:ffff::",
        "255.255.255.255",
    ]
    assert on(lists, [*inside, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]) == [True] * 7
    assert (
        on(lists, ["203.0.112.255", "203.0.114.0", "2001:db9::", "2001:db7:ffff::", "nothing", "", None]) == [False] * 7
    )


def test_ranges_include_both_ends_and_are_of_numbers() -> None:
    """A column of numbers knows values, too, as they are written without a point where they are whole."""
    lists = lists_of(entry("5..7.5", "range"), entry("100..", "range"), entry("42", "value"), entry("0.5", "value"))
    assert on(lists, np.array([5.0, 7.5, 7.6, 4.9, 1e9, np.nan, 42.0, 0.5])) == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
        True,
    ]
    assert on(lists, np.array([42, 6, 9], np.int64)) == [True, True, False]
    assert on(lists, ["6", "42"]) == [False, True]


def test_many_changes_leave_what_a_dictionary_has() -> None:
    """Puts, new expiries and removals, before and after the recent ones are joined."""
    rng, lists, plain = random.Random(7), Lists(), dict[str, int | None]()
    ids = [f"d-{number}" for number in range(3 * RECENT_MIN)]
    for step in range(5 * RECENT_MIN):
        value, what = rng.choice(ids), rng.random()
        if what < 0.25:
            lists.put(entry(value, removed=True))
            plain.pop(value, None)
        else:
            plain[value] = rng.choice([None, NOW_MS - 1, NOW_MS + 1])
            lists.put(entry(value, expires_at_ms=plain[value]))
        if step % 5000 == 0 or step == 5 * RECENT_MIN - 1:
            wanted = [plain.get(each, 0) is None or plain.get(each, 0) == NOW_MS + 1 for each in ids]
            assert on(lists, [each + "" for each in ids]) == wanted
    assert lists.bytes / len(lists) < 64


def test_any_spans_leave_what_a_loop_over_them_finds() -> None:
    """Nested, equal and open ones, with and without expiry."""
    rng, lists = random.Random(5), Lists()
    spans: dict[tuple[int, int], int | None] = {}
    for _ in range(200):
        low = rng.randrange(100)
        high = low + rng.randrange(20)
        spans[low, high] = rng.choice([None, NOW_MS - 1, NOW_MS + 1])
        lists.put(entry(f"{low}..{high}", "range", expires_at_ms=spans[low, high]))
        numbers = np.arange(-1, 125, 0.5)
        wanted = [
            any(a <= number <= b and (until is None or until > NOW_MS) for (a, b), until in spans.items())
            for number in numbers.tolist()
        ]
        assert on(lists, numbers) == wanted


class Twin(str):
    """A text whose first hash is another's."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 12345


def test_texts_of_one_first_hash_are_told_apart() -> None:
    """Whichever of them is recent, joined or taken back."""
    texts, times = TextSet(), np.array([NOW_MS])

    def holds(text: str) -> bool:
        return bool(texts.contains([text], hashes_of([text]), times)[0])

    texts.put(Twin("a"), NOW_MS + 1)
    assert (holds(Twin("a")), holds(Twin("b"))) == (True, False)
    for number in range(RECENT_MIN):
        texts.put(f"d-{number}", NOW_MS + 1)
    assert not texts._recent or Twin("a").__hash__() not in texts._recent
    assert (holds(Twin("a")), holds(Twin("b"))) == (True, False)
    texts.put(Twin("b"), NOW_MS + 1)
    for number in range(RECENT_MIN, 3 * RECENT_MIN):
        texts.put(f"d-{number}", NOW_MS + 1)
    assert (holds(Twin("a")), holds(Twin("b")), holds(Twin("c"))) == (True, True, False)
    texts.put(Twin("a"), -1)
    assert (holds(Twin("a")), holds(Twin("b"))) == (False, True)


def test_full_lists_refuse_another_entry_and_take_removals(monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory is bounded, and what was there stays."""
    monkeypatch.setattr(held, "ENTRIES_MAX", 2)
    monkeypatch.setattr(held, "SPANS_MAX", 1)
    lists = lists_of(entry("a"), entry("b"), entry("1..2", "range"))
    with pytest.raises(ListFullError):
        lists.put(entry("c"))
    with pytest.raises(ListFullError):
        lists.put(entry("3..4", "range"))
    lists.put(entry("a", removed=True))
    assert on(lists, ["a", "b", "c"]) == [False, True, False]


def test_so_many_lists_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has arrays of its own, so names alone could fill the memory."""
    monkeypatch.setattr(held, "LISTS_MAX", 2)
    lists = lists_of(entry("a"), entry("a", field="card_id"))
    with pytest.raises(ListFullError):
        lists.put(entry("a", field="country"))
    assert not lists.put_values([entry("a", field="country")])
    lists.put(entry("b"))
    assert on(lists, ["a", "b"]) == [True, True]
