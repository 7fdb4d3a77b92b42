"""Scores and a policy to outcomes, and what is behind each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.policy.applications import ApplicationColumns
from models.policy.program import REVIEW, Batch, Program, Truth, thresholds_of
from models.scoring.scores import Scores, crossed
from schemas.alert import Trigger
from schemas.application import Application
from schemas.credit import ADVERSE_ACTIONS_MAX, OUTCOMES, CreditOutcome
from schemas.manifest import Thresholds
from schemas.policy import ACTIONS, Action, Policy, Severity
from services.credit.decide import TRIGGERS, outcomes

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")

Names = dict[int, tuple[str, ...]]
"""By row; rows without any are left out."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The outcome of each of n applications, and what is behind it.

    triggers: the score that asked for an outcome that needs reasons, by row. program: of the policy; None where thresholds
    alone decide. unread: attributes that its conditions read and that are of another type. adverse: what rules tell applicants.
    """

    outcomes: Sequence[CreditOutcome]
    triggers: dict[int, Trigger]
    thresholds: Thresholds
    program: Program | None = None
    rules: Names = field(default_factory=dict)
    shadow_rules: Names = field(default_factory=dict)
    unread: Names = field(default_factory=dict)
    adverse: Names = field(default_factory=dict)


def decide(
    program: Program | None,
    applications: Sequence[Application],
    features: NDArray[np.float32],
    scores: Scores,
    of_bundle: Thresholds,
) -> Decided:
    """What is decided about applications. of_bundle: the bundle's thresholds."""
    if program is None:
        found = outcomes(scores, of_bundle)
        triggers = {row: TRIGGERS[outcome] for row, outcome in enumerate(found) if outcome in TRIGGERS}
        return Decided(found, triggers, of_bundle)
    policy = program.policy
    thresholds = thresholds_of(program, of_bundle)
    by_probability, by_anomaly = crossed(scores, thresholds)
    columns = ApplicationColumns(program, applications)
    batch = Batch(columns, features, scores.probability, scores.anomaly_percentile)
    ruling = program.rule(batch, by_probability, by_anomaly)
    actions = ruling.action.copy()
    unread = list(columns.unread)
    actions[unread] = np.maximum(actions[unread], REVIEW)  # a rule that could not be judged approves no one
    said = [ACTIONS[number] for number in actions.tolist()]
    triggers = _triggers(policy, said, by_probability, by_anomaly)
    adverse = {row: words for row, names in ruling.rules.items() if (words := _adverse(policy, said[row], names))}
    found = [OUTCOMES[action] for action in said]
    return Decided(found, triggers, thresholds, program, ruling.rules, ruling.shadow_rules, columns.unread, adverse)


def _triggers(policy: Policy, said: Sequence[Action], by_probability: Truth, by_anomaly: Truth) -> dict[int, Trigger]:
    """Where a score asked for the very outcome: which, the probability before the percentile."""
    found: dict[int, Trigger] = {}
    asked: tuple[tuple[Trigger, Action, Truth], ...] = (
        ("anomaly_percentile", policy.actions.anomaly_percentile, by_anomaly),
        ("probability", policy.actions.probability, by_probability),
    )
    for trigger, action, where in asked:
        rows = np.flatnonzero(where).tolist()
        found |= {row: trigger for row in rows if said[row] == action != "approve"}
    return dict(sorted(found.items()))


def _adverse(policy: Policy, action: Action, names: Sequence[str]) -> tuple[str, ...]:
    """What applicants are told of the rules that asked for the outcome, the most severe first."""
    rules = [rule for rule in policy.rules if rule.name in names and rule.action == action and rule.adverse_action]
    rules.sort(key=lambda rule: SEVERITIES.index(rule.severity))
    return tuple(rule.adverse_action or "" for rule in rules[:ADVERSE_ACTIONS_MAX])
