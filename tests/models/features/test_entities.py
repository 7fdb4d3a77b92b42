"""Entities: one history over the whole stream, with the bits of the fold that subjects have."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.entities import EntityFold, EntityFolds, derived, digest
from models.features.entity_values import EntityValues
from models.features.fold import fold
from models.features.history import FeatureStateError
from models.features.offline import columns_read, history_features
from models.features.spec_file import FeatureSpecError, load_spec, parse_spec
from models.features.state import FeatureState

TEXT = """
version: 1
keys: {card: card_id}
entities:
  merchant: {id: terminal_id, allowed_lateness: 1h}
  corridor: {id: [terminal_id, country]}
windows:
  - {duration: 10s, buckets: 10}
  - {duration: 1h, buckets: 12}
features:
  - {name: corridor_sum_1h, kind: window, key: corridor, aggregation: sum, window: 1h}
  - {name: card_count_1h, kind: window, key: card, aggregation: count, window: 1h}
  - {name: merchant_cards_1h, kind: window, key: merchant, aggregation: distinct, of: card_id, window: 1h}
  - {name: merchant_count_10s, kind: window, key: merchant, aggregation: count, window: 10s}
  - {name: corridor_new, kind: since, key: corridor, event: first}
"""
SPEC = parse_spec(TEXT)


def rows(number: int, seed: int = 1) -> dict[str, Any]:
    """Payments in order of time; some have no country."""
    random = np.random.default_rng(seed)
    return {
        "event_time_ms": 1_767_225_600_000 + np.cumsum(random.integers(0, 20_000, number)),
        "amount": random.integers(1, 900, number).astype(float),
        "card_id": np.array([f"card-{n}" for n in random.integers(0, 30, number)], object),
        "terminal_id": np.array([f"t-{n}" for n in random.integers(0, 5, number)], object),
        "country": np.array([[None, "FR", "DE"][n] for n in random.integers(0, 3, number)], object),
    }


def columns_of(given: dict[str, Any], places: Any = slice(None)) -> TransactionColumns:
    """As the stream's fold takes them."""
    ids = {name: [value or NO_VALUE for value in given[name][places]] for name in ("card_id", "terminal_id", "country")}
    return TransactionColumns(ids, given["event_time_ms"][places], given["amount"][places])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_gives_what_one_fold_of_the_whole_stream_gives(processes: int) -> None:
    """Whatever the card's partition, the number of processes and the order of the rows."""
    payments = rows(400)
    assert set(columns_read(SPEC)) == set(payments)
    columns = columns_of(payments)
    known = EntityFolds(SPEC, 100).values(columns)
    whole = TransactionColumns(columns.ids, columns.event_time_ms, columns.amount, entities=known)
    expected, _ = fold(FeatureState(SPEC, 100), whole)
    order = np.random.default_rng(2).permutation(400)
    shuffled = {name: values[order] for name, values in payments.items()}
    partition = np.array([len(str(card)) % 2 for card in shuffled["card_id"]])
    found = history_features(SPEC, shuffled, partition, processes)
    assert found.tobytes() == expected[order].tobytes()
    assert expected[:, 2].max() > 10  # cards of all partitions


@given(st.lists(st.integers(0, 60), max_size=5), st.integers(0, 60))
@settings(deadline=None, max_examples=30)
def test_any_cut_and_a_snapshot_anywhere_give_the_same_bits(cuts: list[int], at: int) -> None:
    """Events without the entity included."""
    payments = rows(60)
    expected = EntityFold(SPEC, "corridor", 50).values(columns_of(payments))
    history, parts = EntityFold(SPEC, "corridor", 50), []
    edges = sorted({0, 60, at, *cuts})
    for start, end in pairwise(edges):
        if start == at:
            restored = EntityFold(SPEC, "corridor", 50)
            restored.load(history.capture().arrays())
            history = restored
        parts.append(history.values(columns_of(payments, slice(start, end))))
    assert np.concatenate(parts).tobytes() == expected.tobytes()
    with pytest.raises(FeatureStateError, match="holds nothing of merchant"):
        EntityFold(SPEC, "merchant", 50).load(history.capture().arrays())


def test_an_event_without_the_entity_is_as_the_first_of_an_entity_of_its_own() -> None:
    """It is not remembered, so those without one do not make a history together."""
    payments = rows(50)
    payments["country"][:] = None
    found = EntityFold(SPEC, "corridor", 50).values(columns_of(payments))
    assert found[:, 0].tolist() == payments["amount"].tolist()
    assert not found[:, 1].any()


def test_the_fold_of_an_entity_is_that_of_a_subject() -> None:
    """The derived spec, with the entity as the only key."""
    payments = rows(200)
    columns = columns_of(payments)
    spec = derived(SPEC, "merchant")
    assert (spec.names, spec.allowed_lateness) == (("merchant_cards_1h", "merchant_count_10s"), "1h")
    named = {**columns.ids, "entity__": columns.ids["terminal_id"]}
    expected, _ = fold(FeatureState(spec, 10), TransactionColumns(named, columns.event_time_ms, columns.amount))
    assert EntityFold(SPEC, "merchant", 10).values(columns).tobytes() == expected.tobytes()


def test_values_travel_as_bits_under_the_name_of_their_spec() -> None:
    """Another window, another lateness or another order is another meaning."""
    carried = EntityValues(SPEC, SPEC.stages)
    values = np.random.default_rng(1).random((3, 4), np.float32)
    packed = carried.pack(values)
    assert carried.unpack(packed).tobytes() == values.tobytes()
    assert all(carried.fits(one) for one in packed)
    others = [TEXT.replace("buckets: 12", "buckets: 6"), TEXT.replace("lateness: 1h", "lateness: 2h")]
    for other in others:
        assert not EntityValues(parse_spec(other), SPEC.stages).fits(packed[0])
    assert digest(SPEC, SPEC.stages) != digest(SPEC, SPEC.stages[::-1])
    assert not carried.fits(None)
    assert not carried.fits(packed[0][:-1])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("corridor: {id: [terminal_id, country]}", "corridor: {id: [country, country]}", "line 6.*named twice"),
        ("merchant: {id: terminal_id", "merchant: {id: amount", "line 5.*amount names no one"),
        ("keys: {card: card_id}", "keys: {card: card_id, merchant: card_id}", "merchant is the name of a key, too"),
        ("key: merchant, aggregation: count", "key: device, aggregation: count", "'device' is not one of the keys"),
    ],
)
def test_a_mistake_in_entities_is_one_sentence(old: str, new: str, said: str) -> None:
    """With the line and the fix."""
    with pytest.raises(FeatureSpecError, match=said):
        parse_spec(TEXT.replace(old, new))


def test_an_entity_may_be_a_network_and_its_amounts_are_in_one_currency() -> None:
    """What the spec makes of an event first is made for entities too, once, and is part of what their values mean."""
    text = """
version: 1
keys: {card: card_id}
derived: {net: {kind: prefix, attribute: ip, bits: 24}}
currencies: {only: EUR, rates: {USD: 0.5}}
entities: {network: {id: net}}
windows: [{duration: 1h, buckets: 12}]
features: [{name: spent, kind: window, key: network, aggregation: sum, window: 1h}]
"""
    spec = parse_spec(text)
    ids = {"card_id": ["a", "b", "c"], "ip": ["192.0.2.1", "192.0.2.9", NO_VALUE], "currency": ["EUR", "USD", "EUR"]}
    columns = TransactionColumns(ids, np.arange(3) * 1000, np.array([10.0, 10.0, 7.0]))
    assert EntityFold(spec, "network", 10).values(columns)[:, 0].tolist() == [10.0, 15.0, 7.0]
    assert digest(spec, ("network",)) != digest(parse_spec(text.replace("0.5", "0.6")), ("network",))
    texts = {name: np.array(values, object) for name, values in ids.items()}
    given = {"event_time_ms": columns.event_time_ms, "amount": columns.amount, **texts}
    found = history_features(spec, given, np.zeros(3, np.int64), 2)
    assert found[:, 0].tolist() == [10.0, 15.0, 7.0]


def test_a_key_that_would_see_its_partition_alone_is_refused_with_the_fix(tmp_path: Path) -> None:
    """In a new spec: by the line, and the words that make an entity of it."""
    spec = tmp_path / "features.yaml"
    spec.write_text(TEXT.replace("keys: {card: card_id}", "keys: {card: card_id, terminal: terminal_id}"))
    with pytest.raises(
        FeatureSpecError, match=r"line 3.*write it under entities: \{terminal: \{id: terminal_id\}\}, and remove"
    ):
        load_spec(spec)
