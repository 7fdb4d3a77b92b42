"""Which decisions and mutes are taken, and how long a case waits, without Kafka."""

from typing import Any

import pytest

from schemas import codec
from schemas.case import HISTORY_MAX, Case, CaseAction
from services.cases.desk import Desk
from services.cases.rules import is_refusal, newest_case, refusal, unknown_target, waited_ms
from services.cases.webhook import worth_telling
from services.cli.masking import masked
from tests.services.cases.test_desk import DAY_MS, NOW_MS, at, desk, stored
from tests.services.cases.test_stream import alert

MASK = masked("")


def said(action: str, by: str, version: int | None, **changes: Any) -> CaseAction:
    """A decision on the first case, by somebody who saw this version of it."""
    return codec.checked(CaseAction, {"action": action, "case_id": "0-0", "by": by, "case_version": version, **changes})


def one_case() -> Desk:
    """A desk with one open case, version 1."""
    one = desk()
    one.alert(alert(0, "a"), at(0))
    return one


def test_a_decision_that_meets_a_newer_one_is_refused_and_stands_in_the_history() -> None:
    """Neither state nor labels move; who tried is kept, and the webhook hears nothing of it."""
    one = one_case()
    one.act(said("confirm", "ana", 1), at(0))
    late = said("dismiss", "ben", 1)
    assert refusal(stored(one)["0-0"], late) == "confirmed by ana at 2023-11-14 22:13:20 UTC"
    assert one.labels(late, at(1)) == []
    after = one.act(late, at(1))
    assert after is not None
    assert (after.state, after.decided_by, after.version) == ("confirmed", "ana", 3)
    assert [(line.by, line.action, line.refused) for line in after.history] == [
        ("ana", "confirm", False),
        ("ben", "dismiss", True),
    ]
    assert is_refusal(after)
    assert not worth_telling(after)
    assert one.act(late, at(1)) is None  # repeated by the log


def test_whoever_saw_the_decision_still_has_to_overrule_it() -> None:
    """Two decisions are never one after the other by accident; overruled, the labels turn."""
    one = one_case()
    one.act(said("confirm", "ana", 1), at(0))
    assert refusal(stored(one)["0-0"], said("dismiss", "ben", 2)) is not None
    overruling = said("dismiss", "ben", 2, overrule=True)
    assert [label.verdict for label in one.labels(overruling, at(1))] == ["legitimate"]
    after = one.act(overruling, at(1))
    assert after is not None
    assert (after.state, after.decided_by) == ("dismissed", "ben")


def test_a_decision_is_refused_where_the_case_was_decided_and_opened_again_since() -> None:
    """An open case does not show that it was judged; an alert alone refuses no one."""
    one = one_case()
    one.alert(alert(1, "a"), at(1))
    assert refusal(stored(one)["0-0"], said("confirm", "ana", 1)) is None
    one.act(said("dismiss", "ana", 2), at(0))
    again = one.alert(alert(2, "a", probability=0.95), at(2))
    assert again is not None
    assert again.state == "open"
    assert "dismissed by ana" in (refusal(again, said("confirm", "ben", 2)) or "")
    assert refusal(again, said("confirm", "ben", again.version)) is None


def test_an_action_without_a_version_and_one_on_an_expired_case_are_taken() -> None:
    """As programs of earlier versions write it, the last one counts; the clock is no analyst."""
    one = one_case()
    one.act(said("confirm", "ana", None), at(0))
    after = one.act(said("dismiss", "ben", None), at(1))
    assert after is not None
    assert (after.state, after.decided_by) == ("dismissed", "ben")
    other = one_case()
    expired = other.act(said("expire", "cases", 1), at(0))
    assert expired is not None
    assert refusal(expired, said("confirm", "ana", 1)) is None


def test_a_history_keeps_the_newest_decisions() -> None:
    """A record stays small, however often it is tried."""
    one = one_case()
    for offset in range(HISTORY_MAX + 5):
        one.act(said("confirm", f"analyst {offset}", 1), at(offset))
    (case,) = stored(one).values()
    assert (len(case.history), case.history[-1].by) == (HISTORY_MAX, f"analyst {HISTORY_MAX + 4}")
    assert case.decided_by == "analyst 0"


def test_a_case_of_loaded_history_waits_from_when_it_is_taken_in() -> None:
    """Alerts a year old expire no sooner than those of today, also after a restart."""
    one = desk()
    one.alert(alert(0, "a"), at(0, timestamp_ms=NOW_MS - 365 * DAY_MS, taken_in_ms=NOW_MS))
    heir = Desk(dict(one.cases), {}, one.limits)
    heir.recover()
    for each in (one, heir):
        assert list(each.due(NOW_MS + 14 * DAY_MS)) == []
        assert [action.action for _, action in each.due(NOW_MS + 15 * DAY_MS)] == ["expire"]


def test_a_case_of_an_earlier_version_waits_from_its_last_change() -> None:
    """Its records hold no time of the service's own."""
    (case,) = stored(one_case()).values()
    old = case.model_copy(update={"taken_in_at_ms": None, "changed_at_ms": NOW_MS - DAY_MS})
    assert waited_ms(old, NOW_MS) == DAY_MS


def test_a_case_that_changed_since_the_clock_looked_neither_expires_nor_is_forgotten() -> None:
    """The alert between the two counts."""
    one = one_case()
    ((_, expire),) = one.due(NOW_MS + 15 * DAY_MS)
    one.alert(alert(1, "a"), at(1))
    one.act(expire, at(0))
    assert stored(one)["0-0"].state == "open"
    one.act(said("confirm", "ana", 2), at(1))
    ((_, forget),) = one.due(NOW_MS + 99 * DAY_MS)
    one.alert(alert(2, "a"), at(2))
    one.act(forget, at(2))
    assert stored(one)["0-0"].alerts == 3


@pytest.fixture
def cases() -> list[Case]:
    """Of two cards, at three terminals."""
    one = desk()
    for offset in range(3):
        one.alert(alert(offset, "k1:aaaabbbbcccc"), at(offset))
    one.alert(alert(0, "k1:ddddeeeeffff"), at(3))
    return list(stored(one).values())


def test_only_a_card_or_terminal_that_a_case_has_can_be_muted(cases: list[Case]) -> None:
    """Else one sentence: the near ones of terminals, and for an id as lists show it the number of its case."""
    assert unknown_target(cases, "card", "k1:aaaabbbbcccc", MASK) is None
    assert unknown_target(cases, "terminal", "terminal-2", MASK) is None
    assert unknown_target(cases, "card", masked("k1:ddddeeeeffff"), MASK) == (
        "***ffff is an id as lists show it, not a whole one: name its case instead: 0-3."
    )
    assert "(near: terminal-" in (unknown_target(cases, "terminal", "terminal-9", MASK) or "")
    unknown = unknown_target(cases, "card", "k1:aaaabbbbcccd", MASK) or ""
    assert unknown.startswith("No case has the card k1:aaaabbbbcccd: `assay cases list`")
    assert "cccc" not in unknown


def test_a_cards_newest_case_is_its_handle(cases: list[Case]) -> None:
    """A masked card is named by a number."""
    newest = newest_case(cases, "k1:ddddeeeeffff")
    assert newest is not None
    assert newest.case_id == "0-3"
    assert newest_case(cases, "other") is None
