"""Features of a payment's attributes: each kind by hand, and the same bits for any cut and from a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.columns import TransactionColumns
from models.features.fold import fold, warm
from models.features.inputs import text_fields
from models.features.layout import id_fields, number_fields, stream_fields
from models.features.offline import history_features
from models.features.spec_file import FeatureSpecError, parse_spec
from models.features.state import FeatureState
from models.files.events import read_events
from models.sources.fits import misfit
from models.sources.parser import EventParser
from models.sources.spec_file import parse_source
from tests.models.features.reference import fold_in_parts
from tests.models.sources.test_parser import EVENT, NESTED, TIME_MS

SPEC = """
version: 1
currencies: {only: EUR}
keys: {card: card_id, device: device}
windows: [{duration: 1h, buckets: 6}]
features:
  - {name: amount, kind: field, field: amount}
  - {name: card_max_1h, kind: window, key: card, aggregation: max, window: 1h}
  - {name: device_count_1h, kind: window, key: device, aggregation: count, window: 1h}
  - {name: device_cards_1h, kind: window, key: device, aggregation: distinct, of: card_id, window: 1h}
  - {name: price, kind: number, attribute: price, at_least: 1, at_most: 50, transform: log1p, missing: -1}
  - {name: no_price, kind: missing, attribute: price}
  - {name: sku, kind: category, attribute: sku, values: {a: {number: 1}, b: {number: 2}}, other: {number: 3}, missing: 0}
  - {name: trusted, kind: flag, attribute: trusted, missing: 0.5}
  - {name: above_price, kind: difference, attribute: amount, minus: price, missing: 0}
  - {name: price_share, kind: ratio, numerator: [price], denominator: [amount], no_denominator: 7, missing: 8}
  - {name: largest, kind: combined, attributes: [price, amount], aggregation: max, missing: 0}
  - {name: age, kind: between, start: opened, at_least: 0, missing: -1}
  - {name: private, kind: network, attribute: ip, part: private, missing: 0}
"""
SOURCE = parse_source(NESTED)


def columns_of(*events: dict[str, object]) -> TransactionColumns:
    """What the stream's parser makes of events."""
    spec, parser = parse_spec(SPEC), EventParser(SOURCE)
    payloads = [
        json.dumps(EVENT | {"header": {"id": i, "at": EVENT["header"]["at"]}} | event).encode()
        for i, event in enumerate(events)
    ]
    found = parser.batch(payloads)
    assert found is not None
    return found.columns(stream_fields(spec), None, number_fields(spec))


def test_each_kind_says_what_it_is() -> None:
    """Of an event with everything, one with nothing, and one beyond every bound."""
    bare = {"device": None, "items": [], "opened": None, "trusted": None, "type": "REFUND"}
    odd = {
        "items": [{"price": 99}, {"sku": "a"}],
        "device": {"ip": "192.168.1.1"},
        "amount": {"value": 0},
        "trusted": "N",
    }
    matrix, _ = fold(FeatureState(parse_spec(SPEC), 10), columns_of({}, bare, odd))
    rows = [dict(zip(parse_spec(SPEC).names, row, strict=True)) for row in matrix.tolist()]
    age_s = (TIME_MS - 1_593_771_300_000) / 1000
    full = [12.34, 12.34, 1, 1, np.log1p(3.5), 0, 2, 1, 8.84, 3.5 / 12.34, 12.34, age_s, 0]
    np.testing.assert_allclose(matrix[0], np.float32(full), rtol=1e-6)
    assert rows[1] == dict(
        zip(
            parse_spec(SPEC).names,
            [np.float32(-12.34).item(), np.float32(12.34).item(), 1, 1, -1, 1, 0, 0.5, 0, 8, 0, -1, 0],
            strict=True,
        )
    )
    assert [
        rows[2][name] for name in ("price", "sku", "trusted", "above_price", "price_share", "largest", "private")
    ] == [
        np.float32(np.log1p(50)).item(),
        1,
        0,
        -99,
        7,
        99,
        1,
    ]


def test_the_largest_of_refunds_alone_is_a_refund() -> None:
    """An empty bucket is no amount of 0."""
    events = [{"type": "REFUND", "header": {"id": i, "at": f"2026-01-01T00:{10 * i:02d}:00Z"}} for i in range(3)]
    matrix, _ = fold(FeatureState(parse_spec(SPEC), 10), columns_of(*events))
    assert matrix[:, 1].tolist() == [np.float32(-12.34).item()] * 3


some = st.fixed_dictionaries(
    {
        "items": st.sampled_from([[], [{"price": 3}], [{"price": "9.5"}, {"sku": "a"}]]),
        "device": st.sampled_from([None, {"id": "d", "ip": "10.0.0.1"}, {"id": 7, "ip": "8.8.8.8"}]),
        "trusted": st.sampled_from(["Y", "N", None]),
        "type": st.sampled_from(["AUTH", "REFUND"]),
    }
)


@given(st.lists(some, min_size=1, max_size=12), st.lists(st.integers(0, 12), max_size=4))
@settings(deadline=None, max_examples=40)
def test_any_cut_into_batches_gives_the_same_bits(events: list[dict[str, object]], cuts: list[int]) -> None:
    """Attributes included."""
    spec, columns = parse_spec(SPEC), columns_of(*events)
    whole, _ = fold(FeatureState(spec, 10), columns)
    parts, _ = fold_in_parts(FeatureState(spec, 10), columns, cuts)
    assert whole.tobytes() == parts.tobytes()
    assert np.isfinite(whole).all()


def test_a_file_gives_the_bits_of_the_stream(tmp_path: Path) -> None:
    """The same events, read from lines and folded by partition."""
    spec = parse_spec(SPEC)
    changes = [{"items": [{"price": i}]} if i % 3 else {"device": None, "trusted": None} for i in range(20)]
    path = tmp_path / "events.jsonl"
    records = [EVENT | {"header": {"id": i, "at": EVENT["header"]["at"]}} | change for i, change in enumerate(changes)]
    path.write_text("\n".join(map(json.dumps, records)))
    frame = read_events(path, SOURCE)
    rows = {column.name: column.to_numpy() for column in frame}
    made = history_features(spec, rows, np.zeros(20, np.int64), processes=1)
    streamed, _ = fold(FeatureState(spec, 30), columns_of(*changes))
    assert made.tobytes() == streamed.tobytes()


def test_warming_needs_no_attribute() -> None:
    """A scorer warms before its first batch."""
    warm(parse_spec(SPEC))
    assert text_fields(parse_spec(SPEC)) == {"sku", "ip"}
    assert id_fields(parse_spec(SPEC)) == {"card_id", "device", "sku", "ip"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "attribute: price, at_least",
            "attribute: cost, at_least",
            "reads cost, which the source of payments.authorised.v2 does",
        ),
        ("attribute: sku", "attribute: note", "has as type text"),
        ("attribute: ip, part", "attribute: device, part", "has as type id"),
        (", missing: -1}\n  - {name: no_price", "}\n  - {name: no_price", "which an event may lack: add missing"),
        (", other: {number: 3}", "", "add other"),
        ("device: device", "device: note", "name an id, a category or an address"),
        ("field: amount}", "field: amount, transform: log1p}", "may be below 0"),
    ],
)
def test_a_source_that_lacks_what_the_features_read_is_refused(old: str, new: str, words: str) -> None:
    """In a sentence, before anything is trained or loaded."""
    assert misfit(parse_spec(SPEC), SOURCE) is None
    assert old in SPEC
    assert words in str(misfit(parse_spec(SPEC.replace(old, new, 1)), SOURCE))


def test_the_amount_keeps_no_history() -> None:
    """It is a number."""
    with pytest.raises(FeatureSpecError, match="amount names no one; write card_id"):
        parse_spec(SPEC.replace("device: device", "device: amount"))
