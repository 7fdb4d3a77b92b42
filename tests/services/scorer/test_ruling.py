"""A policy and a model fail apart, and neither's change is taken for the other's."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from models.bundle.files import BundleError
from models.policy.program import Batch, Program, Ruling
from models.policy.signed import SignedPolicy, ref_of
from schemas.policy import Policy, PolicyThresholds, Rule
from services.scorer.judge import Deciding, judge
from services.scorer.ruling import PolicyFailedError
from services.swapping.live import ActivePolicy, Model, Models
from services.swapping.policies import policy_beside
from services.trusted_policies import known_of
from tests.models.policy.columns import Given
from tests.services.scorer.test_judge import COMMAND, NO_CONTROL_GROUP, ROWS, ModelSession, model, models

EVENTS: Any = Given(len(ROWS), {})


class Fails(Program):
    """A policy that raises, as none should."""

    def rule(self, batch: Batch, by_probability: Any, by_anomaly: Any) -> Ruling:
        """Never answers."""
        raise ZeroDivisionError


@pytest.fixture
def live() -> Iterator[Models]:
    """A sound champion."""
    executor: Executor
    with ThreadPoolExecutor(2) as executor:
        yield models(executor)


def policy(condition: str = "amount >= 0", **changes: Any) -> Policy:
    rule = Rule(name="any", words="any payment", condition=condition, action="review", owner="a test")
    return Policy(name="p", version=1, rules=(rule,), **changes)


def program(of: Policy, beside: Model, kind: type[Program] = Program) -> Program:
    return kind(of, known_of(beside.feature_spec, beside.source))


async def test_a_policy_that_fails_rolls_no_model_back(live: Models) -> None:
    """A new champion is watched at that time: the batch fails with the policy's name, and is tried again by records."""
    with ThreadPoolExecutor(1) as executor:
        new = model(ModelSession, executor)
        live.swap(new, COMMAND)
        with pytest.raises(PolicyFailedError, match=r"p/1@\w+ fails with ZeroDivisionError"):
            await judge(live, new, ROWS, NO_CONTROL_GROUP, Deciding(EVENTS, program(policy(), new, Fails)))
        assert live.champion is new


async def test_a_policy_in_shadow_that_fails_is_dropped_and_what_decides_never_notices(live: Models) -> None:
    """The channel's answer says why."""
    champion = live.champion
    failing = program(policy(), champion, Fails)
    active = ActivePolicy(ref_of(policy()), failing, champion.spec_digest, lambda other: active)
    live.set_policy("shadow_policy", active, COMMAND.model_copy(update={"channel": "shadow_policy"}))
    judged = await judge(live, champion, ROWS, NO_CONTROL_GROUP, Deciding(EVENTS, program(policy(), champion), failing))
    assert judged.ruled is not None
    assert set(judged.ruled.said) == {"review"}
    assert judged.shadow is live.shadow_policy is None
    assert "ZeroDivisionError" in (live.answers["shadow_policy"].reason or "")


async def test_a_model_is_watched_by_its_own_thresholds_whatever_a_policy_makes_of_it(live: Models) -> None:
    """A promoted policy that alerts on everything is no fault of the model's."""
    champion = live.champion
    everything = policy(thresholds=PolicyThresholds(probability=0.0))
    plain = await judge(live, champion, ROWS, NO_CONTROL_GROUP)
    judged = await judge(live, champion, ROWS, NO_CONTROL_GROUP, Deciding(EVENTS, program(everything, champion)))
    assert np.count_nonzero(judged.outcomes.alert) == len(ROWS)
    assert judged.thresholds.probability == 0.0
    assert judged.alerts_of_model == plain.alerts_of_model == int(np.count_nonzero(plain.outcomes.alert))


async def test_an_alert_that_a_rule_alone_raised_costs_no_reasons(live: Models) -> None:
    """Its words are the reason, so that a rule that holds of everything does not stop the scoring."""
    judged = await judge(
        live, live.champion, ROWS, NO_CONTROL_GROUP, Deciding(EVENTS, program(policy(), live.champion))
    )
    assert np.count_nonzero(judged.outcomes.alert) == len(ROWS)
    assert len(judged.reasons) == np.count_nonzero(judged.outcomes.by_score)


def test_a_model_without_what_the_policy_reads_is_refused_before_it_is_taken(live: Models) -> None:
    """In a sentence that names the feature."""
    champion = live.champion
    reading = policy(f"{champion.feature_spec.names[-1]} > 1")
    live.set_policy("policy", policy_beside(SignedPolicy(reading, ref_of(reading), None), champion), COMMAND)
    spec = champion.feature_spec
    narrower = spec.model_copy(update={"features": spec.features[:3]})
    other = Model(champion.session, champion.identity, narrower, narrower.digest(), champion.executor)
    with pytest.raises(BundleError, match=f"{spec.names[-1]} is unknown"):
        live.check_policies(other)
