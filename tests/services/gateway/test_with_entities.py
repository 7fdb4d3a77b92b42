"""A gateway of a bundle that reads entities: an event goes through every stage, and is answered with the committed decision."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from schemas import codec
from schemas.answer import Answer, Position
from schemas.dead_letter import DeadLetterReason
from schemas.score import Score
from schemas.topics import ANSWERS, ENTITY_FEATURES, REQUEST_HEADER, SCORES, TRANSACTIONS
from services.gateway.events import Event, Place
from services.gateway.problems import ProblemError
from services.gateway.waiting import WaitingRoom
from services.kafka.client import plain_producer
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings
from services.settings.processing import RuntimeSettings
from services.verification.hops import verify_hops
from services.verification.pipeline import PAYMENTS
from services.verification.verify import verify
from tests.services.entities.making import bundle_of_entities, environment_of, spec_of_entities
from tests.services.gateway.asking import Door
from tests.services.gateway.test_kills import WAIT_S_MAX, Callers
from tests.services.harness import Stream, payment

EVENTS, KILLS, CALLERS = 400, 5, 8


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def staged(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """A gateway, the stages and a scorer, ready."""
    directory: Path = tmp_path_factory.mktemp("staged")
    environment = environment_of(bundle_of_entities(directory / "bundle"))
    stream = Stream(kafka_bootstrap, f"t-{uuid.uuid4().hex[:12]}.", directory, environment=environment)
    await stream.create()
    made = Door(stream, ASSAY_GATEWAY_DEADLINE_MS="10000")
    for process in (stream.scorer(), stream.entities()):
        process.wait_ready()
    await made.ready()
    yield made
    stream.close()


async def clean(stream: Stream) -> int:
    """How many events were answered by the scorer; both oracles find nothing wrong."""
    hops = await verify_hops(
        stream.kafka, stream.topics, f"{stream.prefix}entities", TRANSACTIONS, spec_of_entities().stages
    )
    assert hops.clean, hops
    verdict = await verify(stream.kafka, stream.topics, stream.group, PAYMENTS.of_entities())
    assert verdict.clean, verdict.examples
    return verdict.answers


@pytest.mark.broker
@pytest.mark.asyncio(loop_scope="module")
async def test_the_answer_is_the_committed_score_with_the_events_own_place(staged: Door) -> None:
    """Through both stages; what a stage refuses is answered by it, and a repetition with the first decision."""
    first = (await staged.post(payment(1, country="FR"))).json()
    (score,) = [r for r in await staged.stream.read(SCORES.name) if b"tx-000000001" in r.value]
    assert codec.read(Score, json.dumps(first["score"]).encode()) == codec.read(Score, score.value)
    assert first["position"]["topic"] == staged.stream.prefix + TRANSACTIONS.name
    (record,) = await staged.stream.read(TRANSACTIONS.name)
    assert (first["position"]["partition"], first["position"]["offset"]) == (record.partition, record.offset)
    assert len(await staged.stream.read(ENTITY_FEATURES.name)) == 1
    assert (await staged.post(payment(1, country="FR"))).json() == {**first, "repeated": True}
    # past the gateway: a repetition, and what is no event
    producer = plain_producer(staged.stream.kafka, RuntimeSettings())
    await producer.start()
    for request, value in ((b"other:1", record.value), (b"other:2", b"{}")):
        headers = [(REQUEST_HEADER, request)]
        await producer.send_and_wait(record.topic, value, partition=record.partition, headers=headers)
    await producer.stop()
    await staged.stream.caught_up(group=f"{staged.stream.prefix}entities")
    found = [codec.read(Answer, r.value) for r in await staged.stream.read(ANSWERS.name)]
    assert {a.request: a.refused for a in found if a.refused} == {"other:1": "duplicate", "other:2": "schema"}
    assert {a.source_offset for a in found} == {0, 1, 2}
    assert await clean(staged.stream) == 1


@pytest.mark.broker
@pytest.mark.slow
async def test_every_answer_is_the_committed_decision_whatever_stage_is_killed(stream: Stream, tmp_path: Path) -> None:
    """Callers that repeat what was not answered; stages, scorers and gateways that are killed and started again."""
    stream.environment |= environment_of(bundle_of_entities(tmp_path / "bundle"))
    stream.environment["ASSAY_GATEWAY_PENDING_S_MAX"] = str(WAIT_S_MAX)  # longer than a process takes to start again
    scorer, stages, callers = stream.scorer(), [stream.entities(), stream.entities()], Callers([Door(stream)])
    for process in (scorer, *stages):
        process.wait_ready()
    await callers.doors[0].ready()
    asking = asyncio.gather(*(callers.run(list(range(EVENTS))[caller::CALLERS]) for caller in range(CALLERS)))
    for kill, victim in zip(range(KILLS), itertools.cycle(("stage", "gateway", "stage", "scorer")), strict=False):
        await callers.answered(EVENTS * (kill + 1) // (KILLS + 2))
        if victim == "stage":
            stages.pop(0).kill()
            stages.append(stream.entities())
        elif victim == "scorer":
            scorer.kill()
            scorer = stream.scorer()
        else:
            await callers.kill_door(stream)
    await asyncio.wait_for(asking, WAIT_S_MAX)
    await callers.check(stream, EVENTS)
    assert await clean(stream) == EVENTS


def test_a_repetition_that_a_stage_refuses_waits_for_the_decision_that_is_on_its_way() -> None:
    """As long as any event waits; then it says that it was decided before. It is no sign of missing scorers."""
    asyncio.run(_repetition())


async def _repetition() -> None:
    now_s = 0.0

    async def write(event: Event, request: str) -> Position:
        asked.append(request)
        return Position(topic="transactions", partition=0, offset=7)

    asked: list[str] = []
    settings = GatewaySettings(stalled_s=5.0, pending_s_max=30.0)
    room = WaitingRoom(settings, write, GatewayMetrics(CollectorRegistry()), lambda: now_s, staged=True)
    event = Event(Place(0, "a"), "card", 1, b"{}", 1, "client")

    def refusal_of(request: str) -> Any:
        answer = Answer(
            request=request,
            source_topic="t",
            source_partition=0,
            source_offset=7,
            refused=DeadLetterReason.DUPLICATE,
            detail="again",
        )
        headers = [(REQUEST_HEADER, request.encode())]
        return SimpleNamespace(key=None, partition=0, value=codec.write(answer), headers=headers)

    asking = asyncio.create_task(room.ask(event, 100.0))
    while not asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    room.take(refusal_of(asked[0]))
    await asyncio.sleep(0)
    assert not asking.done()
    score = Score.model_validate(SCORE)
    decision = Answer(request="other:1", source_topic="t", source_partition=0, source_offset=3, score=score)
    room.take(SimpleNamespace(key=b"a", partition=0, value=codec.write(decision), headers=[], timestamp=2))
    reply = await asking
    assert (reply.repeated, reply.position and reply.position.offset) == (True, 3)

    other = event._replace(place=Place(0, "b"))
    asking = asyncio.create_task(room.ask(other, 100.0))
    while len(asked) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    room.take(refusal_of(asked[1]))
    now_s = 29.0
    room.sweep()
    await asyncio.sleep(0)
    assert not asking.done()
    assert not room.stalled_partitions()
    now_s = 31.0
    room.sweep()
    with pytest.raises(ProblemError, match="not remembered here"):
        await asking
    assert not len(room)


SCORE = {
    "transaction_id": "a",
    "card_id": "card",
    "event_time_ms": 1,
    "model": "m",
    "probability": 0.5,
    "reconstruction_error": 1.0,
    "anomaly_percentile": 2.0,
    "alert": False,
}
