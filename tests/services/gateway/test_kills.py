"""kill -9 of scorers, gateways and brokers under load: what was answered is what is committed, once."""

import asyncio
import json
import random
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas import codec
from schemas.score import Score
from schemas.topics import SCORES, TRANSACTIONS
from services.broker import EmbeddedKafka
from tests.services.gateway.asking import JSON, Door
from tests.services.harness import Scorer, Stream, payment

pytestmark = [pytest.mark.broker, pytest.mark.slow]

EVENTS, KILLS, CALLERS = 600, 6, 12
DEADLINE_MS = 300
WAIT_S_MAX = 240.0


class Callers:
    """Send events to whichever gateway answers, and keep what they are answered."""

    def __init__(self, doors: list[Door]) -> None:
        self.doors = doors
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.waited_ms: list[float] = []

    async def run(self, numbers: list[int]) -> None:
        """One event after the other; each again until it is decided."""
        async with httpx.AsyncClient(timeout=5) as client:
            for i in numbers:
                while not await self._ask(client, i):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    async def answered(self, events: int) -> None:
        """Wait until so many are."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while len(self.answers) < events:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)

    async def _ask(self, client: httpx.AsyncClient, i: int) -> bool:
        door = random.choice(self.doors)
        started_s = time.monotonic()
        try:
            response = await client.post(
                f"{door.url}/v1/events",
                content=json.dumps(payment(i)).encode(),
                headers={**JSON, "Assay-Deadline-Ms": str(DEADLINE_MS)},
            )
        except httpx.HTTPError:
            return False
        if response.status_code in (429, 503):
            return False
        assert response.status_code == 200, response.text
        self.waited_ms.append((time.monotonic() - started_s) * 1000)
        answer = response.json()
        self.answers.setdefault(answer["id"], []).append(answer)
        return not answer["stand_in"]


async def test_every_answer_is_the_committed_decision_whatever_is_killed(stream: Stream) -> None:
    """Callers that repeat what was not answered; scorers and gateways that are killed and started again."""
    scorers = [stream.scorer(), stream.scorer()]
    callers = Callers([Door(stream), Door(stream)])
    for door in callers.doors:
        await door.ready()
    numbers = list(range(EVENTS))
    asking = asyncio.gather(*(callers.run(numbers[caller::CALLERS]) for caller in range(CALLERS)))
    for kill in range(KILLS):
        await asyncio.sleep(2)  # of load between the kills
        if asking.done():
            break
        if kill % 2:
            scorers.pop(0).kill()
            scorers.append(stream.scorer())
        else:
            callers.doors[0].process.kill()
            fresh = Door(stream)
            await fresh.ready()
            callers.doors[0] = fresh
    await asyncio.wait_for(asking, WAIT_S_MAX)
    await check(stream, callers, scorers)


async def test_every_answer_is_the_committed_decision_whatever_broker_is_killed(tmp_path: Path) -> None:
    """Three brokers, two in-sync replicas needed; each is killed once and comes back, while callers go on."""
    with EmbeddedKafka(nodes=3, heap_mb=256, quick=True) as kafka:
        stream = Stream(kafka.bootstrap, f"t-{uuid.uuid4().hex[:12]}.", tmp_path, replication=3)
        await stream.create()
        try:
            scorers, callers = [stream.scorer()], Callers([Door(stream)])
            await callers.doors[0].ready()
            numbers = list(range(EVENTS))
            asking = asyncio.gather(*(callers.run(numbers[caller::CALLERS]) for caller in range(CALLERS)))
            for node in range(3):
                await callers.answered(EVENTS * (node + 1) // 5)
                await asyncio.to_thread(kafka.kill_node, node)
                await callers.answered(EVENTS * (node + 1) // 5 + EVENTS // 10)
                await asyncio.to_thread(kafka.start_node, node)
            await asyncio.wait_for(asking, WAIT_S_MAX)
            await check(stream, callers, scorers)
        finally:
            stream.close()


async def check(stream: Stream, callers: Callers, scorers: list[Scorer]) -> None:
    """Every event is in the log once and scored once, and every answer says that score."""
    await stream.caught_up(scorers)
    written = [json.loads(record.value)["transaction_id"] for record in await stream.read(TRANSACTIONS.name)]
    committed: dict[str, Score] = {}
    for record in await stream.read(SCORES.name):
        score = codec.read(Score, record.value)
        assert score.transaction_id not in committed, "an event was scored twice"
        committed[score.transaction_id] = score
    assert (
        set(callers.answers) == set(written) == set(committed) == {payment(i)["transaction_id"] for i in range(EVENTS)}
    )
    for answers in callers.answers.values():
        for answer in answers:
            if not answer["stand_in"]:
                said = codec.read(Score, json.dumps(answer["score"]).encode())
                assert said == committed[answer["id"]]
    late = sum(waited > DEADLINE_MS + 50 for waited in callers.waited_ms)
    print(f"{len(callers.waited_ms)} answers, {late} more than 50 ms after the deadline")
    verdict = await stream.verdict()
    assert verdict.clean, verdict.examples
    assert verdict.answers == len(written)
