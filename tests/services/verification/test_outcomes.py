"""Outcomes of credit judged again by scores, rules, thresholds and policy."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from models.policy.policy_file import parse_policy
from schemas.credit import CreditOutcome
from services.verification.oracle import Ledger, Mark
from services.verification.outcomes import OutcomeRule, mark_of_outcome
from tests.services.harness import ROOT

POLICY = parse_policy((ROOT / "docs/examples/credit_policy.yaml").read_text())
NAME = "credit/1@0123456789ab"


@dataclass
class Said:
    """What a decision says."""

    outcome: CreditOutcome = "approve"
    rules: tuple[str, ...] = ()
    probability: float = 0.1
    anomaly_percentile: float = 1.0
    policy: str | None = NAME
    model: str = "credit/1@cpu"
    shadow_rules: tuple[str, ...] = ()
    unread_attributes: tuple[str, ...] = ()
    probability_threshold: float = 0.3
    anomaly_percentile_threshold: float = 99.0


SOUND = [
    Said(),
    Said("decline", probability=0.3),
    Said("refer", anomaly_percentile=99.0),
    Said("decline", ("months_late",)),
    Said("decline", ("age_unknown", "months_late"), anomaly_percentile=99.5),
    Said("refer", unread_attributes=("AGE",)),
    Said("decline", ("months_late",), unread_attributes=("AGE",)),
    Said(shadow_rules=("large_limit",)),
    Said(policy=None),
    Said("decline", policy=None, probability=0.9),
    Said("refer", policy=None, anomaly_percentile=99.9),
]
WRONG = [
    Said("decline"),
    Said(probability=0.3),
    Said(rules=("months_late",)),
    Said("refer", ("months_late",)),
    Said("decline", ("large_limit",)),
    Said("decline", ("no_such_rule",)),
    Said(unread_attributes=("AGE",)),
    Said("refer", policy=None),
]


@pytest.mark.parametrize("said", SOUND)
def test_an_outcome_that_policy_and_scores_give_is_sound(said: Said) -> None:
    """By any reader who has the policy."""
    rule = OutcomeRule(lambda name: POLICY)
    rule.add("applications-0@7", said)
    assert rule.judge().clean


@pytest.mark.parametrize("said", WRONG)
def test_an_outcome_that_they_do_not_give_is_misjudged(said: Said) -> None:
    """With the place of one."""
    rule = OutcomeRule(lambda name: POLICY)
    rule.add("applications-0@7", said)
    verdict = rule.judge()
    assert (verdict.misjudged, verdict.examples["misjudged"][0].split(":")[0]) == (1, "applications-0@7")


def test_thresholds_that_are_not_those_of_what_decided_are_misjudged_and_a_policy_not_to_be_had_is_counted() -> None:
    """The policy's own where it has any, else of one model always the same."""
    own = POLICY.model_copy(update={"thresholds": POLICY.thresholds.model_copy(update={"probability": 0.5})})
    rule = OutcomeRule(lambda name: own)
    rule.add("a", Said())
    assert rule.judge().misjudged == 1
    rule = OutcomeRule()
    rule.add("a", Said())
    assert (rule.judge().misjudged, rule.judge().unruled) == (0, 1)
    rule.add("b", Said(policy=None))
    rule.add("c", Said(policy=None, probability_threshold=0.4))
    assert rule.judge().misjudged == 1


def test_a_score_that_says_another_outcome_or_other_rules_than_its_decision_is_inconsistent() -> None:
    """Whatever the policy says of it."""
    score = Said("decline", ("months_late",))
    for decision in (replace(score, outcome="refer"), replace(score, rules=()), replace(score, probability=0.2)):
        ledger = Ledger("applications-0", 0, 1)
        ledger.add_inputs(np.array([0]))
        for mark, said in ((Mark.SCORE, score), (Mark.DECISION, decision)):
            ledger.add_outputs(mark, np.array([0]))
            ledger.add_said(mark, np.array([0]), np.array([mark_of_outcome(said)], np.uint32))
        assert ledger.judge(1, every_decision=True).inconsistent == 1
