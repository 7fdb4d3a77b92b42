"""One run: faults under load, then calm, then the checks. Safety: the oracle. Liveness: the lag goes, all are ready."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from services.verification.verdict import Verdict
from services.verification.verify import output_partitions, verify
from services.verification.witness import Witness
from tests.chaos.bits import bits
from tests.chaos.cluster import Cluster
from tests.chaos.plan import plan
from tests.chaos.recreated import recreated
from tests.chaos.system import SCORERS, System
from tests.services.harness import Stream

CALM_S = 3.0
"""Load without faults, before it ends as well."""

NO_MORE: Mapping[str, str] = {}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    seed: int
    system: System
    verdict: Verdict
    compared: int
    differing: int
    examples: list[str]
    live: str | None
    """None, or what did not come back to life."""
    recovered_s: float
    """From the end of the faults until nothing was left to score; the load went on for CALM_S of it."""
    recreated: list[str]
    """What was wrong after the input topic had been made again under the scorers."""
    events: dict[str, int]
    """How often the scorers' logs say that a fault was felt; counted at the end, since logs may be gone when somebody asks."""

    @property
    def good(self) -> bool:
        """Whether safety and liveness held."""
        harm = self.differing or self.live or self.system.crashes or self.recreated
        return self.verdict.clean and not harm and self.compared > 0

    def as_dict(self) -> dict[str, Any]:
        """The last line of a run."""
        verdict = self.verdict
        return {
            "seed": self.seed,
            "faults": sum(self.system.done.values()),
            "faults_by_kind": dict(sorted(self.system.done.items())),
            "lost": verdict.missing,
            "duplicated": verdict.duplicate,
            "inconsistent": verdict.inconsistent,
            "differing": self.differing,
            "out_of_order": verdict.out_of_order,
            "hanging": verdict.hanging,
            "misjudged": verdict.misjudged,
            "disagreeing": verdict.disagreeing,
            "inputs": verdict.inputs,
            "scores": verdict.scores,
            "dead_letters": verdict.dead_letters,
            "alerts": verdict.alerts,
            "compared": self.compared,
            "lag": verdict.lag,
            "recreated_topic": not self.recreated,
            "restarts": self.system.restarts,
            "crashes": len(self.system.crashes),
            **self.events,
            "recovered_s": round(self.recovered_s, 1),
            "good": self.good,
        }

    def damage(self) -> list[str]:
        """Positions and last words, for a person."""
        found = [f"{kind}: {position}" for kind, at in self.verdict.examples.items() for position in at]
        return found + self.examples + self.system.crashes + self.recreated + ([self.live] if self.live else [])


async def run(
    seed: int, duration_s: float, rate: float, say: Say, directory: Path, environment: Mapping[str, str] = NO_MORE
) -> Outcome:
    """Faults for `duration_s` at `rate` payments a second, and everything that follows. directory: for logs and snapshots.

    environment: more settings of the scorers.
    """
    async with Cluster(directory) as cluster, running(cluster, directory, rate, environment) as system:
        outcome = await judged(system, lambda: _break(system, seed, duration_s, say), say, seed)
        return replace(outcome, recreated=await recreated(system, say))


@asynccontextmanager
async def running(
    cluster: Cluster, directory: Path, rate: float, environment: Mapping[str, str] = NO_MORE
) -> AsyncIterator[System]:
    """A system on topics of its own. environment: more settings of its scorers."""
    stream = Stream(cluster.direct, f"chaos-{uuid.uuid4().hex[:8]}.", directory, replication=3)
    stream.environment |= environment
    await stream.create()
    try:
        yield System(cluster, stream, rate, directory)
    finally:
        stream.close()


async def judged(
    system: System, breaking: Callable[[], Awaitable[None]], say: Say = lambda _: None, seed: int = 0
) -> Outcome:
    """Start scorers and load, let `breaking` do its work, then calm, and the checks."""
    stream, stop_load, stop = system.stream, asyncio.Event(), asyncio.Event()
    await asyncio.to_thread(system.versions.publish_first, stream)
    for _ in range(SCORERS):
        system.start_scorer()
    witness = Witness(stream.kafka, await output_partitions(stream.kafka, stream.topics))
    tasks = [
        asyncio.ensure_future(task)
        for task in (system.load.run(stop_load), system.supervise(stop), witness.follow(stop))
    ]
    try:
        await breaking()
        say("calm")
        await system.calm()
        calm_s = time.monotonic()
        await asyncio.sleep(CALM_S)
        stop_load.set()
        await tasks[0]
        live = await _comes_back(system)
        recovered_s = time.monotonic() - calm_s
        stop.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    await asyncio.to_thread(system.end)
    say(f"{system.load.sent:,} payments sent; checking")
    verdict = await verify(stream.kafka, stream.topics, stream.group, seen=witness.trails)
    compared, differing, examples = await bits(stream, system.versions.paths)
    return Outcome(seed, system, verdict, compared, differing, examples, live, recovered_s, [], system.events())


async def _break(system: System, seed: int, duration_s: float, say: Say) -> None:
    begun_s = time.monotonic()
    acting = []
    say(f"faults for {duration_s:.0f} s, seed {seed}")
    for action in plan(seed, duration_s):
        await asyncio.sleep(max(0.0, begun_s + action.at_s - time.monotonic()))
        say(f"{action.at_s:7.1f} s  {action.kind}" + (f" for {action.lasts_s:g} s" if action.lasts_s else ""))
        acting.append(asyncio.ensure_future(system.act(action)))
    await asyncio.sleep(max(0.0, begun_s + duration_s - time.monotonic()))
    await asyncio.gather(*acting)


async def _comes_back(system: System) -> str | None:
    """None once everything is scored and every scorer is ready; else what is not."""
    try:
        await system.stream.caught_up()
        await system.all_ready()
    except AssertionError as error:
        logs = [scorer.log()[-2000:] for scorer in system.live]
        return "\n".join([f"not alive: {error}", *logs])
    return None
