"""kill -9 of scorers, gateways and brokers under load: what was answered is what is committed, once."""

import asyncio
import json
import random
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import codec
from schemas.score import Score
from schemas.topics import SCORES, TRANSACTIONS
from services.broker import EmbeddedKafka
from tests.services.gateway.asking import Door
from tests.services.gateway.stamped import Exchange, Stamped, posted
from tests.services.harness import Scorer, Stream, payment

pytestmark = [pytest.mark.broker, pytest.mark.slow]

EVENTS, KILLS, CALLERS = 600, 6, 12
DEADLINE_MS, GRACE_MS = 300, 50
WAIT_S_MAX = 240.0
SILENT_S_MAX = 5.0
"""After which a caller gives a connection up: its gateway was killed with the answer."""


class Callers:
    """Send events to whichever gateway answers, and keep what they are answered."""

    def __init__(self, doors: list[Door]) -> None:
        self.doors = doors
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.exchanges: list[Exchange] = []

    async def run(self, numbers: list[int]) -> None:
        """One event after the other; each again until it is decided."""
        connections: dict[str, Stamped] = {}
        for i in numbers:
            while not await self._ask(connections, i):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for connection in connections.values():
            connection.close()

    async def answered(self, events: int) -> None:
        """Wait until so many are."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while len(self.answers) < events:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)

    async def _ask(self, connections: dict[str, Stamped], i: int) -> bool:
        address = random.choice(self.doors).address
        host, _, port = address.partition(":")
        try:
            async with asyncio.timeout(SILENT_S_MAX):
                if address not in connections:
                    connections[address] = await Stamped.open(host, int(port))
                request = posted("/v1/events", json.dumps(payment(i)).encode(), DEADLINE_MS)
                exchange = await connections[address].ask(request)
        except OSError:  # a timeout is one
            if (broken := connections.pop(address, None)) is not None:
                broken.close()
            return False
        self.exchanges.append(exchange)
        if exchange.status in (429, 503):
            return False
        assert exchange.status == 200, exchange.body
        answer = json.loads(exchange.body)
        self.answers.setdefault(answer["id"], []).append(answer)
        return not answer["stand_in"]

    async def kill_door(self, stream: Stream) -> None:
        """The first gateway dies, and another takes its place."""
        self.doors[0].process.kill()
        fresh = Door(stream)
        await fresh.ready()
        self.doors[0] = fresh

    async def check(self, stream: Stream, events: int) -> None:
        """Every event is scored once, and every answer that is no stand-in says that score: one at least for each."""
        committed: dict[str, Score] = {}
        for record in await stream.read(SCORES.name):
            score = codec.read(Score, record.value)
            assert score.transaction_id not in committed, "an event was scored twice"
            committed[score.transaction_id] = score
        assert set(self.answers) == set(committed) == {payment(i)["transaction_id"] for i in range(events)}
        real = [answer for answers in self.answers.values() for answer in answers if not answer["stand_in"]]
        assert len(real) >= events
        for answer in real:
            assert codec.read(Score, json.dumps(answer["score"]).encode()) == committed[answer["id"]]
        print(self.lateness())

    def lateness(self) -> str:
        """How many answers came when, by the kernel and as the callers saw them."""
        served_ms = np.array([exchange.waited_ms for exchange in self.exchanges])
        unread_ms = np.array([exchange.unread_ms for exchange in self.exchanges])
        late, seen = ((ms > DEADLINE_MS + GRACE_MS).sum() for ms in (served_ms, served_ms + unread_ms))
        p99_ms, most_ms = np.percentile(served_ms, (99, 100)).round(0)
        return (
            f"{len(self.exchanges)} answers, {late} later than {GRACE_MS} ms after the deadline ({seen} as callers saw them, "
            f"who took up to {unread_ms.max():.0f} ms to look); p99 {p99_ms:.0f} ms, at most {most_ms:.0f} ms"
        )


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
            await callers.kill_door(stream)
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
    await callers.check(stream, EVENTS)
    assert set(callers.answers) == set(written)
    verdict = await stream.verdict()
    assert verdict.clean, verdict.examples
    assert verdict.answers == len(written)
