"""Actions checked as alerts are: score, alert and decision say the same, and it is what the policy makes of scores and rules.

A score names the policy, the rules that held and both scores. So any reader who has the policy finds its action and its alert
again, without the features; that the rules held is for a replay to find.
"""

import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from schemas.policy import ACTIONS, Action, Policy, most_severe
from services.verification.verdict import EXAMPLES_MAX, Verdict

Pair = tuple[float, float]
"""Probability and anomaly percentile."""

Policies = Callable[[str], Policy | None]
"""The policy of a name that outputs have; None where it is not to be had."""


class Said(Protocol):
    """What an output says of a policy."""

    policy: str | None
    action: Action | None
    withheld_action: Action | None
    rules: Sequence[str]
    shadow_rules: Sequence[str]


class Scored(Said, Protocol):
    """The same of a score."""

    model: str
    probability: float
    anomaly_percentile: float
    alert: bool
    thresholds: Sequence[float]


def mark_of(said: Said) -> int:
    """A number that differs where outputs of one payment do not say the same of the policy; 0 without one."""
    if said.policy is None:
        return 0
    return mark(said.policy, said.action, said.withheld_action, tuple(said.rules), tuple(said.shadow_rules))


def mark(policy: str, *words: object) -> int:
    """The same of its parts."""
    return zlib.crc32(repr((policy, *words)).encode()) or 1


def no_policy(name: str) -> Policy | None:
    """Where none is to be had."""
    return None


class _Kind(NamedTuple):
    """Scores that differ in nothing but their values."""

    partition: str
    model: str
    policy: str
    rules: tuple[str, ...]
    action: Action | None
    alert: bool
    thresholds: tuple[float, ...]


class ActionRule:
    """Scores of policies, judged again, by kinds: there are few, and each is judged at once."""

    def __init__(self, policies: Policies = no_policy) -> None:
        self._policies = policies
        self._thresholds: dict[tuple[str, str], Pair] = {}
        self._scores: dict[_Kind, tuple[array[int], array[float]]] = {}

    def add_scores(self, name: str, offsets: Iterable[int], scores: Iterable[Scored]) -> None:
        """Scores of the input partition `name` that name a policy, by their source offsets."""
        for offset, score in zip(offsets, scores, strict=True):
            said = score.withheld_action or score.action
            rules, thresholds = tuple(score.rules), tuple(score.thresholds)
            kind = _Kind(name, score.model, score.policy or "", rules, said, score.alert, thresholds)
            at, values = self._scores.setdefault(kind, (array("q"), array("f")))
            at.append(offset)
            values.extend((score.probability, score.anomaly_percentile))

    def add_thresholds(self, model: str, policy: str, thresholds: Pair) -> None:
        """What one decision names."""
        self._thresholds.setdefault((model, policy), thresholds)

    def judge(self) -> Verdict:
        """misjudged: actions and alerts that the policy does not give; unruled: its policy or thresholds are not to be had."""
        verdict = Verdict()
        for kind, (at, values) in self._scores.items():
            policy = self._policies(kind.policy)
            bounds = self._bounds(kind, policy)
            if policy is None or bounds is None:
                verdict.unruled += len(at)
                continue
            # compared in float32, the precision of the scores
            crossed = np.frombuffer(values, np.float32).reshape(-1, 2) >= np.array(bounds, np.float32)
            wrong = np.zeros(len(at), np.bool_)
            for both in ((False, False), (False, True), (True, False), (True, True)):
                if ruled(policy, kind.rules, both) != (kind.action, kind.alert):
                    wrong |= (crossed == both).all(axis=1)
            wrong |= not within(policy, kind.thresholds)
            offsets = np.frombuffer(at, np.int64)[wrong]
            found = (
                f"{kind.partition}@{offset}: {kind.policy} says otherwise" for offset in offsets[:EXAMPLES_MAX].tolist()
            )
            verdict.note("misjudged", len(offsets), *found)
        return verdict

    def _bounds(self, kind: _Kind, policy: Policy | None) -> Pair | None:
        if len(kind.thresholds) == 2:  # a budget moves them
            return kind.thresholds[0], kind.thresholds[1]
        own = policy.thresholds if policy is not None else None
        if own is not None and own.probability is not None and own.anomaly_percentile is not None:
            return own.probability, own.anomaly_percentile
        return self._thresholds.get((kind.model, kind.policy))


def within(policy: Policy, thresholds: Sequence[float]) -> bool:
    """Whether the thresholds that a score names are the policy's own, or within the bounds of its budget."""
    budget, own = policy.budget, policy.thresholds
    if not thresholds or budget is None:
        return not thresholds and budget is None
    of_both = (
        (thresholds[0], own.probability, budget.probability),
        (thresholds[1], own.anomaly_percentile, budget.anomaly_percentile),
    )
    # without a threshold of its own a policy begins with the bundle's
    return all(
        fixed is None or value == fixed or (bounds is not None and bounds.lowest <= value <= bounds.highest)
        for value, fixed, bounds in of_both
    )


def ruled(policy: Policy, held: Sequence[str], crossed: tuple[bool, bool]) -> tuple[Action | None, bool]:
    """The action, before the control group, and whether there is an alert; None where a rule is not the policy's.

    held: rules that are on and hold. crossed: whether probability and percentile cross their thresholds.
    """
    rules = {rule.name: rule for rule in policy.rules if rule.state == "on"}
    if not rules.keys() >= set(held):
        return None, False
    asked = [rules[name].action for name in held]
    if "approve" in asked:
        return "approve", False
    of_scores = (policy.actions.probability, policy.actions.anomaly_percentile)
    by_score = [action for action, over in zip(of_scores, crossed, strict=True) if over]
    action = most_severe(*(by_score or [policy.actions.otherwise]), *asked)
    looked_at = any(ACTIONS.index(one) >= ACTIONS.index("review") for one in asked)
    return action, any(crossed) or looked_at
