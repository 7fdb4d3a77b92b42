"""Which decisions and mutes are taken. Pure, for the case service and for whatever writes actions: a command, a page."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from difflib import get_close_matches

from schemas.case import WORK, Case, CaseAction, MuteScope

NEAR_MAX = 3

VERBS = {"confirm": "confirmed", "dismiss": "dismissed"}


def refusal(case: Case, action: CaseAction) -> str | None:
    """Who decided otherwise, and when, where an analyst's decision is in effect that the action does not overrule.

    In effect: while the case is confirmed or dismissed, and against an analyst who saw only an earlier version of it. An action
    without a version is taken as it is: earlier versions of Assay write none. A case that another works is not assigned.
    """
    if action.action == "assign":
        taken = case.assignee not in (None, action.by, action.assignee) and not action.overrule
        return f"assigned to {case.assignee}" if taken else None
    if action.action not in ("confirm", "dismiss") or action.case_version is None or action.overrule:
        return None
    if case.state in ("confirmed", "dismissed") or case.decided_version > action.case_version:
        return standing(case)
    return None


def standing(case: Case) -> str:
    """The decision in effect, in words: who, what, when."""
    last = next((d for d in reversed(case.history) if not d.refused and d.action in VERBS), None)
    verb: str = case.state
    by, at_ms = case.decided_by or "somebody", case.decided_at_ms or case.changed_at_ms
    if last is not None:  # a case of an earlier version has no history
        verb, by, at_ms = VERBS[last.action], last.by, last.at_ms
    return f"{verb} by {by} at {moment(at_ms)}"


def is_refusal(case: Case) -> bool:
    """Whether this record of the case says only that a decision was refused."""
    return bool(case.history) and case.history[-1].refused and case.history[-1].version == case.version


def is_work(case: Case) -> bool:
    """Whether this record says only that a case was assigned, escalated or written about."""
    return bool(case.history) and case.history[-1].action in WORK and case.history[-1].version == case.version


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
