"""Which decisions and mutes are taken. Pure, for the case service and for whatever writes actions: a command, a page."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from schemas.case import WORK, Case, CaseAction, MuteScope
from schemas.person import same_person
from schemas.times import EVENT_TIME_MS_MAX

NEAR_MAX = 3

VERBS = {"confirm": "confirmed", "dismiss": "dismissed"}


@dataclass(frozen=True, slots=True)
class SecondPerson:
    """Which decisions need one: those on cases of this amount or more. keep_ms: so long a request waits."""

    amount_min: float
    keep_ms: int

    def asked(self, case: Case) -> bool:
        """Whether a decision on the case needs a second person."""
        return case.amount >= self.amount_min

    def expires_at_ms(self, at_ms: int) -> int:
        """When a request of this time is over."""
        return min(at_ms + self.keep_ms, EVENT_TIME_MS_MAX)


def decision_of(case: Case, action: CaseAction, at_ms: int, second: SecondPerson | None) -> CaseAction | None:
    """The decision that an action makes: its own, or the one that it approves. None where it makes none, or asks for one."""
    if refusal(case, action, at_ms) is not None:
        return None
    if action.action == "approve":
        assert case.pending is not None, "an approval of nothing is refused"
        asked = case.pending
        fields = {"action": asked.action, "by": asked.by, "note": asked.note, "overrule": True, "case_version": None}
        return action.model_copy(update=fields)
    if action.action not in VERBS or (second is not None and second.asked(case)):
        return None
    return action


def refusal(case: Case, action: CaseAction, at_ms: int | None = None) -> str | None:
    """Who decided otherwise, and when, where an analyst's decision is in effect that the action does not overrule.

    In effect: while the case is confirmed or dismissed, and against an analyst who saw only an earlier version of it. An action
    without a version is taken as it is: earlier versions of Assay write none. A case that another works is not assigned. No one
    approves what they asked for themselves, and nothing twice. at_ms: of the action; None: no request is over yet.
    """
    if action.action in ("approve", "reject"):
        return _not_second(case, action, at_ms)
    if action.action in VERBS and _waits(case, at_ms) and not (action.overrule or is_same(case, action)):
        return waiting(case)
    if action.action == "assign":
        taken = case.assignee not in (None, action.by, action.assignee) and not action.overrule
        return f"assigned to {case.assignee}" if taken else None
    if action.action not in ("confirm", "dismiss") or action.case_version is None or action.overrule:
        return None
    if case.state in ("confirmed", "dismissed") or case.decided_version > action.case_version:
        return standing(case)
    return None


def _not_second(case: Case, action: CaseAction, at_ms: int | None) -> str | None:
    """Why an action is no second person's, in words."""
    if case.pending is None or action.request_offset not in (None, case.pending.offset):
        return "no longer waiting for a second person"
    if action.action == "reject":  # who asked may take it back
        return None
    if is_same(case, action):
        return f"{waiting(case)}: another person has to approve it"
    if not _waits(case, at_ms):
        return f"over: {waiting(case)}, until {moment(case.pending.expires_at_ms)}"
    return None


def _waits(case: Case, at_ms: int | None) -> bool:
    return case.pending is not None and (at_ms is None or at_ms < case.pending.expires_at_ms)


def is_same(case: Case, action: CaseAction) -> bool:
    """Whether who acts is who asked."""
    return case.pending is not None and same_person(case.pending.by, action.by)


def waiting(case: Case) -> str:
    """The decision that waits for a second person, in words."""
    assert case.pending is not None
    return f"waiting for a second person ({case.pending.action}, asked for by {case.pending.by})"


def standing(case: Case) -> str:
    """The decision in effect, in words: who, what, when."""
    last = next((d for d in reversed(case.history) if not (d.refused or d.asked) and d.action in VERBS), None)
    verb: str = case.state
    by, at_ms = case.decided_by or "somebody", case.decided_at_ms or case.changed_at_ms
    if last is not None:  # a case of an earlier version has no history
        verb, by, at_ms = VERBS[last.action], last.by, last.at_ms
    return f"{verb} by {by} at {moment(at_ms)}"


def is_refusal(case: Case) -> bool:
    """Whether this record of the case says only that a decision was refused."""
    return bool(case.history) and case.history[-1].refused and case.history[-1].version == case.version


def is_work(case: Case) -> bool:
    """Whether this record says only that a case was assigned, escalated, written about, or a decision asked for or rejected."""
    last = case.history[-1] if case.history else None
    if last is None or last.version != case.version:
        return False
    return last.asked or last.action in WORK or last.action == "reject"


def waited_ms(case: Case, now_ms: int) -> int:
    """How long nothing has happened to a case, since the service took in what happened last: not by the log's times."""
    since_ms = case.changed_at_ms if case.taken_in_at_ms is None else case.taken_in_at_ms
    return now_ms - since_ms


def unknown_target(cases: Iterable[Case], scope: MuteScope, muted_id: str, shown: str = "") -> str | None:
    """Why a card or terminal cannot be muted: no case has it. None where one does.

    shown: how lists show masked ids begin, so that a masked id copied from a list is answered with its case's number.
    """
    cases = list(cases)
    known = {case.card_id for case in cases} if scope == "card" else terminals(cases)
    if muted_id in known:
        return None
    if scope == "card" and shown and muted_id.startswith(shown):
        tail = muted_id.removeprefix(shown)
        numbers = sorted(case.case_id for case in cases if tail and case.card_id.endswith(tail))[:NEAR_MAX]
        hint = f"name its case instead: {' or '.join(numbers)}" if numbers else "name a case instead"
        return f"{muted_id} is an id as lists show it, not a whole one: {hint}."
    near = "" if scope == "card" else _near(muted_id, known)
    return (
        f"No case has the {scope} {muted_id}{near}: `assay cases list` shows the cases; a case's number mutes its card."
    )


def newest_case(cases: Iterable[Case], card_id: str) -> Case | None:
    """The card's case with the newest alert, which is the handle of a card whose id lists mask."""
    return max((case for case in cases if case.card_id == card_id), key=lambda case: case.alert_offset, default=None)


def terminals(cases: Iterable[Case]) -> set[str]:
    """Where the listed alerts of cases happened."""
    return {alert.terminal_id for case in cases for alert in case.listed}


def _near(unknown: str, known: Collection[str]) -> str:
    """Cards are not compared: near ones of pseudonyms mean nothing, and would show whole ids."""
    near = get_close_matches(unknown, sorted(known), NEAR_MAX)
    return f" (near: {', '.join(near)})" if near else ""


def moment(at_ms: int) -> str:
    """A time for people, to the second."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
