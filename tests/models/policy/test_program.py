"""Which action follows from the rules that hold and from the scores: the one rule of order."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from models.policy.program import Program, Ruling
from schemas.policy import Action, Policy, PolicyThresholds, Rule, ScoreActions
from tests.models.policy.columns import KNOWN, batch, numbers


def rule(name: str, condition: str, action: Action, **changes: object) -> Rule:
    return Rule(name=name, words=name, condition=condition, action=action, owner="me", **changes)  # type: ignore[arg-type]


def ruled(rules: Sequence[Rule], values: Sequence[float], crossed: Sequence[bool] = (), **changes: object) -> Ruling:
    """What a policy says of events whose `number` has these values."""
    policy = Policy(name="p", version=1, rules=tuple(rules), **changes)  # type: ignore[arg-type]
    by_probability = np.array(crossed or [False] * len(values), np.bool_)
    given = batch(len(values), {"number": numbers(values)})
    return Program(policy, KNOWN).rule(given, by_probability, np.zeros(len(values), np.bool_))


RULES = (
    rule("challenges", "number >= 1", "challenge"),
    rule("reviews", "number >= 2", "review"),
    rule("declines", "number >= 3", "decline"),
    rule("approves", "number >= 4", "approve"),
)


@pytest.mark.parametrize("order", list(permutations(RULES)))
def test_a_rule_that_approves_ends_it_else_the_most_severe_action_wins(order: tuple[Rule, ...]) -> None:
    """Whatever the order in the file."""
    found = ruled(order, [0.0, 1.0, 2.0, 3.0, 4.0])
    assert found.actions() == ["approve", "challenge", "review", "decline", "approve"]
    assert found.alerting.tolist() == [False, False, True, True, False]
    assert set(found.rules[4]) == {"challenges", "reviews", "declines", "approves"}, "they held all the same"


def test_a_score_is_one_more_voice_and_not_the_mildest_one() -> None:
    """A crossed threshold asks for its action; a rule may be severer, or approve."""
    found = ruled(RULES, [0.0, 1.0, 3.0, 4.0], [True] * 4)
    assert found.actions() == ["review", "review", "decline", "approve"]
    found = ruled(RULES, [0.0, 1.0], [True, True], actions=ScoreActions(probability="approve", otherwise="challenge"))
    assert found.actions() == ["approve", "challenge"], (
        "what is done otherwise is not asked where a threshold is crossed"
    )


def test_a_rule_in_shadow_is_written_down_and_changes_nothing() -> None:
    """So it can be watched before it counts; one that is off is not even looked at."""
    rules = (rule("tried", "number > 1", "decline", state="shadow"), rule("gone", "number > 1", "decline", state="off"))
    found = ruled(rules, [0.0, 2.0])
    assert found.actions() == ["approve", "approve"]
    assert (found.rules, found.shadow_rules) == ({}, {1: ("tried",)})
    assert not found.alerting.any()


def test_a_share_is_the_same_in_every_batch_and_another_for_another_rule() -> None:
    """Chosen by the event's id and the rule's name."""
    values = [1.0] * 4000
    found = ruled(
        (rule("one", "number = 1", "review", share=0.3), rule("other", "number = 1", "review", share=0.3)), values
    )
    one = {row for row, names in found.rules.items() if "one" in names}
    other = {row for row, names in found.rules.items() if "other" in names}
    assert 1100 < len(one) < 1300
    assert 260 < len(one & other) < 460, "about 0.3 x 0.3: the choices do not depend on each other"
    again = ruled((rule("one", "number = 1", "review", share=0.3),), values[:50])
    assert set(again.rules) == {row for row in one if row < 50}


def test_a_batch_without_events_is_nothing_to_decide() -> None:
    """A partition may have nothing but dead letters."""
    found = ruled(RULES, [])
    assert found.actions() == []


class Listed:
    """Lists that know one device."""

    def contains(
        self, list_name: str, column_name: str, values: Sequence[str | None], event_time_ms: np.ndarray
    ) -> np.ndarray:
        """By list and column."""
        assert len(event_time_ms) == len(values)
        return np.array([(list_name, column_name, value) == ("blocked", "device", "d1") for value in values], np.bool_)


def test_a_list_is_asked_by_name_and_column_and_a_missing_value_is_neither_on_it_nor_not() -> None:
    """device NOT IN LIST is not true of an event without a device."""
    rules = (
        rule("listed", "device IN LIST('blocked')", "decline"),
        rule("unlisted", "device NOT IN LIST('blocked')", "review"),
    )
    policy = Policy(name="p", version=1, lists=("blocked",), rules=rules)
    given = batch(3, {"device": ["d1", "d2", None]}, Listed())
    held = Program(policy, KNOWN).held(given)
    assert held.tolist() == [[True, False, False], [False, True, False]]


def test_a_name_of_an_outputs_policy_says_its_content() -> None:
    """Another threshold is another digest."""
    one = Program(Policy(name="p", version=1), KNOWN)
    other = Program(Policy(name="p", version=1, thresholds=PolicyThresholds(probability=0.5)), KNOWN)
    assert one.name.startswith("p/1@")
    assert one.name != other.name
