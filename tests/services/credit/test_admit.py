"""Admission: one fault for each bad application, neighbours untouched, and a corrected one may come again."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from models.features.attributes import AttributeMapping
from models.features.spec_file import parse_spec
from schemas.dead_letter import DeadLetterReason
from schemas.times import TIME_MS_MIN
from services.credit.admit import Admission
from services.engine.duplicates import DuplicateWindow, WindowLimits
from services.engine.faults import TimeLimits
from tests.services.harness import BASE_TIME_MS

SPEC = "{version: 1, features: [{name: income, kind: number, attribute: income, at_least: 0}]}"


def application(i: int, **changes: Any) -> dict[str, Any]:
    """A good application, the i-th; `changes` spoil it."""
    return {
        "application_id": f"a-{i}",
        "event_time_ms": BASE_TIME_MS,
        "applicant_id": f"p-{i}",
        "attributes": {"income": float(i)},
        **changes,
    }


def record(offset: int, content: Any) -> Any:
    """An input record."""
    value = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
    return SimpleNamespace(topic="applications", partition=0, offset=offset, value=value, timestamp=BASE_TIME_MS)


def admission() -> Admission:
    """One partition's, that remembers 100 ids."""
    return Admission(
        AttributeMapping(parse_spec(SPEC)),
        DuplicateWindow(WindowLimits(100)),
        65_536,
        TimeLimits(86_400_000, TIME_MS_MIN),
    )


BAD: list[tuple[Any, DeadLetterReason]] = [
    (None, DeadLetterReason.EMPTY),
    (b"{", DeadLetterReason.UNDECODABLE),
    (b"x" * 70_000, DeadLetterReason.TOO_LARGE),
    (application(1, attributes=7), DeadLetterReason.SCHEMA),
    (application(1, attributes={"income": [1]}), DeadLetterReason.SCHEMA),
    (application(1, attributes={}), DeadLetterReason.ATTRIBUTE),
    (application(1, attributes={"income": "much"}), DeadLetterReason.ATTRIBUTE),
    (application(1, attributes={"income": -5}), DeadLetterReason.ATTRIBUTE),
    (application(1, applicant_id="4111 1111 1111 1111"), DeadLetterReason.CARD_NUMBER),
    (application(1, attributes={"income": 1.0, "note": "pays by 4111-1111-1111-1111"}), DeadLetterReason.CARD_NUMBER),
    (application(1, attributes={"income": 1.0, "account": 4111111111111111}), DeadLetterReason.CARD_NUMBER),
    (application(1, event_time_ms=BASE_TIME_MS + 90_000_000), DeadLetterReason.FUTURE),
    (application(0), DeadLetterReason.DUPLICATE),
]


@pytest.mark.parametrize(("content", "reason"), BAD)
def test_a_bad_application_is_one_fault_between_two_good_neighbours(content: Any, reason: DeadLetterReason) -> None:
    """Reason code as documented; order kept."""
    admitted = admission().admit([record(0, application(0)), record(1, content), record(2, application(2))])
    assert [(fault.record.offset, fault.reason) for fault in admitted.faults] == [(1, reason)]
    assert [r.offset for r in admitted.records] == [0, 2]
    assert admitted.features.tolist() == [[0.0], [2.0]]


def test_an_application_that_was_refused_may_come_again_mended_under_its_id() -> None:
    """Only what was accepted is remembered."""
    one = admission()
    assert one.admit([record(0, application(1, attributes={}))]).records == []
    assert len(one.admit([record(1, application(1))]).records) == 1


def test_a_fault_says_nothing_of_the_payload() -> None:
    """Not a word of it."""
    secret = application(1, attributes={"income": "s3cret"})
    assert all("s3cret" not in fault.detail for fault in admission().admit([record(0, secret)]).faults)
