"""What is shown of policies: which are active, and how often each rule holds."""

from collections import Counter
from collections.abc import Mapping
from itertools import chain

from models.policy.program import Program
from schemas.control import PolicyChannel
from services.observability.risk_metrics import RiskMetrics

Names = Mapping[int, tuple[str, ...]]
"""Rules that hold, by row."""


class ShownPolicies:
    """Which are active, and a count from 0 on for each rule of the one that decides: one that never holds is seen."""

    def __init__(self, risk: RiskMetrics) -> None:
        self._risk = risk
        self._rules: set[tuple[str, str]] = set()

    def show(self, held: Mapping[PolicyChannel, Program | None]) -> None:
        """What the channels hold now."""
        self._risk.policy.clear()
        for channel, program in held.items():
            if program is not None:
                self._risk.policy.labels(program.name, channel).set(1)
        deciding = held["policy"]
        now: set[tuple[str, str]] = {(rule.name, rule.state) for rule in deciding.rules} if deciding else set()
        for labels in self._rules - now:
            self._risk.rule_hits.remove(*labels)
        for labels in now:
            self._risk.rule_hits.labels(*labels)
        self._rules = now


def count_rule_hits(risk: RiskMetrics, rules: Names, shadow_rules: Names) -> None:
    """Of one batch: rules that are on, and those in shadow."""
    for state, held in (("on", rules), ("shadow", shadow_rules)):
        for rule, hits in Counter(chain.from_iterable(held.values())).items():
            risk.rule_hits.labels(rule, state).inc(hits)
