"""Who works a case, what is escalated, and what is written beside it. Pure: none of it decides anything."""

import pytest

from schemas.case import HISTORY_MAX
from services.cases.desk import Desk
from services.cases.rules import is_refusal, is_work
from services.cases.webhook import worth_telling
from tests.services.cases.test_desk import DAY_MS, NOW_MS, at, stored
from tests.services.cases.test_rules import one_case, said
from tests.services.cases.test_stream import alert


def history(desk: Desk) -> list[tuple[str, str, bool]]:
    """What happened to the case, by whom, and whether it was refused."""
    return [(line.action, line.by, line.refused) for line in stored(desk)["0-0"].history]


def test_a_case_is_taken_once_and_another_needs_to_overrule_or_wait_until_it_is_released() -> None:
    """Of two who take it at once the second is refused; a lead assigns all the same; released, it is anyone's."""
    desk = one_case()
    desk.act(said("assign", "ana", 1, assignee="ana"), at(0))
    desk.act(said("assign", "ben", 1, assignee="ben"), at(1))
    assert (stored(desk)["0-0"].assignee, is_refusal(stored(desk)["0-0"])) == ("ana", True)
    desk.act(said("assign", "ana", 1, assignee="ana"), at(2))
    assert not is_refusal(stored(desk)["0-0"]), "one's own again"
    desk.act(said("assign", "lena", None, assignee="ben", overrule=True), at(3))
    assert stored(desk)["0-0"].assignee == "ben"
    desk.act(said("assign", "ben", None), at(4))
    assert stored(desk)["0-0"].assignee is None
    desk.act(said("assign", "ana", None, assignee="ana"), at(5))
    assert stored(desk)["0-0"].assignee == "ana"
    assert history(desk)[1] == ("assign", "ben", True)


@pytest.mark.parametrize("action", ["assign", "escalate", "note"])
def test_work_changes_neither_state_labels_nor_the_time_that_a_case_has_waited(action: str) -> None:
    """No one is told; a case that is decided keeps its decision; what the log repeats is taken in once."""
    desk = one_case()
    before = stored(desk)["0-0"]
    work = said(action, "ana", None, note="called", assignee="ana")
    assert desk.labels(work, at(0)) == []
    after = desk.act(work, at(0))
    assert after is not None
    kept = ("state", "change", "changed_at_ms", "taken_in_at_ms", "decided_by", "decided_version", "amount", "priority")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert (after.version, is_work(after), worth_telling(after)) == (2, True, False)
    assert desk.act(work, at(0)) is None
    desk.act(said("confirm", "ana", 2), at(1))
    desk.act(said(action, "ben", None, note="and again", assignee="ana"), at(2))
    assert (stored(desk)["0-0"].state, stored(desk)["0-0"].decided_by) == ("confirmed", "ana")
    assert list(desk.due(NOW_MS + 10 * DAY_MS)) == []


def test_an_escalation_stays_over_alerts_decisions_and_a_second_one() -> None:
    """It is a mark that comes first in the queue, not a state."""
    desk = one_case()
    desk.act(said("escalate", "ana", 1, note="large"), at(0))
    desk.act(said("escalate", "ben", 1), at(1))
    desk.alert(alert(1, "a"), at(1))
    desk.act(said("dismiss", "lena", None), at(2))
    case = stored(desk)["0-0"]
    assert (case.escalated, case.state, case.history[0].note) == (True, "dismissed", "large")
    assert history(desk) == [("escalate", "ana", False), ("escalate", "ben", False), ("dismiss", "lena", False)]


def test_a_history_holds_the_newest_lines_alone() -> None:
    """Notes without end push out the oldest, and the record stays within its bound."""
    desk = one_case()
    for number in range(HISTORY_MAX + 5):
        desk.act(said("note", "ana", None, note=f"note {number}"), at(number))
    lines = stored(desk)["0-0"].history
    assert [lines[0].note, lines[-1].note, len(lines)] == ["note 5", f"note {HISTORY_MAX + 4}", HISTORY_MAX]


def test_work_on_a_case_that_is_not_there_changes_nothing() -> None:
    """It was forgotten meanwhile, or never was."""
    desk = one_case()
    for action in ("assign", "escalate", "note", "approve", "reject"):
        assert desk.act(said(action, "ana", None, case_id="3-77"), at(9)) is None
    assert set(stored(desk)) == {"0-0"}
