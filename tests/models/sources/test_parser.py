"""A source's parser: the default one says what `transactions` always said; any other reads what its spec describes."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sources.events import Events
from models.sources.parser import EventParser
from models.sources.spec_file import default_source, parse_source
from schemas import codec
from schemas.transaction import Transaction
from tests.schemas.test_codec import EDGES, TRANSACTION, documents

DEFAULT = EventParser(default_source())
TIME_MS = 1_767_218_400_123

NESTED = """
version: 1
topic: payments.authorised.v2
select:
  - {path: type, in: [AUTH, REFUND]}
  - not: {path: test, equals: true}
event:
  id: {path: header.id}
  time: {path: header.at, format: iso8601}
  subject: {path: card.token}
  counterparty: {path: merchant.id, required: false}
  amount: {path: amount.value, scale: 2, at_least: -1e6, negative_where: {path: type, equals: REFUND}}
  currency: {path: amount.currency}
attributes:
  device: {path: device.id, type: id}
  ip: {path: device.ip, type: ip}
  price: {path: "items[0].price", type: number, at_most: 100}
  sku: {path: "items[1].sku", type: category, values: [a, b]}
  place: {type: geo, latitude: place.lat, longitude: place.lon}
  opened: {type: time, path: opened, format: "%d/%m/%Y %H:%M", time_zone: Europe/Paris}
  trusted: {type: flag, path: trusted, yes: [Y, "1"], no: [N, "0"]}
  note: {type: text, path: note}
"""
EVENT: dict[str, Any] = {
    "type": "AUTH",
    "header": {"id": "e-1", "at": "2026-01-01T00:00:00.123+02:00"},
    "card": {"token": "c-1"},
    "merchant": {"id": "m-1"},
    "amount": {"value": "1234", "currency": "EUR"},
    "device": {"id": "d-1", "ip": "2001:db8::1"},
    "items": [{"price": "3.5"}, {"sku": "b"}, 7],
    "place": {"lat": 54.7, "lon": "25.3"},
    "opened": "03/07/2020 12:15",
    "trusted": "Y",
    "note": "thanks",
}


def verdict(parse: Any, payload: bytes) -> tuple[str, Any]:
    """What comes of a payload: the refusal's kind and words, or the fields."""
    try:
        found = parse(payload)
    except codec.RejectedError as error:
        return type(error).__name__, str(error)
    if isinstance(found, Transaction):
        return "accepted", dict(found)
    if hasattr(found, "transaction_id"):
        return "accepted", {name: getattr(found, name) for name in Transaction.model_fields}
    events = DEFAULT.events([found])
    return "accepted", {name: events.column(name)[0] for name in Transaction.model_fields}


def same(payload: bytes) -> None:
    """The default spec's parser and the schema's say the same."""
    ours, theirs = verdict(DEFAULT.row, payload), verdict(codec.decoder(Transaction), payload)
    if theirs[0] == "accepted":
        fields = {name: value if value != "" else None for name, value in theirs[1].items()}
        assert ours == ("accepted", fields)
    else:
        assert ours == theirs


@given(documents(Transaction))
@settings(max_examples=400, deadline=None)
def test_the_default_spec_says_what_the_schema_says_word_for_word(document: dict[str, Any]) -> None:
    """Verdict, reason and content, of random messages."""
    same(json.dumps(document).encode())


@pytest.mark.parametrize("edge", EDGES)
def test_the_default_spec_says_what_the_schema_says_on_the_edges_of_json(edge: str) -> None:
    """Those that parsers are known to differ on."""
    start, _, rest = EDGES[edge].partition(b"{")
    good = json.dumps(TRANSACTION).encode()
    same(start + (good[:-1] + b", " + rest if rest != b"}" else good))


def parser(text: str = NESTED) -> EventParser:
    """Of a spec."""
    return EventParser(parse_source(text))


def one(changes: dict[str, Any] | None = None, text: str = NESTED) -> Events:
    """The one event, with changes."""
    found = parser(text)
    return found.events([found.row(json.dumps(EVENT | (changes or {})).encode())])


def test_a_nested_event_becomes_columns() -> None:
    """Paths, list places, decimal strings, times with an offset or a zone, flags by words, places."""
    events = one()
    assert (events.ids, events.subjects, events.counterparties) == (["e-1"], ["c-1"], ["m-1"])
    assert (events.time_ms.tolist(), events.amount.tolist(), events.currencies) == ([TIME_MS], [12.34], ["EUR"])
    assert (events.column("device"), events.column("ip"), events.column("sku")) == (["d-1"], ["2001:db8::1"], ["b"])
    assert [events.column(name).tolist() for name in ("price", "place.latitude", "place.longitude", "trusted")] == [
        [3.5],
        [54.7],
        [25.3],
        [1.0],
    ]
    assert events.column("opened").tolist() == [1_593_771_300_000.0]


def test_what_an_event_may_lack_is_none_or_no_number() -> None:
    """Absent, null, empty, within an absent or null object, behind the end of a list."""
    for gone in ({"device": None}, {"device": {}}, {"device": {"id": "", "ip": None}}):
        events = one({**gone, "merchant": None, "items": [], "place": {}, "opened": None, "trusted": ""})
        assert [events.column(name) for name in ("device", "ip", "counterparty", "sku")] == [[None]] * 4
        assert all(np.isnan(events.column(name)[0]) for name in ("price", "place.latitude", "opened", "trusted"))


@pytest.mark.parametrize(
    ("value", "scale", "amount"),
    [("1234", 2, 12.34), (1234, 2, 12.34), ("-0.10", 0, -0.1), (0, 2, 0.0), ("1e3", 0, 1000.0), (29, 3, 0.029)],
)
def test_an_amount_is_the_double_nearest_to_its_decimal_number(value: Any, scale: int, amount: float) -> None:
    """In minor units or not, as a number or as text: the same bits. Zero and negative ones are events."""
    events = one({"amount": {"value": value}}, NESTED.replace("scale: 2", f"scale: {scale}"))
    assert events.amount.tolist() == [amount]


def test_a_refund_is_a_negative_amount() -> None:
    """By a condition of the spec, by a reversed ledger, or by the exponent that the event itself names."""
    assert one({"type": "REFUND"}).amount.tolist() == [-12.34]
    assert one(text=NESTED.replace("scale: 2", "scale: 2, sign: reversed")).amount.tolist() == [-12.34]
    own = NESTED.replace("scale: 2", "scale: {path: amount.exponent}")
    assert one({"amount": {"value": "1234", "exponent": 3}}, own).amount.tolist() == [1.234]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"header": {"id": "e", "at": "2026-01-01T00:00:00"}}, "Expected a time as iso8601 at $.header.at"),
        ({"header": {"at": "2026-01-01T00:00:00Z"}}, "Object missing required field `id` at $.header"),
        ({"header": {"id": "", "at": "2026-01-01T00:00:00Z"}}, "Expected `str` of length >= 1 at $.header.id"),
        ({"card": None}, "Expected `object` at $.card"),
        ({"amount": {"value": "12,5"}}, "Expected a decimal number at $.amount.value"),
        ({"amount": {"value": "nan"}}, "Expected a decimal number at $.amount.value"),
        ({"amount": {"value": " 1"}}, "Expected a decimal number at $.amount.value"),
        ({"amount": {"value": ""}}, "Expected a value at $.amount.value"),
        ({"amount": {"value": "1e12"}}, "Expected a number <= 1e+09 at $.amount.value"),
        ({"amount": {"value": "9" * 41}}, "Expected `str` of length <= 40 at $.amount.value"),
        ({"items": [{"price": 101}]}, "Expected a number <= 100 at $.items[0].price"),
        ({"items": [{"price": []}]}, "Expected `float | str | null` at $.items[0].price"),
        ({"items": [{}, {"sku": "c"}]}, "Expected one of the values that the source spec names at $.items[1].sku"),
        ({"place": {"lat": 1}}, "Expected a latitude and a longitude, or neither, at $.place.lat"),
        ({"place": {"lat": 91, "lon": 1}}, "Expected `float` <= 90.0 at $.place.lat"),
        ({"device": {"ip": "1.2.3"}}, "Expected an internet address at $.device.ip"),
        ({"opened": "2020-07-03"}, "Expected a time as %d/%m/%Y %H:%M at $.opened"),
        ({"opened": "29/03/2026 02:30"}, "Expected a time as %d/%m/%Y %H:%M at $.opened"),
        ({"trusted": "maybe"}, "Expected one of the words for yes and no at $.trusted"),
        ({"note": "x" * 201}, "Expected `str` of length <= 200 at $.note"),
    ],
)
def test_a_fault_names_the_field_in_the_users_own_terms(changes: dict[str, Any], words: str) -> None:
    """And what was expected there, never what was found."""
    with pytest.raises(codec.SchemaError) as refusal:
        one(changes)
    assert str(refusal.value) == words


@pytest.mark.parametrize(
    ("unit", "value", "ms"),
    [
        ("s", 1_767_218_400, 1_767_218_400_000),
        ("s", 1_767_218_400.123, TIME_MS),
        ("s", "1767218400.123", TIME_MS),
        ("ms", TIME_MS, TIME_MS),
        ("us", TIME_MS * 1000 + 999, TIME_MS),
        ("ns", str(TIME_MS * 10**6 + 999_999), TIME_MS),
    ],
)
def test_a_time_is_read_in_its_unit(unit: str, value: Any, ms: int) -> None:
    """To the millisecond that it lies in."""
    text = NESTED.replace("format: iso8601", f"unit: {unit}")
    assert one({"header": {"id": "e", "at": value}}, text).time_ms.tolist() == [ms]


def test_a_time_in_another_unit_is_refused_and_the_unit_named() -> None:
    """What a person has to correct is in the dead letter."""
    with pytest.raises(codec.SchemaError, match="in seconds, and it looks like milliseconds"):
        one({"header": {"id": "e", "at": TIME_MS}}, NESTED.replace("format: iso8601", "unit: s"))


@given(st.lists(st.sampled_from(["AUTH", "REFUND"]), min_size=1, max_size=8), st.integers(0, 8))
@settings(deadline=None, max_examples=50)
def test_a_batch_is_read_as_each_event_by_itself(kinds: list[str], cut: int) -> None:
    """Every column, bit for bit."""
    payloads = [
        json.dumps(
            EVENT | {"type": kind, "header": {"id": i, "at": EVENT["header"]["at"]}, "device": {"id": i}}
        ).encode()
        for i, kind in enumerate(kinds)
    ]
    found = parser()
    whole = found.batch(payloads)
    assert whole is not None
    for place, payload in enumerate(payloads):
        single = found.events([found.row(payload)])
        for name in (
            "id",
            "time",
            "subject",
            "amount",
            "currency",
            "device",
            "ip",
            "price",
            "place.latitude",
            "opened",
        ):
            assert repr(whole.column(name)[place]) == repr(single.column(name)[0])
            assert repr(whole.take([place]).column(name)[0]) == repr(single.column(name)[0])


def test_a_batch_with_one_bad_event_is_none() -> None:
    """So that it is read one by one."""
    good, bad = json.dumps(EVENT).encode(), json.dumps(EVENT | {"trusted": "maybe"}).encode()
    assert parser().batch([good, bad]) is None


@pytest.mark.parametrize(
    ("changes", "meant"),
    [
        ({}, True),
        ({"type": "REFUND"}, True),
        ({"type": "REVERSAL"}, False),
        ({"type": None}, False),
        ({"type": ["AUTH"]}, False),
        ({"test": True}, False),
        ({"test": 1}, True),
        ({"test": "true"}, True),
        ({"header": 5, "card": 6}, True),
    ],
)
def test_records_that_are_not_selected_are_not_judged(changes: dict[str, Any], meant: bool) -> None:
    """Whatever else is in them; true is not 1."""
    assert parser().meant(json.dumps(EVENT | changes).encode()) is meant


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ("above: 5", 5, False),
        ("above: 5", 5.1, True),
        ("at_least: 5, below: 10", "7.5", True),
        ("at_least: 5, below: 10", 10, False),
        ("at_most: 5", None, False),
        ("at_most: 5", True, False),
        ("exists: true", None, False),
        ("exists: true", {"a": 1}, True),
        ("exists: false", None, True),
        ("equals: 5", 5.0, True),
        ("equals: 5", "5", False),
        ("in: [1, x]", "x", True),
    ],
)
def test_conditions_compare_values(condition: str, value: Any, holds: bool) -> None:
    """Numbers as text compare as numbers where a bound is given; equal are only values of one type."""
    text = NESTED.replace("- {path: type, in: [AUTH, REFUND]}", f"- {{path: x, {condition}}}")
    assert parser(text).meant(json.dumps(EVENT | {"x": value}).encode()) is holds


def test_groups_of_conditions_nest() -> None:
    """any of all, not."""
    text = NESTED.replace(
        "- {path: type, in: [AUTH, REFUND]}",
        "- any: [{all: [{path: a, equals: 1}, {path: b, equals: 2}]}, {not: {path: 'c.d[0]', exists: true}}]",
    )
    found = parser(text)
    assert [
        found.meant(json.dumps(x).encode()) for x in ({"a": 1, "b": 2, "c": {"d": [1]}}, {"c": {"d": [1]}}, {})
    ] == [
        True,
        False,
        True,
    ]


def test_a_record_that_cannot_be_read_cannot_be_passed_over() -> None:
    """It is a dead letter: no one knows what it was."""
    for payload in (b"{", b"[]", b'{"type": ' + b"9" * 5000 + b"}"):
        with pytest.raises(codec.RejectedError):
            parser().meant(payload)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
@settings(deadline=None, max_examples=30)
def test_which_types_came_before_changes_nothing(batches: list[tuple[bool, bool]]) -> None:
    """Numbers as text or not, ids as numbers or not: the parser learns what to try first, and says the same."""
    learning = parser()
    for as_text, as_number in batches:
        changes = {"amount": {"value": "1234" if as_text else 1234}, "device": {"id": 7 if as_number else "7"}}
        payload = json.dumps(EVENT | changes).encode()
        events = learning.batch([payload, json.dumps(EVENT | {"device": {"id": "7"}}).encode()])
        assert events is not None
        assert (events.amount.tolist(), events.column("device")) == ([12.34, 12.34], ["7", "7"])
