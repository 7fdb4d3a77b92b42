"""Stage 1: every kind of bad input is one fault, and its neighbours are untouched."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.dead_letter import DeadLetterReason
from schemas.times import TIME_MS_MIN
from services.engine.faults import TimeLimits
from services.scorer.decode import Decoder
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


def good(i: int) -> bytes:
    """A good payload."""
    return json.dumps(payment(i)).encode()


@pytest.mark.parametrize(("payload", "reason"), BAD)
def test_a_bad_payload_is_one_fault_between_two_good_neighbours(
    payload: bytes | None, reason: DeadLetterReason
) -> None:
    """Reason code as documented; neighbours decoded; order kept."""
    records, transactions, faults = decoder().decode([record(0, good(0)), record(1, payload), record(2, good(2))])
    assert [(fault.record.offset, fault.reason) for fault in faults] == [(1, reason)]
    assert [r.offset for r in records] == [0, 2]
    assert [t.transaction_id for t in transactions] == ["tx-000000000", "tx-000000002"]


@pytest.mark.parametrize(("payload", "reason"), [case for case in BAD if case[0]])
def test_a_fault_says_nothing_of_the_payload(payload: bytes, reason: DeadLetterReason) -> None:
    """Not a word of it: it may hold anything."""
    secret = b"s3cret-" + TEST_CARD_NUMBER.encode()
    spoiled = payload.replace(b"card-0001", secret).replace(b"26.0", b'"' + secret + b'"')
    _, _, faults = decoder().decode([record(0, spoiled)])
    assert all("s3cret" not in fault.detail and TEST_CARD_NUMBER not in fault.detail for fault in faults)


def test_a_good_batch_takes_the_fast_path_and_says_the_same_as_one_by_one() -> None:
    """Two ways through, one result; a pseudonym may begin with a digit."""
    both = decoder()
    records = [record(i, json.dumps(payment(i, card=f"{i}abc")).encode()) for i in range(20)]
    fast = both.decode(records)
    slow = both._one_by_one(records)
    assert fast == slow
    assert len(fast[1]) == 20


@pytest.mark.parametrize("field", ["transaction_id", "terminal_id"])
@pytest.mark.parametrize("text", [TEST_CARD_NUMBER, f"order {TEST_CARD_NUMBER}", "4111-1111-1111-1111"])
def test_a_card_number_in_another_id_is_refused_where_that_is_asked_for(field: str, text: str) -> None:
    """By default it is not: other systems number their payments with 16 digits, and one in thirty looks like a card."""
    records = [record(0, good(0)), record(1, json.dumps(payment(1) | {field: text}).encode()), record(2, good(2))]
    assert len(decoder().decode(records)[1]) == 3
    scanning = Decoder(65_536, TimeLimits(86_400_000, TIME_MS_MIN), scan_ids=True)
    good_records, _, faults = scanning.decode(records)
    assert [(fault.record.offset, fault.reason) for fault in faults] == [(1, DeadLetterReason.CARD_NUMBER)]
    assert field in faults[0].detail
    assert "4111" not in faults[0].detail
    assert [r.offset for r in good_records] == [0, 2]
    assert scanning.decode([records[0], records[2]]) == scanning._one_by_one([records[0], records[2]])


def test_an_empty_batch_decodes_to_nothing() -> None:
    """Restoring may end on one."""
    assert decoder().decode([]) == ([], [], [])


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
    good, _, (fault,) = decoder().decode([record(0, value), record(1, json.dumps(payment(2)).encode())])
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
    good, _, (fault,) = decoder().decode(records)
    assert [r.offset for r in good] == [0, 2]
    assert (fault.record.offset, fault.reason) == (1, DeadLetterReason.TIMESTAMP)
