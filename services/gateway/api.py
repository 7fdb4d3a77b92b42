"""The HTTP API, and its OpenAPI document: requests to events, events to replies, replies to JSON."""

import asyncio
import functools
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas import codec
from schemas.answer import Answer, Answered, Problem, Verdict
from schemas.score import Score
from schemas.source_spec import SourceSpec
from services.clock import monotonic_s
from services.gateway.access import Access, Asking
from services.gateway.document import EVENT_BODY, describe
from services.gateway.events import Event, EventReader, Place, split
from services.gateway.problems import Kind, ProblemError
from services.gateway.waiting import Reply, WaitingRoom, read_answer, reply_of
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings
from services.web.connections import ARRIVED

log = structlog.get_logger(__name__)

EVENTS_PATH = "/v1/events"
DEADLINE_HEADER = b"assay-deadline-ms"
LATE_S = 0.05
"""An answer that comes so long after its deadline breaks what is promised."""
EVENTS_PER_TURN = 16
"""Of a request with many: so many are judged and written before other requests have their turn."""
PLAIN_MS = re.compile(rb"[1-9][0-9]{0,8}")
JSON = "application/json"
PROBLEM = "application/problem+json"
OF_STATUS = {404: Kind.UNKNOWN, 405: Kind.METHOD, 413: Kind.TOO_LARGE, 415: Kind.MEDIA_TYPE}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": "Problem details (RFC 9457).", "content": {PROBLEM: {}}}
    for status in (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
}
Deadline = Annotated[int | None, Header(alias="Assay-Deadline-Ms", ge=1, description="Answer within so many ms.")]


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the API stands on. ready: True, or why not. live: whether the process is worth keeping."""

    settings: GatewaySettings
    source: SourceSpec
    reader: EventReader
    room: WaitingRoom
    metrics: GatewayMetrics
    registry: CollectorRegistry
    partitions: int
    access: Access
    ready: Callable[[], bool | str]
    live: Callable[[], bool]

    async def answer(self, payload: bytes, client: str, deadline_s: float) -> Answered:
        """The answer to one event. Raises ProblemError."""
        started_s = monotonic_s()
        event = self.reader.read(payload, client)
        reply = await self.room.ask(event, deadline_s)
        if reply.repeated and reply.answer is not None:  # not written again: the log does not say that it was asked for
            read_by(client, reply)
        now_s = monotonic_s()
        self.metrics.latency.observe(now_s - started_s)
        if now_s - deadline_s > LATE_S:
            self.metrics.late.inc()
        return self._answered(event, reply)

    def _answered(self, event: Event, reply: Reply) -> Answered:
        outcome = "stand_in" if reply.answer is None else "repeated" if reply.repeated else "decided"
        self.metrics.events.labels(outcome).inc()
        if reply.answer is not None:
            return answered(reply.answer, reply)
        return _make(
            id=event.place.event_id,
            decision=self.settings.stand_in,
            stand_in=True,
            repeated=reply.repeated,
            position=reply.position and codec.record_of(reply.position),
        )

    async def answers(self, payloads: list[bytes], client: str, deadline_s: float) -> list[Answered | Problem]:
        """The answers to many, in their order: a problem with one is no problem of the others."""
        asked: list[asyncio.Task[Answered | Problem]] = []
        for first in range(0, len(payloads), EVENTS_PER_TURN):
            turn = payloads[first : first + EVENTS_PER_TURN]
            asked += [asyncio.create_task(self._one_of_many(payload, client, deadline_s)) for payload in turn]
            await asyncio.sleep(0)
        return list(await asyncio.gather(*asked))

    async def _one_of_many(self, payload: bytes, client: str, deadline_s: float) -> Answered | Problem:
        try:
            return await self.answer(payload, client, deadline_s)
        except ProblemError as problem:
            self.metrics.events.labels("problem").inc()
            return problem.details()

    def remembered(self, event_id: str, subject: str | None, client: str) -> Answered:
        """The decision of an event that was asked for before. Raises ProblemError."""
        found: list[tuple[Place, Answer]] = []
        for place in self.room.memory.of_id(event_id, self.partitions):
            answer = read_answer(self.room.memory.get(place) or b"")
            if answer.score is not None and subject in (None, answer.score.card_id):
                found.append((place, answer))
        if not found:
            raise ProblemError(
                Kind.UNKNOWN,
                f"no decision of this id is remembered: the last {self.settings.memory_events_max} are; older ones are on "
                "the topic `scores`",
            )
        if len(found) > 1:
            raise ProblemError(Kind.AMBIGUOUS, "events of several subjects have this id: say which, with ?subject=")
        reply = reply_of(found[0][1], repeated=True)
        read_by(client, reply)
        return answered(found[0][1], reply)


def read_by(client: str, reply: Reply) -> None:
    """The audit of a decision that is read without being asked of the log."""
    if position := reply.position:
        log.info("gateway.decision_read", client=client, partition=position.partition, offset=position.offset)


_make: type[Answered] = codec.record_type(Answered)


def answered(answer: Answer, reply: Reply) -> Answered:
    """A committed decision as the caller gets it."""
    score = answer.score
    assert score is not None, "a refusal is a problem"
    return _make(
        id=score.transaction_id,
        decision=_verdict(score),
        stand_in=False,
        repeated=reply.repeated,
        score=score,
        triggers=answer.triggers,
        reasons=answer.reasons,
        bundle_digest=answer.bundle_digest,
        position=reply.position and codec.record_of(reply.position),
    )


def _verdict(score: Score) -> Verdict:
    if score.action is not None:
        return score.action
    return "alert" if score.alert and not score.let_through else "approve"


def guarded(gateway: Gateway) -> "Guard":
    """The API as it is served."""
    return Guard(application(gateway), gateway)


def application(gateway: Gateway) -> FastAPI:
    """The API over what it stands on."""
    app = FastAPI(
        title="Assay gateway",
        version="1",
        summary="The committed decision on one event.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    describe(app, gateway.source, gateway.settings.events_max)
    _events(app, gateway)
    _operations(app, gateway)
    _failures(app, gateway)
    app.openapi()  # made now: for the first who asks for it everyone else would wait
    return app


class Guard:
    """Around the API: counts responses; a failure of ours is a problem too, named in the log and not quoted.

    Events are answered past FastAPI's routing, which costs more than all that is done about them; it sees what it would refuse.
    """

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app, self._gateway, self._metrics = app, gateway, gateway.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._metrics.responses.labels(str(message["status"])).inc()
            await send(message)

        try:
            deadline_ms = _plain_deadline_ms(scope)
            if deadline_ms is None:
                await self._app(scope, receive, counted)
                return
            try:
                response = await _decide(self._gateway, Request(scope, receive), deadline_ms)
            except ProblemError as refused:
                response = _respond(self._metrics, refused)
            await response(scope, receive, counted)
        except ClientDisconnect:  # before its body was here
            return
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{PurePath(place.filename).name}:{place.lineno}"
            log.error("gateway.request_failed", error=type(error).__name__, where=where)
            if not started:
                problem = ProblemError(Kind.FAILED, "report it, with the line `gateway.request_failed` of the log")
                response = Response(codec.encode(problem.details()), problem.kind.status, media_type=PROBLEM)
                await response(scope, receive, counted)


def _plain_deadline_ms(scope: Scope) -> int | None:
    """Of a request that decides: its deadline, 0 where it names none; None for any other request, and any other header."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != EVENTS_PATH:
        return None
    values = [value for name, value in scope["headers"] if name == DEADLINE_HEADER]
    if not values:
        return 0
    return int(values[0]) if len(values) == 1 and PLAIN_MS.fullmatch(values[0]) else None


async def _decide(gateway: Gateway, request: Request, deadline_ms: int) -> Response:
    """deadline_ms: 0 where the request names none. Raises ProblemError."""
    settings = gateway.settings
    allowed_ms = min(deadline_ms or settings.deadline_ms, settings.deadline_ms_max)
    deadline_s = request.scope.get(ARRIVED, monotonic_s()) + allowed_ms / 1000
    client = await gateway.access.client(Asking.of(request), "decide", allowed_ms / 1000)
    body = await _body(request, settings.body_bytes_max)
    payloads = split(body, settings.events_max)
    gateway.access.meter(client, len(payloads or (body,)))
    if payloads is None:
        return Response(codec.encode(await gateway.answer(body, client.name, deadline_s)), media_type=JSON)
    return Response(codec.encode(await gateway.answers(payloads, client.name, deadline_s)), media_type=JSON)


def _events(app: FastAPI, gateway: Gateway) -> None:
    """What callers ask."""

    @app.post(
        EVENTS_PATH,
        operation_id="decide",
        response_model=Answered | list[Answered | Problem],
        responses=PROBLEMS,
        openapi_extra=EVENT_BODY,
    )
    async def decide(request: Request, deadline_ms: Deadline = None) -> Response:
        """The decision on one event, or on each of a list; once it is committed, or the stand-in at the deadline."""
        return await _decide(gateway, request, deadline_ms or 0)

    @app.get("/v1/decisions/{event_id:path}", operation_id="decision", response_model=Answered, responses=PROBLEMS)
    async def decision(
        request: Request,
        event_id: Annotated[str, Path(min_length=1, max_length=64, description="Id of the event.")],
        subject: Annotated[
            str | None, Query(max_length=64, description="Whose event, where several have events of that id.")
        ] = None,
    ) -> Response:
        """The committed decision on an event that was sent here before, as long as it is remembered."""
        client = await gateway.access.client(Asking.of(request), "read")
        return Response(codec.encode(gateway.remembered(event_id, subject, client.name)), media_type=JSON)


def _operations(app: FastAPI, gateway: Gateway) -> None:
    """What platforms ask."""

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:
        return _state(gateway.live())

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        return _state(gateway.ready())

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        await gateway.access.client(Asking.of(request), "metrics")
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(gateway.registry), media_type=content_type)


def _failures(app: FastAPI, gateway: Gateway) -> None:
    """Every failure as problem details."""

    respond = functools.partial(_respond, gateway.metrics)

    @app.exception_handler(ProblemError)
    async def of_ours(_: Request, problem: ProblemError) -> Response:
        return respond(problem)

    @app.exception_handler(RequestValidationError)
    async def of_a_parameter(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return respond(ProblemError(Kind.MALFORMED, f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def of_the_route(_: Request, error: HTTPException) -> Response:
        kind = OF_STATUS.get(error.status_code, Kind.MALFORMED)
        response = respond(ProblemError(kind, "there are POST /v1/events, GET /v1/decisions/{id} and /openapi.json"))
        response.headers.update(error.headers or {})
        return response


def _respond(metrics: GatewayMetrics, problem: ProblemError) -> Response:
    metrics.events.labels("problem").inc()
    content = codec.encode(problem.details())
    return Response(content, problem.kind.status, headers=problem.headers, media_type=PROBLEM)


async def _body(request: Request, bytes_max: int) -> bytes:
    """Raises ProblemError where it is too large or no JSON by its type: a page in a browser cannot send that unasked."""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != JSON:
        raise ProblemError(Kind.MEDIA_TYPE, f"send Content-Type: {JSON}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise ProblemError(Kind.TOO_LARGE, f"send {bytes_max} bytes at most (ASSAY_GATEWAY_BODY_BYTES_MAX)")
    return bytes(body)


def _state(good: bool | str) -> Response:
    why = f"no: {good}\n" if isinstance(good, str) else "no\n"
    return Response("ok\n" if good is True else why, 200 if good is True else 503, media_type="text/plain")
