"""Stage 2: the duplicate window, whatever the cut into batches."""

from hypothesis import given
from hypothesis import strategies as st

from services.engine.duplicates import DuplicateWindow


def brute_force(ids: list[str], records_max: int) -> list[int]:
    """Places of ids among the last `records_max` accepted before them."""
    accepted: list[str] = []
    places = []
    for place, transaction_id in enumerate(ids):
        if transaction_id in accepted[-records_max:]:
            places.append(place)
        else:
            accepted.append(transaction_id)
    return places


STREAMS = st.lists(st.sampled_from([f"tx-{i}" for i in range(12)]), max_size=60)


@given(STREAMS, st.integers(1, 8), st.lists(st.integers(1, 10), min_size=1))
def test_the_window_finds_what_a_search_through_the_history_finds_for_any_cut(
    ids: list[str], records_max: int, sizes: list[int]
) -> None:
    """Batches of any sizes, and a snapshot after each."""
    window, found, start, turn = DuplicateWindow(records_max), [], 0, 0
    while start < len(ids):
        size = sizes[turn % len(sizes)]
        found += [start + place for place in window.repeated(ids[start : start + size])]
        start, turn = start + size, turn + 1
        arrays = window.to_arrays()
        window = DuplicateWindow(records_max)
        window.load(arrays)
    assert found == brute_force(ids, records_max)


def test_a_window_of_zero_lets_everything_through() -> None:
    """The setting's way to switch it off."""
    assert DuplicateWindow(0).repeated(["a", "a"]) == []


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=20))
def test_ids_of_any_characters_survive_a_snapshot(ids: list[str]) -> None:
    """They are the user's."""
    ids = [i for i in ids if i.isprintable()]
    window = DuplicateWindow(100)
    window.repeated(ids)
    restored = DuplicateWindow(100)
    restored.load(window.to_arrays())
    assert restored.repeated(ids) == list(range(len(ids)))
