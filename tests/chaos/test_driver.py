"""The driver's own rules, and a short run of it with a seed that is always the same."""

import itertools
import logging
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.driver import run
from tests.chaos.plan import BROKER_PAUSE_S, KINDS, plan

SEED = 20261125
DURATION_S = 130.0
"""Of faults; with brokers, calm and checks about three minutes."""


def test_a_seed_chooses_every_fault_before_anything_runs() -> None:
    """The same seed brings the same faults at the same moments; another seed others."""
    assert plan(SEED, 600.0) == plan(SEED, 600.0)
    assert plan(SEED, 600.0) != plan(SEED + 1, 600.0)


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_of_fault_comes_and_two_brokers_are_never_down_together(seed: int) -> None:
    """Within three minutes; with one of three brokers down, min ISR 2 still holds."""
    actions = plan(seed, 180.0)
    assert set(KINDS) == {action.kind for action in actions}
    downs = [action for action in actions if action.kind == "broker_kill"]
    assert all(
        later.at_s >= earlier.at_s + earlier.lasts_s + BROKER_PAUSE_S for earlier, later in itertools.pairwise(downs)
    )


async def test_under_three_minutes_of_faults_nothing_is_lost_repeated_torn_or_different(tmp_path: Path) -> None:
    """The short run of `make chaos`: every fault of the plan, then the oracle and a replay of every bit."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        outcome = await run(SEED, DURATION_S, 1000.0, lambda _: None, tmp_path)
    finally:
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)
    assert outcome.good, (outcome.as_dict(), outcome.damage())
    assert Counter(outcome.system.done) == Counter(action.kind for action in plan(SEED, DURATION_S))
    assert outcome.compared == outcome.verdict.scores > 10_000
