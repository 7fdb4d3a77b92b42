"""Ids and times made of several values, times counted from a start, amounts and currencies as the world writes them."""

import json
from typing import Any

import pytest

from models.sources.events import Events
from models.sources.parser import EventParser
from models.sources.routed import EventWriter, events_spec
from models.sources.spec_file import SourceSpecError, parse_source
from schemas import codec

SPEC = """
version: 1
topic: transfers
label: fraud
event:
  id: {path: id}
  time: {join: [year, month, day, at], format: "%Y %m %d %H:%M", time_zone: UTC}
  subject: {join: [bank, account]}
  counterparty: {join: [to.bank, to.account], separator: "::", required: false}
  amount: {path: amount, drop: "$,", at_least: -1e9}
  currency: {path: currency, codes: {US Dollar: USD, Euro: EUR}}
attributes:
  opened: {type: time, path: opened, unit: d, start: "2020-01-01T00:00:00+00:00"}
  fee: {type: number, path: fee, decimal: comma}
"""
COMMAS = SPEC.replace('drop: "$,"', 'drop: "€ ", decimal: comma')
EVENT = {
    "id": "e1", "year": 2026, "month": "3", "day": 9, "at": "06:21", "bank": "010", "account": 77, "amount": "$-1,234.50",
    "currency": "US Dollar", "to": {"bank": 1, "account": "x::y"}, "opened": 1.5, "fee": "0,25",
}  # fmt: skip


def read(changes: dict[str, Any] | None = None, text: str = SPEC) -> Events:
    """The event with changes; None takes a field away."""
    given = {name: value for name, value in (EVENT | (changes or {})).items() if value is not None}
    parser = EventParser(parse_source(text))
    return parser.events([parser.row(json.dumps(given).encode())])


def test_several_values_become_one_field() -> None:
    """In the spec's order; numbers as their digits."""
    events = read()
    assert (events.subjects, events.counterparties) == (["010/77"], ["1::x::y"])
    assert events.time_ms.tolist() == [1_773_037_260_000]
    assert (events.amount.tolist(), events.currencies) == ([-1234.5], ["USD"])
    assert events.column("opened").tolist() == [1_577_836_800_000 + 129_600_000]
    assert read({"to": None}).counterparties == [None]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1.234,50", 1234.5),
        ("-1234,5 €", -1234.5),
        ("+12", 12.0),
        ("12.345.678", 12_345_678.0),
        ("0,125", 0.125),
        (7.5, 7.5),
    ],
)
def test_an_amount_with_a_decimal_comma_is_the_nearest_double(text: str | float, amount: float) -> None:
    """Points stand between thousands; a number is itself."""
    events = read({"amount": text}, COMMAS)
    assert (events.amount.tolist(), events.column("fee").tolist()) == ([amount], [0.25])


@pytest.mark.parametrize(
    "text", ["1.23,50", "1234.567,0", "1,2,3", "1,234.50", ".123", "12.34", "1.2345", "-.123", "1.234,5x"]
)
def test_what_is_no_number_with_a_decimal_comma_is_refused(text: str) -> None:
    """12.34 is no 1234: a point that separates no thousands is not left out in silence."""
    with pytest.raises(codec.RejectedError, match=r"Expected a decimal number.* at \$\.amount"):
        read({"amount": text}, COMMAS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bank": "0/10"}, r"without '/'.* at \$\.bank"),
        ({"bank": None}, "bank"),
        ({"bank": ""}, r"Expected a text at \$\.bank"),
        ({"to": {"bank": 1}}, r"Expected a text at \$\.to\.account"),
        ({"account": "a" * 61}, "at most 64 characters in all"),
        ({"month": 13}, "Expected a time as %Y %m %d %H:%M at"),
        ({"day": None}, "day"),
        ({"amount": "$1.2.3"}, "Expected a decimal number"),
        ({"currency": "Rand"}, "currencies that the source spec names"),
        ({"opened": 1e6}, "counted from 2020-01-01"),
    ],
)
def test_a_part_that_is_missing_or_makes_two_ids_one_is_refused_by_its_path(
    changes: dict[str, Any], words: str
) -> None:
    """One dead letter, in words that name no value."""
    with pytest.raises(codec.RejectedError, match=words):
        read(changes)


def test_many_at_once_are_read_as_one_by_one_and_routed_to_the_same_bits() -> None:
    """The batch of a stream, and the event that intake makes of each."""
    source = parse_source(SPEC)
    parser = EventParser(source)
    payloads = [json.dumps(EVENT | {"id": f"e{i}", "account": i, "day": 1 + i}).encode() for i in range(5)]
    for _ in range(2):  # as it comes first, and as it was learnt
        batch = parser.batch(payloads)
        assert batch is not None
    assert batch.subjects == [f"010/{i}" for i in range(5)]
    routed = EventParser(events_spec(source)).batch(EventWriter(parser).encode(batch))
    assert routed is not None
    for name in ("id", "time", "subject", "counterparty", "amount", "currency", "opened", "fee"):
        assert list(routed.column(name)) == list(batch.column(name))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("id: {path: id}", "id: {path: id, row: true}", "give exactly one"),
        ("id: {path: id}", "id: {}", "give exactly one"),
        ("id: {path: id}", "id: {path: $row}", "is no path|kept for the record's key"),
        ("time: {join: [year, month, day, at]", "time: {join: [year, month, day, at], path: id", "give exactly one"),
        ("unit: d, start", "start", "needs either unit"),
        (', start: "2020-01-01T00:00:00+00:00"', "", "add start"),
        ("2020-01-01T00:00:00+00:00", "2020-01-01", "no time with its zone"),
        ('drop: "$,"', 'drop: "$."', "amount.drop"),
        ('drop: "$,"', 'drop: "$,", decimal: comma', "leaves out the decimal comma"),
        ("label: fraud", "label: amount", "no model may read"),
        ("path: currency, codes", "fixed: USD, codes", "has a code already"),
        ("US Dollar: USD", "US Dollar: dollar", "codes"),
    ],
)
def test_a_mistake_is_one_sentence(old: str, new: str, words: str) -> None:
    """With the fix."""
    assert old in SPEC
    with pytest.raises(SourceSpecError, match=words) as caught:
        parse_source(SPEC.replace(old, new, 1))
    assert "\n" not in str(caught.value)
