"""Decisions and labels, of payments and of applications, as evidence: what the ledger keeps, and how much each counts. Pure."""

from typing import Any

from schemas.base import EventTimeMs, Identifier, Message, Number, Probability, Share
from schemas.credit import ChallengerOutcome, CreditOutcome
from schemas.credit_label import CreditLabel
from schemas.decision import ChallengerScore
from schemas.label import Label
from schemas.monitor import Evidence, Judged, LabelEvidence
from schemas.score import PolicyName, RuleNames


class RecordedDecision(Message):
    """All that is decoded of a decision."""

    transaction_id: Identifier
    event_time_ms: EventTimeMs
    probability: Probability
    alert: bool
    model: str
    let_through: bool = False
    sample_share: Share = 1.0
    control_share: Share = 0.0
    challenger: ChallengerScore | None = None
    policy: PolicyName | None = None
    rules: RuleNames = ()
    shadow_rules: RuleNames = ()
    amount: Number | None = None


class DecidedApplication(Message):
    """All that is decoded of a decision on credit."""

    application_id: Identifier
    event_time_ms: EventTimeMs
    probability: Probability
    outcome: CreditOutcome
    model: str
    challenger: ChallengerOutcome | None = None
    policy: PolicyName | None = None
    rules: RuleNames = ()
    shadow_rules: RuleNames = ()


def weight(decision: RecordedDecision) -> float:
    """How many payments a recorded one represents: 1 / its chance to be recorded and seen to its end (Horvitz-Thompson).

    Where alerts are blocked, a blocked payment never shows what it was. Only the control group does, for all of them.
    """
    if not decision.alert:
        return 1.0 / decision.sample_share if decision.sample_share else 0.0
    if decision.control_share:
        return 1.0 / decision.control_share if decision.let_through else 0.0
    return 1.0


def of_decision(decision: RecordedDecision) -> list[Evidence]:
    """How a payment was scored, by the champion and by the challenger beside it.

    Both weigh the same: whether a decision is recorded and seen to its end does not depend on the challenger.
    """
    said = [(decision.model, decision.probability, decision.alert)]
    if decision.challenger is not None:
        challenger = decision.challenger
        said.append((challenger.model, challenger.probability, challenger.alert))
    return _judged(decision.transaction_id, decision, said, weight(decision), decision.amount)


def of_label(label: Label, partition: int, offset: int) -> Evidence:
    """What a payment turned out to be. partition, offset: on `labels`."""
    return _told(label.transaction_id, label, partition, offset)


def of_application(decision: DecidedApplication) -> list[Evidence]:
    """How an application was scored, by the champion and by the challenger. Each is recorded, so each stands for itself."""
    said = [(one.model, one.probability, one.outcome != "approve") for one in (decision, decision.challenger) if one]
    return _judged(decision.application_id, decision, said, 1.0)


def of_credit_label(label: CreditLabel, partition: int, offset: int) -> Evidence:
    """What became of an application's loan. partition, offset: on `credit-labels`."""
    return _told(label.application_id, label, partition, offset)


def _judged(
    judged_id: str,
    decision: RecordedDecision | DecidedApplication,
    said: list[tuple[str, float, bool]],
    counts: float,
    amount: float | None = None,
) -> list[Evidence]:
    """said: of each model its name, its probability, and whether it is against it. counts: how many the decision stands for."""
    ruled = _ruled(decision)
    return [
        Evidence(
            transaction_id=judged_id,
            judged=Judged(
                model=model,
                event_time_ms=decision.event_time_ms,
                probability=probability,
                alert=alert,
                weight=counts,
                amount=amount,
                **(ruled if model == decision.model else {}),  # once a decision, not for the challenger again
            ),
        )
        for model, probability, alert in said
    ]


def _told(judged_id: str, label: Label | CreditLabel, partition: int, offset: int) -> Evidence:
    told = LabelEvidence(
        verdict=label.verdict,
        labelled_at_ms=label.labelled_at_ms,
        event_time_ms=label.event_time_ms,
        partition=partition,
        offset=offset,
    )
    return Evidence(transaction_id=judged_id, told=told)


def _ruled(decision: RecordedDecision | DecidedApplication) -> dict[str, Any]:
    rules, shadow_rules = decision.rules, decision.shadow_rules
    if not (rules or shadow_rules):
        return {}
    return {"policy": decision.policy, "rules": rules, "shadow_rules": shadow_rules}
