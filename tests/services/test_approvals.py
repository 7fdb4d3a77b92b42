"""Requests for a second person: who may say what, until when. Pure."""

from typing import Any

import pytest

from schemas import codec
from schemas.approval import ENTRIES_MAX, ApprovalRecord
from schemas.lists import ListEntry
from services import approvals
from services.approvals import NotAllowedError, answer, approved_entries, new_request, requests_of
from services.errors import AssayError

NOW_MS, HOUR_MS = 1_800_000_000_000, 3_600_000


def entry(value: str = "d-1", **changes: Any) -> ListEntry:
    """One."""
    fields = {
        "list_name": "stolen",
        "field": "device",
        "kind": "value",
        "value": value,
        "by": "ana",
        "source": "a test",
    }
    return ListEntry(**(fields | changes))


def asked(**changes: Any) -> ApprovalRecord:
    """Ana wants something on a list, within an hour."""
    said = {"action": "enter", "line": "stolen", "why": "called"}
    return new_request("ana", "list", 1.0, [entry()], **(said | changes))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The wall clock, which a test may move."""
    now = [NOW_MS]
    monkeypatch.setattr(approvals, "wall_ms", lambda: now[0])
    return now


def test_another_person_approves_and_no_one_their_own() -> None:
    """However they write their name; also where a record says so that no command wrote."""
    record = asked()
    request = requests_of([record])[record.request_id]
    for own in ("ana", "ANA", " ana "):
        with pytest.raises(NotAllowedError, match="another person"):
            answer(request, "approve", own)
        forged = record.model_copy(update={"kind": "approve", "by": own, "statement": None, "entries": ()})
        assert requests_of([record, forged])[record.request_id].state(NOW_MS) == "open"
    with pytest.raises(NotAllowedError, match="waits for a second person"):
        answer(request, "done", "ana")
    approval = answer(request, "approve", "lena")
    now = requests_of([record, approval])[record.request_id]
    assert now.state(NOW_MS) == "approved"
    ((key, value),) = approved_entries(now)
    written = codec.read(ListEntry, value)
    assert (key, written.by, "approved by lena" in written.source) == (b"stolen/device/value/d-1", "ana", True)
    done = answer(now, "done", "lena")
    assert requests_of([record, approval, done])[record.request_id].state(NOW_MS) == "done"


def test_an_answer_to_anything_else_than_was_asked_counts_for_nothing() -> None:
    """Another digest, an unknown request, a second request under the same name, entries that were exchanged."""
    record = asked()
    approval = answer(requests_of([record])[record.request_id], "approve", "lena")
    other = approval.model_copy(update={"digest": "0" * 64})
    assert requests_of([record, other])[record.request_id].state(NOW_MS) == "open"
    assert requests_of([approval]) == {}
    exchanged = record.model_copy(update={"entries": (entry("d-2"),)})
    assert requests_of([exchanged]) == {}
    assert requests_of([record, exchanged, approval])[record.request_id].record == record
    renamed = record.model_copy(update={"by": "lena"})
    assert requests_of([renamed]) == {}


def test_a_request_ends_by_time_by_rejection_and_by_who_asked(clock: list[int]) -> None:
    """And then nothing can be said to it any more."""
    record = asked()
    request = requests_of([record])[record.request_id]
    for by in ("lena", "ana"):
        ended = requests_of([record, answer(request, "reject", by)])[record.request_id]
        assert ended.state(NOW_MS) == "rejected"
        with pytest.raises(NotAllowedError, match="rejected"):
            answer(ended, "approve", "lena")
    clock[0] = NOW_MS + HOUR_MS
    with pytest.raises(NotAllowedError, match="over"):
        answer(request, "approve", "lena")


def test_what_cannot_be_looked_at_or_holds_a_card_number_is_not_asked_for() -> None:
    """One sentence each."""
    said = {"action": "enter", "line": "stolen", "why": ""}
    with pytest.raises(AssayError, match="split them"):
        new_request("ana", "list", 1.0, [entry(f"d-{n}") for n in range(ENTRIES_MAX + 1)], **said)
    with pytest.raises(AssayError, match="card number"):
        asked(why="paid with 4111 1111 1111 1111")
    record = asked()
    request = requests_of([record])[record.request_id]
    with pytest.raises(NotAllowedError, match="card number"):
        answer(request, "approve", "lena", "4111 1111 1111 1111")
