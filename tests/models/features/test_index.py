"""The index finds each card its own row, through growth, eviction and ids of any kind."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.features import index
from models.features.columns import TransactionColumns
from models.features.fold import fold
from models.features.history import EVICTED_SHARE, FRESH_SHARE, KEPT_EVENTS_MIN
from models.features.index import keys_of
from models.features.spec_file import load_spec
from models.features.state import FeatureState

DEFAULT = load_spec(Path("deploy/features/fraud.yaml"))
MONTH_COUNT = DEFAULT.names.index("card_count_30d")


def payments(cards: list[str], first_ms: int = 0) -> TransactionColumns:
    """One payment a second."""
    return TransactionColumns(
        {"card_id": cards, "terminal_id": cards},
        first_ms + np.arange(len(cards), dtype=np.int64) * 1000,
        np.ones(len(cards)),
    )


def test_the_index_equals_a_dictionary_through_thousands_of_evictions() -> None:
    """3,000 cards share 700 rows; each payment's count is that of a model which forgets the same cards.

    Cards of fewer than three payments go first, down to an eighth of the room; then those with more.
    """
    cards_max, random = 700, np.random.default_rng(5)
    numbers = (random.pareto(0.5, 40_000) % 3000).astype(int)
    cards = [f"card-{number + at // 4000 * 700}" for at, number in enumerate(numbers)]  # the regular ones change
    state = FeatureState(DEFAULT, cards_max)
    counts: Counter[str] = Counter()
    last: dict[str, int] = {}
    expected, evicted = [], np.zeros(2, np.int64)
    for position, card in enumerate(cards):
        if card not in last and len(last) == cards_max:
            idle = sorted(last, key=last.__getitem__)
            fresh = [card for card in idle if counts[card] < KEPT_EVENTS_MIN]
            number = cards_max // EVICTED_SHARE
            passing = min(number, len(fresh), max(0, len(fresh) + number - cards_max // FRESH_SHARE))
            kept = [card for card in idle if counts[card] >= KEPT_EVENTS_MIN]
            evicted += np.array([passing, number - passing])
            for gone in fresh[:passing] + kept[: number - passing]:
                del last[gone], counts[gone]
        last[card] = position
        counts[card] += 1
        expected.append(counts[card])
    assert len(set(cards)) > 2 * cards_max
    assert fold(state, payments(cards))[0][:, MONTH_COUNT].tolist() == expected
    assert state.cards == len(last)
    assert state.turnover[1:].tolist() == evicted.tolist()
    assert evicted.min() > 200  # of both kinds


def test_ids_of_any_length_and_script_are_told_apart() -> None:
    """Also those that are a prefix of another, or longer than the 64 bytes that a row has for them."""
    cards = [
        "a",
        "a\x00",
        "aa",
        "ÿ",
        "é",
        "a" * 63,
        "a" * 64,
        "a" * 65,
        "語" * 21,
        "語" * 22,
        "語" * 64,
        "語" * 63 + "誤",
    ]
    state = FeatureState(DEFAULT, cards_max=100)
    assert fold(state, payments(cards))[0][:, MONTH_COUNT].tolist() == [1] * len(cards)
    assert fold(state, payments(cards, 60_000))[0][:, MONTH_COUNT].tolist() == [2] * len(cards)
    assert state.cards == len(cards)


def test_a_card_is_found_whatever_company_it_comes_in() -> None:
    """ASCII ids take a shorter way unless a neighbour in the batch is not ASCII: the keys are the same."""
    alone, mixed = keys_of(["card-1", "card-2"]), keys_of(["card-1", "é", "card-2"])
    assert (alone == mixed[[0, 2]]).all()


def test_another_key_of_the_hash_moves_the_table_and_no_bit_of_a_feature_or_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes' keys, through evictions: the same features and arrays."""
    cards = [f"card-{number}" for number in (np.random.default_rng(6).pareto(0.5, 5000) % 900).astype(int)]
    states, features = [], []
    for secret in ([1, 2], [3, 4]):
        monkeypatch.setattr(index, "SECRET", np.array(secret, dtype=np.uint64))
        states.append(FeatureState(DEFAULT, cards_max=300))
        features.append(fold(states[-1], payments(cards))[0].tobytes())
    assert features[0] == features[1]
    first, second = (state.to_arrays() for state in states)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    words = keys_of(cards)
    one, other = (index.secret_tags(words, np.array(secret, dtype=np.uint64)) for secret in ([1, 2], [3, 4]))
    assert (one != other).mean() > 0.99
