"""Stage 1: what one alert or action does to one case. Pure: given every time, so the same log makes the same cases."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas import codec
from schemas.alert import Alert, ShownAttribute
from schemas.base import COUNT_MAX
from schemas.case import (
    ALERTS_MAX,
    HISTORY_MAX,
    WORK,
    Case,
    CaseAction,
    CaseAlert,
    CaseChange,
    CaseDecision,
    CaseReason,
    CaseState,
    PendingDecision,
)
from schemas.times import EVENT_TIME_MS_MAX
from services.cases.rules import SecondPerson, decision_of, refusal

REASONS_MAX = 4

DECIDED: dict[str, CaseState] = {"confirm": "confirmed", "dismiss": "dismissed", "expire": "expired"}


@dataclass(frozen=True, slots=True)
class Source:
    """The position of an alert or action in the log. timestamp_ms: of its record. taken_in_ms: the service's own clock.

    taken_in_ms is written with the case, and read only for expiry.
    """

    partition: int
    offset: int
    timestamp_ms: int
    taken_in_ms: int


def opened(alert: Alert, source: Source, window_ms: int) -> Case:
    """A new case of a card's first alert."""
    fields = {
        "case_id": f"{source.partition}-{source.offset}",
        "card_id": alert.card_id,
        "state": "open",
        "change": "opened",
        "version": 1,
        "priority": _at_risk(alert),
        "opened_at_ms": source.timestamp_ms,
        "changed_at_ms": source.timestamp_ms,
        "taken_in_at_ms": source.taken_in_ms,
        "window_start_ms": alert.event_time_ms,
        "window_end_ms": min(alert.event_time_ms + window_ms, EVENT_TIME_MS_MAX),
        "alerts": 1,
        "amount": alert.amount,
        "listed": (_listed(alert),),
        "reasons": _reasons((), _named(alert)),
        "model": alert.model,
        "alert_offset": source.offset,
    }
    return codec.checked(Case, fields)


def joined(case: Case, alert: Alert, source: Source) -> Case:
    """The case with one more alert. It may open a closed case again, see `_reopens`; a confirmed one stays confirmed."""
    reopened = _reopens(case, alert)
    state: CaseState = "open" if reopened else case.state
    change: CaseChange = "reopened" if reopened else "alert"
    changes = {
        "state": state,
        "change": change,
        "version": case.version + 1,
        "priority": case.priority + _at_risk(alert),
        "changed_at_ms": source.timestamp_ms,
        "taken_in_at_ms": source.taken_in_ms,
        "alerts": case.alerts + 1,
        "amount": case.amount + alert.amount,
        "listed": case.listed if len(case.listed) >= ALERTS_MAX else (*case.listed, _listed(alert)),
        "reasons": _reasons(case.reasons, _named(alert)),
        "model": alert.model,
        "alert_offset": source.offset,
    }
    return _changed(case, changes)


def decided(case: Case, action: CaseAction, source: Source, second: SecondPerson | None = None) -> Case:
    """The case after confirm, dismiss, expire, or work on it; with the decision waiting where it needs a second person.

    What is not open, or changed since the clock looked, does not expire.
    """
    if action.action == "expire" and (case.state != "open" or action.case_version not in (None, case.version)):
        return _changed(case, {"action_offset": source.offset})
    if refusal(case, action, source.timestamp_ms) is not None:
        return _refused(case, action, source)
    if action.action in (*WORK, "reject"):
        return _worked(case, action, source)
    approved_by: str | None = None
    if action.action != "expire":
        decision = decision_of(case, action, source.timestamp_ms, second)
        if decision is None:
            assert second is not None, "only a rule has a decision wait"
            return _asked(case, action, source, second)
        approved_by, action = (action.by if action.action == "approve" else None), decision
    state = DECIDED[action.action]
    version = case.version + 1
    changes = {
        "state": state,
        "change": state,
        "version": version,
        "changed_at_ms": source.timestamp_ms,
        "taken_in_at_ms": source.taken_in_ms,
        "decided_by": action.by,
        "decided_at_ms": source.timestamp_ms,
        "decided_version": case.decided_version if action.action == "expire" else version,
        "note": action.note,
        "pending": None,
        "approved_by": approved_by,
        "action_offset": source.offset,
        "history": _history(case, action, source, refused=False, approved_by=approved_by),
    }
    return _changed(case, changes)


def _asked(case: Case, action: CaseAction, source: Source, second: SecondPerson) -> Case:
    """The case with the decision waiting: its state and its waiting time do not change."""
    pending = {
        "action": action.action,
        "by": action.by,
        "at_ms": source.timestamp_ms,
        "expires_at_ms": second.expires_at_ms(source.timestamp_ms),
        "note": action.note,
        "offset": source.offset,
    }
    changes = {
        "version": case.version + 1,
        "pending": codec.checked(PendingDecision, pending),
        "action_offset": source.offset,
        "history": _history(case, action, source, refused=False, asked=True),
    }
    return _changed(case, changes)


def _refused(case: Case, action: CaseAction, source: Source) -> Case:
    """The case with the refused attempt in its history: its state and its waiting time do not change."""
    history = _history(case, action, source, refused=True)
    return _changed(case, {"version": case.version + 1, "action_offset": source.offset, "history": history})


def _worked(case: Case, action: CaseAction, source: Source) -> Case:
    """The case with another assignee, a mark or a note: its state and its waiting time do not change."""
    changes: dict[str, Any] = {
        "version": case.version + 1,
        "action_offset": source.offset,
        "history": _history(case, action, source, refused=False),
    }
    if action.action == "assign":
        changes["assignee"] = action.assignee
    elif action.action == "escalate":
        changes["escalated"] = True
    elif action.action == "reject":
        changes["pending"] = None
    return _changed(case, changes)


def _history(
    case: Case,
    action: CaseAction,
    source: Source,
    *,
    refused: bool,
    asked: bool = False,
    approved_by: str | None = None,
) -> tuple[CaseDecision, ...]:
    fields = {
        "action": action.action,
        "by": action.by,
        "at_ms": source.timestamp_ms,
        "note": action.note,
        "refused": refused,
        "asked": asked,
        "approved_by": approved_by,
        "assignee": action.assignee,
        "version": case.version + 1,
        "offset": source.offset,
    }
    entry = codec.checked(CaseDecision, fields)
    return (*case.history, entry)[-HISTORY_MAX:]


def _changed(case: Case, changes: Mapping[str, Any]) -> Case:
    """Raises SchemaError where readers would refuse the result: a sum of amounts that is infinite, a time after 2100."""
    return codec.checked(Case, {**dict(case), **changes})


def _reopens(case: Case, alert: Alert) -> bool:
    """No one looked at an expired case; a dismissed one was judged on weaker evidence than a likelier fraud."""
    if case.state == "expired":
        return True
    likeliest = max((listed.probability for listed in case.listed), default=0.0)  # a forged case lists none
    return case.state == "dismissed" and alert.probability > likeliest


def _at_risk(alert: Alert) -> float:
    return max(alert.amount, 0.0) * alert.probability  # a refund puts no money at risk


SHOWN = tuple(ShownAttribute.model_fields)


def _listed(alert: Alert) -> CaseAlert:
    fields = {name: getattr(alert, name) for name in CaseAlert.model_fields}
    shown = tuple(ShownAttribute(**{name: getattr(one, name) for name in SHOWN}) for one in alert.attributes)
    return CaseAlert(**fields | {"attributes": shown})


RULE_CONTRIBUTION = 1.0
"""A rule that holds counts as much as a feature that moved a probability all the way."""


def _named(alert: Alert) -> tuple[CaseReason, ...]:
    """The rules that hold, in words, and the features behind the scores: each once, though both scores may name it."""
    rules = zip(alert.rules, alert.rule_words, strict=False)  # of another version there may be no words
    of_rules = [(name, words, RULE_CONTRIBUTION) for name, words in rules]
    of_scores = [(reason.feature, reason.text, reason.contribution) for reason in alert.reasons]
    once: dict[str, CaseReason] = {}
    for feature, text, contribution in (*of_rules, *of_scores):
        if feature not in once or contribution > once[feature].contribution:
            once[feature] = CaseReason(feature=feature, text=text, contribution=contribution, alerts=1)
    return tuple(once.values())


def _reasons(known: tuple[CaseReason, ...], new: tuple[CaseReason, ...]) -> tuple[CaseReason, ...]:
    """The features named most often, then the strongest; in words as the alert said that they moved most."""
    found = {reason.feature: reason for reason in known}
    for reason in new:
        before = found.get(reason.feature)
        if before is None or reason.contribution > before.contribution:
            text, contribution = reason.text, reason.contribution
        else:
            text, contribution = before.text, before.contribution
        alerts = min(1 + (before.alerts if before else 0), COUNT_MAX)
        found[reason.feature] = CaseReason(feature=reason.feature, text=text, contribution=contribution, alerts=alerts)
    ranked = sorted(found.values(), key=lambda reason: (-reason.alerts, -reason.contribution, reason.feature))
    return tuple(ranked[:REASONS_MAX])
