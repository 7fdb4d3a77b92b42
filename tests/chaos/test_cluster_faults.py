"""Rows of the fault table that need three brokers or a bad network: one after another, under load, with the same oracle."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos.cluster import BROKERS, Cluster
from tests.chaos.driver import Outcome, judged, running
from tests.chaos.plan import Action, Kind
from tests.chaos.proxy import END_TXN, Hold, Way

pytestmark = pytest.mark.asyncio(loop_scope="module")

RATE = 400.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """Three brokers behind proxies, for all tests of this file."""
    async with Cluster() as started:
        yield started


async def survived(cluster: Cluster, directory: Path, *actions: Action) -> Outcome:
    """What came of these faults, one after another."""
    async with running(cluster, directory, RATE) as system:

        async def breaking() -> None:
            await system.all_ready()
            for action in actions:
                await system.act(action)

        outcome = await judged(system, breaking)
    assert outcome.good, (outcome.as_dict(), outcome.damage())
    return outcome


def each_broker(kind: Kind, lasts_s: float) -> list[Action]:
    """The same fault on one broker, or the way to it, after another."""
    return [Action(0.0, kind, index, lasts_s) for index in range(BROKERS)]


async def test_brokers_killed_in_turn_even_while_scorers_start_lose_and_repeat_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    """kill -9, and back, one after another, as in an upgrade; replication 3, two in-sync replicas.

    Scorers that start while one is down ask the others; they do not end with a sentence about Kafka.
    """
    async with running(cluster, tmp_path, RATE) as system:

        async def breaking() -> None:
            async with cluster.turn:
                await cluster.kill(0)
                await system.all_ready()
                await cluster.start_again(0)
            assert system.restarts == 0, [scorer.log()[-500:] for scorer in system.stream.processes]
            for action in each_broker("broker_kill", 1.0):
                await system.act(action)

        outcome = await judged(system, breaking)
    assert outcome.good, (outcome.as_dict(), outcome.damage())


async def test_a_network_that_swallows_cuts_and_delays_loses_and_repeats_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Blackholes in each direction beyond the request timeout, resets, and latency."""
    await survived(
        cluster,
        tmp_path,
        *each_broker("blackhole_to_broker", 4.0),
        *each_broker("reset", 0.0),
        *each_broker("blackhole_to_client", 4.0),
        Action(0.0, "latency", 0, 3.0),
    )


@pytest.mark.parametrize("way", ["to_broker", "to_client"])
async def test_a_commit_or_its_answer_later_than_the_request_timeout_tears_nothing(
    cluster: Cluster, tmp_path: Path, way: Way
) -> None:
    """Rule B: whether the transaction was committed is not known; each input's outputs are there together or not at all."""
    async with running(cluster, tmp_path, RATE) as system:

        async def breaking() -> None:
            await system.all_ready()
            for proxy in cluster.proxies:
                proxy.held = 0
                proxy.hold(Hold(END_TXN, way, seconds=5.0, times=2))
            async with asyncio.timeout(60):
                while not any("partition.failed" in scorer.log() for scorer in system.live):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

        outcome = await judged(system, breaking)
    assert outcome.good, (outcome.as_dict(), outcome.damage())
    assert sum(proxy.held for proxy in cluster.proxies) > 0


async def test_a_storm_of_joins_and_leaves_gives_no_partition_two_owners(cluster: Cluster, tmp_path: Path) -> None:
    """A member more or less every second or two: what two owners committed would be duplicates."""
    storm: list[Kind] = ["join", "leave", "join", "kill", "join", "leave"]
    await survived(cluster, tmp_path, *(Action(0.0, kind, index, 0.5) for index, kind in enumerate(storm)))


async def test_a_scorer_stopped_beyond_session_and_transaction_timeout_is_fenced_and_lives_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    """SIGSTOP for longer than both, CONT: the zombie commits nothing, and ends up in the group again, not in a crash loop."""
    outcome = await survived(cluster, tmp_path, Action(0.0, "stop", 0, 13.0))
    assert outcome.system.restarts == 0
    zombie = outcome.system.stream.processes[0]
    assert zombie.log().count("partition.failed") < 20
    assert "process.stopped" in zombie.log()
