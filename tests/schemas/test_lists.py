"""Entries of lists: which are taken, and that no card number is."""

from typing import Any

import pytest

from schemas.lists import ListEntry, entry_key, entry_problem, parts_of, range_of


def entry(value: str, kind: str = "value", field: str = "device", **changes: Any) -> ListEntry:
    """An entry of `blocked`."""
    return ListEntry(list_name="blocked", field=field, kind=kind, value=value, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("d-1 ", "value", "space"),
        ("d\n1", "value", "control character"),
        ("10.7.2.3/8", "network", "beyond its prefix"),
        ("10.0.0.0/255.0.0.0", "network", "shortest form"),
        ("nothing", "network", "no prefix"),
        ("5..1", "range", "ends before it begins"),
        ("1..inf", "range", "no range"),
        ("1..nan", "range", "no range"),
        ("1_0..20", "range", "no range"),
    ],
)
def test_what_is_no_value_prefix_or_range_is_refused_in_words_without_it(value: str, kind: str, words: str) -> None:
    """By the commands and by every reader."""
    problem = entry_problem(entry(value, kind))
    assert problem is not None
    assert words in problem
    assert value.strip() not in problem


@pytest.mark.parametrize(
    "refused",
    [
        entry("4111111111111111"),
        entry("4111 1111 1111 1111", field="card_id"),
        entry("4111111111111111..4111111111111111", "range", "amount"),
        entry("d-1", reason="card 4111-1111-1111-1111"),
        entry("d-1", source="5500005555555559"),
        entry("x4111111111111111"),
    ],
)
def test_no_part_of_an_entry_holds_a_card_number(refused: ListEntry) -> None:
    """Not even a range from it to itself."""
    assert "card number" in str(entry_problem(refused))


@pytest.mark.parametrize(
    "taken",
    [
        entry("k1:4vnmq2x7tdz3cgl5ah2oq6bwzu", field="card_id"),
        entry("203.112.113.100/32", "network", "ip"),
        entry("1000000..2000000", "range", "amount"),
        entry("..0.5", "range", "amount"),
        entry("2001:db8::/32", "network", "ip"),
        entry("d-1", reason="seen 2026-11-29 12:45:00, call 555-0100", batch="20261129T124500-3fa9c1"),
    ],
)
def test_pseudonyms_addresses_numbers_and_words_are_taken(taken: ListEntry) -> None:
    """A key names its parts again, whatever the value holds."""
    assert entry_problem(taken) is None
    assert parts_of(entry_key(taken)) == (taken.list_name, taken.field, taken.kind, taken.value)


def test_an_open_end_of_a_range_is_infinite() -> None:
    """Both ends are included."""
    assert [range_of(text) for text in ("1..2", "1..", "..2.5")] == [(1, 2), (1, float("inf")), (float("-inf"), 2.5)]
