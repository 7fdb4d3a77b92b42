"""Faults of the stages of entities: kills, moves and rebalances on the way of a payment, then three judges.

Payments come in rounds, in which no entity and no card comes twice, so that a file of them has the same bits whatever happens
on the way; a round begins once all before it are scored. While one is on its way a fault comes, chosen by the seed. In the end
the oracle of the hops, that of the scores, and a comparison of every feature with the file's.
"""

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from schemas import codec
from schemas.decision import Decision
from schemas.topics import SCORES, TRANSACTIONS
from services.verification.hops import HopsVerdict, verify_hops
from services.verification.pipeline import PAYMENTS
from services.verification.verdict import Verdict
from services.verification.verify import verify
from tests.chaos.system import IN_GOOD_ORDER
from tests.services.entities.making import (
    bundle_of_entities,
    environment_of,
    file_features,
    round_of,
    spec_of_entities,
    values_of,
)
from tests.services.harness import Scorer, Stream

Kind = Literal["stage_kill", "stage_dies_within", "stage_stop", "stage_join", "stage_leave", "stage_scorer_kill"]
KINDS: tuple[Kind, ...] = get_args(Kind)
POINTS = ("after_poll", "after_process", "between_sends", "after_sends", "after_offsets", "after_commit")
"""Where within a batch a process dies: before, within and behind its transaction, of the router or of any entity."""

STAGES, STAGES_MAX = 2, 4
TERMINALS = 200
STOPS_S = (2.0, 9.0)
"""Within the session timeout, and beyond it: then its partitions move, and it is fenced when it wakes."""

SCORED_S_MAX = 120.0
SETTINGS = {
    "ASSAY_SESSION_TIMEOUT_S": "6",
    "ASSAY_TRANSACTION_TIMEOUT_S": "10",
    "ASSAY_REQUEST_TIMEOUT_S": "5",
    "ASSAY_BATCH_RECORDS_MAX": "20",  # many transactions a round, so that faults fall into some
}


@dataclass(slots=True)
class StagesOutcome:
    """What came of a run. differing: payments with a feature of other bits than the file's, or none."""

    seed: int
    partitions: int
    done: Counter[str]
    restarts: int
    payments: int
    verdict: Verdict
    hops: HopsVerdict
    differing: list[str]
    crashes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is lost, repeated, out of place or different."""
        scored = self.verdict.scores == self.payments
        return self.verdict.clean and self.hops.clean and scored and not self.differing and not self.crashes

    def as_dict(self) -> dict[str, Any]:
        """The line of a run."""
        return {
            "stages_seed": self.seed,
            "stages_partitions": self.partitions,
            "stages_faults": dict(sorted(self.done.items())),
            "stages_restarts": self.restarts,
            "stages_payments": self.payments,
            "stages_lost": self.verdict.missing + self.hops.verdict.missing,
            "stages_duplicated": self.verdict.duplicate + self.hops.verdict.duplicate,
            "stages_inconsistent": self.verdict.inconsistent + self.hops.verdict.inconsistent,
            "stages_out_of_order": self.verdict.out_of_order + self.hops.verdict.out_of_order,
            "stages_differing": len(self.differing),
            "stages_crashes": len(self.crashes),
            "stages_good": self.good,
        }

    def damage(self) -> list[str]:
        """Positions and last words, for a person."""
        found = itertools.chain(self.verdict.examples.items(), self.hops.verdict.examples.items())
        return [f"{kind}: {position}" for kind, at in found for position in at] + self.differing[:10] + self.crashes


class _Running:
    """The processes of one run, and what is done to them."""

    def __init__(self, stream: Stream, seed: int, environment: dict[str, str]) -> None:
        self._stream, self._draw, self._environment = stream, random.Random(seed), {**SETTINGS, **environment}
        self.done: Counter[str] = Counter()
        self.restarts = 0
        self.crashes: list[str] = []
        self.stages = [self._stage() for _ in range(STAGES)]
        self.scorer = stream.scorer(**self._environment)
        self._bag: list[Kind] = []

    def _stage(self, **further: str) -> Scorer:
        return self._stream.entities(**self._environment, **further)

    async def fault(self) -> None:
        """The next one: each kind once, in any order, before one comes again."""
        if not self._bag:
            self._bag = list(KINDS)
            self._draw.shuffle(self._bag)
        kind = self._bag.pop()
        self.done[kind] += 1
        await asyncio.sleep(self._draw.uniform(0.0, 1.0))
        await getattr(self, f"_{kind}")()

    async def scored(self, number: int) -> None:
        """Wait until there are so many scores; what has ended is started again, as a platform does."""
        deadline_s = time.monotonic() + SCORED_S_MAX
        while (found := len(await self._stream.read(SCORES.name))) < number:
            self._supervise()
            logs = [process.log()[-1500:] for process in (self.scorer, *self.stages)]
            assert time.monotonic() < deadline_s, f"{found} of {number}: {logs}"
            await asyncio.sleep(0.3)

    def end(self) -> None:
        """Ask all to drain, and look at how each ended."""
        for process in (*self.stages, self.scorer):
            if process.terminate() not in (0, -signal.SIGTERM) or "Traceback" in process.log():
                self._look_at(process)

    def _supervise(self) -> None:
        for process in [process for process in self.stages if process.returncode is not None]:
            self.stages.remove(process)
            self._look_at(process)
            self.restarts += 1
            self.stages.append(self._stage())
        if self.scorer.returncode is not None:
            self._look_at(self.scorer)
            self.restarts += 1
            self.scorer = self._stream.scorer(**self._environment)

    def _look_at(self, process: Scorer) -> None:
        if process.returncode not in IN_GOOD_ORDER or "Traceback" in process.log():
            self.crashes.append(f"exit status {process.returncode}: {process.log()[-3000:]}")

    def _chosen(self) -> Scorer:
        self._supervise()
        return self._draw.choice(self.stages)

    async def _stage_kill(self) -> None:
        self._chosen().kill()

    async def _stage_dies_within(self) -> None:
        """In place of another, one that kills itself at a point of some batch."""
        await self._end(self._chosen())
        point = f"{self._draw.choice(POINTS)}:{self._draw.randint(2, 12)}"
        self.stages.append(self._stage(ASSAY_FAILPOINT=point))

    async def _stage_stop(self) -> None:
        process, lasts_s = self._chosen(), self._draw.choice(STOPS_S)
        process.signal(signal.SIGSTOP)
        await asyncio.sleep(lasts_s)
        process.signal(signal.SIGCONT)

    async def _stage_join(self) -> None:
        """One more: a rebalance of the router's partitions and of every entity's."""
        if len(self.stages) >= STAGES_MAX:
            await self._end(self._chosen())
        self.stages.append(self._stage())

    async def _stage_leave(self) -> None:
        await self._end(self._chosen())
        if len(self.stages) < STAGES:
            self.stages.append(self._stage())

    async def _stage_scorer_kill(self) -> None:
        self.scorer.kill()

    async def _end(self, process: Scorer) -> None:
        self.stages.remove(process)
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
        self._look_at(process)


async def run_stages(stream: Stream, seed: int, rounds: int, directory: Path) -> StagesOutcome:
    """`rounds` rounds of payments, each with a fault; then the checks. stream: with topics and without processes."""
    spec = spec_of_entities()
    running = _Running(stream, seed, environment_of(bundle_of_entities(directory / "bundle-of-entities")))
    sent: list[dict[str, Any]] = []
    await stream.send(*values_of(round_of(0, TERMINALS)))
    sent += round_of(0, TERMINALS)
    await running.scored(len(sent))  # all run
    for number in range(1, rounds + 1):
        payments = round_of(number, TERMINALS)
        sent += payments
        await asyncio.gather(stream.send(*values_of(payments)), running.fault())
        await running.scored(len(sent))
    await asyncio.to_thread(running.end)
    hops = await verify_hops(stream.kafka, stream.topics, f"{stream.prefix}entities", TRANSACTIONS, spec.stages)
    verdict = await verify(stream.kafka, stream.topics, stream.group, PAYMENTS.of_entities())
    decisions = [codec.read(Decision, record.value) for record in await stream.read("decisions")]
    found = {decision.transaction_id: np.array(decision.features, np.float32).tobytes() for decision in decisions}
    expected = file_features(spec, sent)
    differing = [
        f"{payment['transaction_id']} has other features than in a file"
        for payment, features in zip(sent, expected, strict=True)
        if found.get(payment["transaction_id"]) != features.tobytes()
    ]
    return StagesOutcome(
        seed,
        stream.partitions,
        running.done,
        running.restarts,
        len(sent),
        verdict,
        hops,
        differing,
        running.crashes,
    )
