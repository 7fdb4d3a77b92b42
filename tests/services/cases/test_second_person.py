"""Decisions that need a second person: asked for, approved, rejected, over. Without Kafka."""

from typing import Any

from schemas.case import Case
from services.cases.desk import Desk, Limits
from services.cases.grouping import Source
from services.cases.listing import Listing
from services.cases.rules import SecondPerson, is_refusal, is_work, standing
from services.cases.webhook import worth_telling
from tests.services.cases.test_desk import DAY_MS, NOW_MS, at, stored
from tests.services.cases.test_rules import said
from tests.services.cases.test_stream import alert

HOUR_MS = 3_600_000


def large_case(amount: float = 900.0, minimum: float = 500.0) -> Desk:
    """One open case, version 1, of this amount; decisions need a second person from the minimum on."""
    limits = Limits(DAY_MS, 14 * DAY_MS, 30 * DAY_MS, SecondPerson(minimum, 2 * HOUR_MS))
    desk = Desk({}, {}, limits)
    desk.alert(alert(0, "a", amount=amount), at(0))
    return desk


def after(desk: Desk) -> Case:
    """The case now."""
    return stored(desk)["0-0"]


def later(offset: int, hours: float) -> Source:
    """The position of an action some hours on."""
    return Source(0, offset, NOW_MS + int(hours * HOUR_MS), NOW_MS)


def second(verb: str, by: str, offset: int = 0, **changes: Any) -> Any:
    """Their answer to the request at an offset."""
    return said(verb, by, None, request_offset=offset, **changes)


def test_a_decision_above_the_amount_waits_and_takes_effect_by_another_alone() -> None:
    """No label, no state, nothing told before; then the decision is who asked's, with who approved beside it."""
    desk = large_case()
    asked = said("confirm", "ana", 1, note="card was stolen")
    assert desk.labels(asked, at(0)) == []
    desk.act(asked, at(0))
    case = after(desk)
    assert case.pending is not None
    assert (case.state, case.pending.by, case.pending.action, case.history[-1].asked) == (
        "open",
        "ana",
        "confirm",
        True,
    )
    assert is_work(case)
    assert not worth_telling(case)
    for own in ("ana", "ANA", "ana ", " Ana"):
        assert desk.labels(second("approve", own), at(1)) == []
    desk.act(second("approve", "ana"), at(1))
    assert is_refusal(after(desk))
    approval = second("approve", "lena")
    assert [(label.verdict, label.transaction_id) for label in desk.labels(approval, at(2))] == [("fraud", "tx-a-0")]
    desk.act(approval, at(2))
    case = after(desk)
    assert (case.state, case.decided_by, case.approved_by, case.note, case.pending) == (
        "confirmed",
        "ana",
        "lena",
        "card was stolen",
        None,
    )
    assert standing(case).startswith("confirmed by ana")
    assert worth_telling(case)
    assert desk.act(approval, at(2)) is None, "repeated by the log"


def test_below_the_amount_nothing_waits() -> None:
    """One cent below."""
    desk = large_case(499.99)
    desk.act(said("dismiss", "ana", 1), at(0))
    assert (after(desk).state, after(desk).pending, after(desk).approved_by) == ("dismissed", None, None)


def test_a_request_is_rejected_by_another_or_taken_back_by_who_asked() -> None:
    """The case is as it was; what is over cannot be approved."""
    for by in ("lena", "ana"):
        desk = large_case()
        desk.act(said("confirm", "ana", 1), at(0))
        desk.act(second("reject", by), at(1))
        assert (after(desk).state, after(desk).pending, after(desk).history[-1].refused) == ("open", None, False)
        desk.act(second("approve", "lena"), at(2))
        assert after(desk).history[-1].refused
        assert desk.labels(second("approve", "lena"), at(3)) == []


def test_a_request_is_over_after_its_time_by_the_logs_clock_and_the_clock_rejects_it() -> None:
    """An approval at that moment is refused; one a millisecond before is not."""
    for hours, state in ((2.0, "open"), (2.0 - 1 / HOUR_MS, "confirmed")):
        desk = large_case()
        desk.act(said("confirm", "ana", 1), at(0))
        desk.act(second("approve", "lena"), later(1, hours))
        assert after(desk).state == state
    desk = large_case()
    desk.act(said("confirm", "ana", 1), at(0))
    assert list(desk.due(NOW_MS + 2 * HOUR_MS - 1)) == []
    ((_, action),) = desk.due(NOW_MS + 2 * HOUR_MS)
    desk.act(action, later(1, 2))
    assert (after(desk).pending, after(desk).history[-1].by) == (None, "cases")


def test_while_one_decision_waits_another_is_refused_and_an_approval_names_the_one_that_was_seen() -> None:
    """Ben does not turn ana's request round; an approval of a request that was replaced changes nothing."""
    desk = large_case()
    desk.act(said("confirm", "ana", 1), at(0))
    desk.act(said("dismiss", "ben", 2), at(1))
    assert is_refusal(after(desk))
    desk.act(said("dismiss", "ana", 3), at(2))
    assert after(desk).pending is not None
    desk.act(second("approve", "lena", offset=0), at(3))
    assert (after(desk).state, is_refusal(after(desk))) == ("open", True)
    desk.act(second("approve", "lena", offset=2), at(4))
    assert (after(desk).state, after(desk).approved_by) == ("dismissed", "lena")


def test_the_card_comes_onto_the_list_with_the_approval_and_not_before() -> None:
    """A request puts no one on it."""
    desk, listing = large_case(), Listing("stolen")
    asked = said("confirm", "ana", 1)
    assert listing.entry(desk.case_of(asked, at(0)), desk.decision_of(asked, at(0)), at(0)) is None
    desk.act(asked, at(0))
    approval = second("approve", "lena")
    entry = listing.entry(desk.case_of(approval, at(1)), desk.decision_of(approval, at(1)), at(1))
    assert entry is not None
    assert (entry.value, entry.by, entry.removed) == ("a", "ana", False)


def test_a_decision_that_was_made_can_be_overruled_and_that_waits_too() -> None:
    """The way back asks for a second person as the way there did."""
    desk = large_case()
    desk.act(said("confirm", "ana", 1), at(0))
    desk.act(second("approve", "lena"), at(1))
    desk.act(said("dismiss", "ben", 3, overrule=True), at(2))
    assert (after(desk).state, after(desk).pending is not None) == ("confirmed", True)
    approval = second("approve", "ana", offset=2)
    assert [label.verdict for label in desk.labels(approval, at(3))] == ["legitimate"]
    desk.act(approval, at(3))
    assert (after(desk).state, after(desk).decided_by, after(desk).approved_by) == ("dismissed", "ben", "ana")
