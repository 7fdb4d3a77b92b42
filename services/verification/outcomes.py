"""Outcomes of credit checked as alerts are: decision and score say the same, and it is what policy, rules and scores give.

A decision names its thresholds, its score the policy, the rules that held and both scores. So any reader who has the policy
finds each outcome again, without the features; that the rules held is for a replay to find.
"""

from collections import Counter
from typing import NamedTuple, Protocol

import numpy as np

from schemas.credit import OUTCOMES, CreditOutcome
from schemas.policy import Policy, most_severe
from services.verification.actions import Pair, Policies, mark, no_policy, ruled
from services.verification.verdict import Verdict


class Decided(Protocol):
    """What scores and decisions of applications say."""

    model: str
    probability: float
    anomaly_percentile: float
    outcome: CreditOutcome
    policy: str | None
    rules: tuple[str, ...]
    shadow_rules: tuple[str, ...]
    unread_attributes: tuple[str, ...]


class DecidedBy(Decided, Protocol):
    """What decisions say beside it."""

    probability_threshold: float
    anomaly_percentile_threshold: float


def mark_of_outcome(said: Decided) -> int:
    """A number that differs where outputs of one application do not say the same of it."""
    values = np.array([said.probability, said.anomaly_percentile], np.float32).tobytes()
    parts = said.rules, said.shadow_rules, said.unread_attributes
    return mark(said.policy or "", said.model, said.outcome, values, *parts)


class _Kind(NamedTuple):
    """Decisions that cannot differ in their verdict."""

    model: str
    policy: str | None
    rules: tuple[str, ...]
    unread: bool
    crossed: tuple[bool, bool]
    thresholds: Pair
    outcome: CreditOutcome


class OutcomeRule:
    """Decisions judged again, by kinds: there are few."""

    def __init__(self, policies: Policies = no_policy) -> None:
        self._policies = policies
        self._first: dict[_Kind, str] = {}
        self._counts: Counter[_Kind] = Counter()

    def add(self, position: str, decision: DecidedBy) -> None:
        """One decision. position: of its input, for the report."""
        bounds = decision.probability_threshold, decision.anomaly_percentile_threshold
        # compared in float32, the precision of the scores
        over_probability = np.float32(decision.probability) >= np.float32(bounds[0])
        over_percentile = np.float32(decision.anomaly_percentile) >= np.float32(bounds[1])
        crossed = bool(over_probability), bool(over_percentile)
        rules, unread = tuple(decision.rules), bool(decision.unread_attributes)
        kind = _Kind(decision.model, decision.policy, rules, unread, crossed, bounds, decision.outcome)
        self._counts[kind] += 1
        self._first.setdefault(kind, position)

    def judge(self) -> Verdict:
        """misjudged: outcomes that policy and thresholds do not give; unruled: the policy is not to be had."""
        verdict = Verdict()
        of_model: dict[str, Pair] = {}
        for kind, count in self._counts.items():
            if kind.policy is None:
                same = of_model.setdefault(kind.model, kind.thresholds) == kind.thresholds
                found: CreditOutcome | None = by_scores(kind.crossed)
            else:
                policy = self._policies(kind.policy)
                if policy is None:
                    verdict.unruled += count
                    continue
                same = _of_policy(policy, kind.thresholds)
                found = by_policy(policy, kind.rules, kind.crossed, unread=kind.unread)
            if not same:
                verdict.note("misjudged", count, f"{self._first[kind]}: thresholds that are not those of what decided")
            elif found != kind.outcome:
                verdict.note("misjudged", count, f"{self._first[kind]}: {kind.policy or kind.model} says otherwise")
        return verdict


def by_scores(crossed: tuple[bool, bool]) -> CreditOutcome:
    """What the thresholds alone give."""
    return "decline" if crossed[0] else "refer" if crossed[1] else "approve"


def by_policy(
    policy: Policy, held: tuple[str, ...], crossed: tuple[bool, bool], *, unread: bool
) -> CreditOutcome | None:
    """What the policy gives; None where a rule is not one of it that is on. held: those that hold.

    unread: some attribute that conditions read is of another type than they say.
    """
    action, _ = ruled(policy, held, crossed)
    return None if action is None else OUTCOMES[most_severe(action, "review") if unread else action]


def _of_policy(policy: Policy, thresholds: Pair) -> bool:
    own = policy.thresholds.probability, policy.thresholds.anomaly_percentile
    return all(wanted is None or wanted == found for wanted, found in zip(own, thresholds, strict=True))
