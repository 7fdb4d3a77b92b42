"""Actions judged again by scores, rules and policy."""

from dataclasses import dataclass

import numpy as np
import pytest

from schemas.policy import Action, Policy, PolicyThresholds, Rule, ScoreActions
from services.verification.actions import ActionRule, mark_of
from services.verification.oracle import Ledger, Mark

NAME = "fraud/1@0123456789ab"
POLICY = Policy(
    name="fraud",
    version=1,
    thresholds=PolicyThresholds(probability=0.5, anomaly_percentile=99.0),
    actions=ScoreActions(probability="review", anomaly_percentile="challenge"),
    rules=(
        Rule(name="stops", words="w", condition="amount > 1", action="decline", owner="me"),
        Rule(name="passes", words="w", condition="amount > 2", action="approve", owner="me"),
        Rule(name="tried", words="w", condition="amount > 3", action="decline", owner="me", state="shadow"),
    ),
)


@dataclass(frozen=True)
class Said:
    """What a score says."""

    action: Action
    alert: bool
    rules: tuple[str, ...] = ()
    probability: float = 0.1
    anomaly_percentile: float = 1.0
    withheld_action: Action | None = None
    shadow_rules: tuple[str, ...] = ()
    model: str = "fraud/1@cpu"
    policy: str | None = NAME
    thresholds: tuple[float, ...] = ()


SOUND = [
    Said("approve", False),
    Said("review", True, probability=0.5),
    Said("challenge", True, anomaly_percentile=99.5),
    Said("review", True, probability=0.9, anomaly_percentile=99.5),
    Said("decline", True, ("stops",)),
    Said("approve", False, ("stops", "passes"), probability=0.9),
    Said("approve", True, ("stops",), withheld_action="decline"),
    Said("approve", False, shadow_rules=("tried",)),
]
WRONG = [
    Said("decline", True),
    Said("approve", True),
    Said("approve", False, probability=0.5),
    Said("review", True, ("stops",)),
    Said("decline", False, ("stops",)),
    Said("decline", True, ("stops", "passes")),
    Said("decline", True, ("unknown",)),
    Said("decline", True, ("tried",)),
]


def misjudged(*scores: Said) -> int:
    rule = ActionRule({NAME: POLICY}.get)
    rule.add_scores("transactions-0", range(len(scores)), scores)
    return rule.judge().misjudged


def test_what_the_policy_says_is_sound() -> None:
    """Scores, rules, an approval that ends it, the control group, and what is in shadow."""
    assert misjudged(*SOUND) == 0


@pytest.mark.parametrize("score", WRONG)
def test_another_action_or_alert_than_the_policys_is_found(score: Said) -> None:
    """Among sound ones of the same kind."""
    assert misjudged(*SOUND, score) == 1


def test_without_its_policy_a_score_is_counted_and_not_judged() -> None:
    """So that it is said, and no one is blamed."""
    rule = ActionRule()
    rule.add_scores("transactions-0", [0, 1], WRONG[:2])
    verdict = rule.judge()
    assert (verdict.misjudged, verdict.unruled) == (0, 2)


def test_thresholds_that_the_policy_leaves_out_are_those_on_the_decisions() -> None:
    """The bundle's."""
    open_policy = POLICY.model_copy(update={"thresholds": PolicyThresholds()})
    rule = ActionRule({NAME: open_policy}.get)
    rule.add_scores("transactions-0", [0], [Said("review", True, probability=0.3)])
    assert rule.judge().unruled == 1
    rule.add_thresholds("fraud/1@cpu", NAME, (0.3, 99.0))
    verdict = rule.judge()
    assert (verdict.unruled, verdict.misjudged) == (0, 0)


def test_an_alert_that_says_another_action_than_its_score_is_inconsistent() -> None:
    """So is one that says none, and a decision with other rules."""
    one, other = Said("decline", True, ("stops",)), Said("review", True, ("stops",))
    for kind, said, damage in ((Mark.ALERT, one, 0), (Mark.ALERT, other, 1), (Mark.DECISION, None, 1)):
        ledger = Ledger("transactions-0", 0, 1)
        ledger.add_inputs(np.array([0]))
        ledger.add_outputs(Mark.SCORE, np.array([0]), np.array([True]))
        ledger.add_outputs(Mark.ALERT, np.array([0]))
        ledger.add_outputs(Mark.DECISION, np.array([0]), np.array([True]))
        ledger.add_said(Mark.SCORE, np.array([0]), np.array([mark_of(one)], np.uint32))
        mark = 0 if said is None else mark_of(said)
        ledger.add_said(kind, np.array([0]), np.array([mark], np.uint32))
        assert ledger.judge(1).inconsistent == damage
