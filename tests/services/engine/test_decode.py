"""Stage 1: every kind of bad input is one fault, and its neighbours are untouched."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from models.sources.spec_file import parse_source
from schemas.dead_letter import DeadLetterReason
from schemas.times import TIME_MS_MIN
from services.engine.decode import Decoded, Decoder
from services.engine.faults import Fault, TimeLimits
from tests.services.harness import BASE_TIME_MS, payment

TEST_CARD_NUMBER = "4111111111111111"

BAD: list[tuple[bytes | None, DeadLetterReason]] = [
    (None, DeadLetterReason.EMPTY),
    (b"", DeadLetterReason.EMPTY),
    (b"x" * 70_000, DeadLetterReason.TOO_LARGE),
    (b"not json", DeadLetterReason.UNDECODABLE),
    (b"\xff\xfe\x00", DeadLetterReason.UNDECODABLE),
    (json.dumps(payment(1)).encode()[:-5], DeadLetterReason.UNDECODABLE),
    (json.dumps(payment(1, amount=0.0) | {"amount": float("nan")}).encode(), DeadLetterReason.UNDECODABLE),
    (json.dumps(payment(1) | {"amount": float("inf")}).encode(), DeadLetterReason.UNDECODABLE),
    (json.dumps(payment(1)).replace("26.0", "1e999").encode(), DeadLetterReason.SCHEMA),
    (b'{"a":' + b"[" * 30_000, DeadLetterReason.TOO_DEEP),
    (b"[]", DeadLetterReason.SCHEMA),
    (b"{}", DeadLetterReason.SCHEMA),
    (json.dumps(payment(1) | {"amount": "26.0"}).encode(), DeadLetterReason.SCHEMA),
    (json.dumps(payment(1) | {"amount": -1.0}).encode(), DeadLetterReason.SCHEMA),
    (json.dumps(payment(1) | {"event_time_ms": 1.5}).encode(), DeadLetterReason.SCHEMA),
    (json.dumps(payment(1) | {"card_id": ""}).encode(), DeadLetterReason.SCHEMA),
    (json.dumps(payment(1) | {"transaction_id": "x" * 65}).encode(), DeadLetterReason.SCHEMA),
    (json.dumps(payment(1) | {"card_id": TEST_CARD_NUMBER}).encode(), DeadLetterReason.CARD_NUMBER),
    (json.dumps(payment(1) | {"card_id": " 4111 1111-1111 1111"}).encode(), DeadLetterReason.CARD_NUMBER),
    (json.dumps(payment(1) | {"event_time_ms": 4_000_000_000_000}).encode(), DeadLetterReason.FUTURE),
    (json.dumps(payment(1) | {"event_time_ms": 0}).encode(), DeadLetterReason.PAST),
]


def record(offset: int, value: bytes | None) -> Any:
    """An input record."""
    return SimpleNamespace(topic="transactions", partition=0, offset=offset, value=value, timestamp=BASE_TIME_MS)


def decoder() -> Decoder:
    """With the default limits."""
    return Decoder(65_536, TimeLimits(86_400_000, TIME_MS_MIN))


def said(decoded: Decoded) -> tuple[list[Any], list[Any], list[Fault], int]:
    """What came of a batch, to be compared: records, rows, faults and how many were not selected."""
    return decoded.records, list(decoded.events.rows), decoded.faults, decoded.unselected


def good(i: int) -> bytes:
    """A good payload."""
    return json.dumps(payment(i)).encode()


@pytest.mark.parametrize(("payload", "reason"), BAD)
def test_a_bad_payload_is_one_fault_between_two_good_neighbours(
    payload: bytes | None, reason: DeadLetterReason
) -> None:
    """Reason code as documented; neighbours decoded; order kept."""
    records, events, faults, _ = decoder().decode([record(0, good(0)), record(1, payload), record(2, good(2))])
    assert [(fault.record.offset, fault.reason) for fault in faults] == [(1, reason)]
    assert [r.offset for r in records] == [0, 2]
    assert events.ids == ["tx-000000000", "tx-000000002"]


@pytest.mark.parametrize(("payload", "reason"), [case for case in BAD if case[0]])
def test_a_fault_says_nothing_of_the_payload(payload: bytes, reason: DeadLetterReason) -> None:
    """Not a word of it: it may hold anything."""
    secret = b"s3cret-" + TEST_CARD_NUMBER.encode()
    spoiled = payload.replace(b"card-0001", secret).replace(b"26.0", b'"' + secret + b'"')
    _, _, faults, _ = decoder().decode([record(0, spoiled)])
    assert all("s3cret" not in fault.detail and TEST_CARD_NUMBER not in fault.detail for fault in faults)


def test_a_good_batch_takes_the_fast_path_and_says_the_same_as_one_by_one() -> None:
    """Two ways through, one result; a pseudonym may begin with a digit."""
    both = decoder()
    records = [record(i, json.dumps(payment(i, card=f"{i}abc")).encode()) for i in range(20)]
    fast = said(both.decode(records))
    slow = said(both._one_by_one(records))
    assert fast == slow
    assert len(fast[1]) == 20


@pytest.mark.parametrize("field", ["transaction_id", "terminal_id"])
@pytest.mark.parametrize("text", [TEST_CARD_NUMBER, f"order {TEST_CARD_NUMBER}", "4111-1111-1111-1111"])
def test_a_card_number_in_another_id_is_refused_where_that_is_asked_for(field: str, text: str) -> None:
    """By default it is not: other systems number their payments with 16 digits, and one in thirty looks like a card."""
    records = [record(0, good(0)), record(1, json.dumps(payment(1) | {field: text}).encode()), record(2, good(2))]
    assert len(decoder().decode(records)[1]) == 3
    scanning = Decoder(65_536, TimeLimits(86_400_000, TIME_MS_MIN), scan_ids=True)
    good_records, _, faults, _ = scanning.decode(records)
    assert [(fault.record.offset, fault.reason) for fault in faults] == [(1, DeadLetterReason.CARD_NUMBER)]
    assert field in faults[0].detail
    assert "4111" not in faults[0].detail
    assert [r.offset for r in good_records] == [0, 2]
    assert said(scanning.decode([records[0], records[2]])) == said(scanning._one_by_one([records[0], records[2]]))


def test_an_empty_batch_decodes_to_nothing() -> None:
    """Restoring may end on one."""
    assert said(decoder().decode([])) == ([], [], [], 0)


@pytest.mark.parametrize(
    ("event_time", "reason", "unit"),
    [
        (BASE_TIME_MS // 3_600_000, DeadLetterReason.PAST, "it looks like hours, multiply by 3600000"),
        (BASE_TIME_MS // 1000, DeadLetterReason.PAST, "it looks like seconds, multiply by 1000"),
        (BASE_TIME_MS * 1000, DeadLetterReason.SCHEMA, "it looks like microseconds, divide by 1000"),
        (BASE_TIME_MS * 10**6, DeadLetterReason.SCHEMA, "it looks like nanoseconds, divide by 1000000"),
        (BASE_TIME_MS / 1000, DeadLetterReason.SCHEMA, "it looks like seconds, multiply by 1000"),
    ],
)
def test_a_time_in_another_unit_is_refused_and_the_unit_named(
    event_time: float, reason: DeadLetterReason, unit: str
) -> None:
    """Seconds since 1970 are in January 1970 as milliseconds: no payment of that time is scored as one."""
    value = json.dumps(payment(1) | {"event_time_ms": event_time}).encode()
    good, _, (fault,), _ = decoder().decode([record(0, value), record(1, json.dumps(payment(2)).encode())])
    assert [r.offset for r in good] == [1]
    assert fault.reason == reason
    assert fault.detail.endswith(unit)


@pytest.mark.parametrize(
    "timestamp", [-1, -(2**62), 0, BASE_TIME_MS // 1000, BASE_TIME_MS * 1000, 2**62, 4_000_000_000_000]
)
def test_a_record_with_an_implausible_timestamp_is_a_dead_letter(timestamp: int) -> None:
    """Missing, in another unit, or near the end of time; in a batch of good ones it is the only one."""
    records = [record(offset, json.dumps(payment(offset)).encode()) for offset in range(3)]
    records[1].timestamp = timestamp
    good, _, (fault,), _ = decoder().decode(records)
    assert [r.offset for r in good] == [0, 2]
    assert (fault.record.offset, fault.reason) == (1, DeadLetterReason.TIMESTAMP)


SOURCE = parse_source("""
version: 1
topic: payments
select: [{path: type, equals: AUTH}]
event:
  id: {path: id}
  time: {path: at, unit: ms}
  subject: {path: card.token}
  amount: {path: amount, at_least: -1e6}
attributes:
  device: {path: device.id, type: id}
  note: {path: note, type: text}
""")


def event(i: int, **changes: Any) -> bytes:
    """A good event of SOURCE, the i-th."""
    fields = {"type": "AUTH", "id": i, "at": BASE_TIME_MS, "card": {"token": f"c-{i}"}, "amount": -1.5}
    return json.dumps(fields | changes).encode()


@pytest.mark.parametrize("scanned", [False, True])
def test_of_another_source_each_record_is_one_event_one_fault_or_not_selected(scanned: bool) -> None:
    """The safety of the event's own ids holds for every attribute; the path in the detail is the user's."""
    card = f"ref {TEST_CARD_NUMBER}"
    values = [
        event(0, device={"id": "d"}),
        event(1, type="BALANCE", card=None),
        event(2, device={"id": "a\u0007b"}),
        event(3, note="two\nlines"),
        event(4, card={"token": TEST_CARD_NUMBER}),
        event(5, device={"id": card}),
        event(6, at=4_000_000_000_000),
        event(7, at=1000),
        event(8, device={"id": 7}),
        b"{",
    ]
    found = Decoder(65_536, TimeLimits(86_400_000, TIME_MS_MIN), scan_ids=scanned, source=SOURCE)
    decoded = found.decode([record(offset, value) for offset, value in enumerate(values)])
    faults = {fault.record.offset: (fault.reason, fault.detail.partition(":")[0]) for fault in decoded.faults}
    expected = {
        2: (DeadLetterReason.SCHEMA, "device.id holds a control character"),
        3: (DeadLetterReason.SCHEMA, "note holds a control character"),
        4: (DeadLetterReason.CARD_NUMBER, "card.token is a card number"),
        6: (DeadLetterReason.FUTURE, "at is more than 86400000 ms ahead of the record's timestamp"),
        7: (DeadLetterReason.PAST, "at is before the first day allowed (ASSAY_EVENT_DATE_MIN)"),
        9: (DeadLetterReason.UNDECODABLE, "not well-formed JSON in UTF-8"),
    }
    if scanned:
        expected[5] = (DeadLetterReason.CARD_NUMBER, "device.id holds a card number")
    assert faults == expected
    assert decoded.unselected == 1
    assert [r.offset for r in decoded.records] == ([0, 8] if scanned else [0, 5, 8])
    assert decoded.events.column("device")[-1] == "7"
    good = [record(offset, values[offset]) for offset in (0, 8, 1, 0)]
    assert found.decode(good).unselected == 1
    assert said(found._decode(good[:2])) == said(found._one_by_one(good[:2]))
