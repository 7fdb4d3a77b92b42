"""The events that wait for their score: written once, answered from `answers`, bounded in number and time."""

import asyncio
import itertools
import math
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from schemas import codec
from schemas.answer import Answer, Position
from schemas.dead_letter import DeadLetterReason
from schemas.topics import REQUEST_HEADER
from services.clock import wall_ms
from services.engine.batches import Record
from services.gateway.events import Event, Place, refusal
from services.gateway.memory import Memory
from services.gateway.problems import Kind, ProblemError
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings

log = structlog.get_logger(__name__)

read_answer = codec.decoder(Answer)


class Reply(NamedTuple):
    """What became of an event: its answer, or None where it was not there in time.

    repeated: it is the decision of an earlier request. position: where the event lies, as far as it is known.
    """

    answer: Answer | None
    repeated: bool
    position: Position | None


class Write(Protocol):
    """Writes an event to the input."""

    def __call__(self, event: Event, request: str) -> Awaitable[Position]:
        """Where it lies now. Raises KafkaError where that cannot be known."""


@dataclass(slots=True, eq=False)
class Waiting:
    """An event that is being scored. done: with its answer, or a ProblemError."""

    event: Event
    since_s: float
    done: asyncio.Future[Reply]
    position: Position | None = None
    writing: asyncio.Task[None] | None = field(default=None)
    repetition: ProblemError | None = None
    """It is a repetition, refused as one, and waits for the decision on what it repeats."""


class WaitingRoom:
    """What a gateway has asked for and not been answered, and what it remembers."""

    def __init__(
        self,
        settings: GatewaySettings,
        write: Write,
        metrics: GatewayMetrics,
        clock_s: Callable[[], float],
        margin_s: Callable[[], float] = lambda: 0.0,
        *,
        staged: bool = False,
    ) -> None:
        """margin_s: how long before its deadline a stand-in has to be begun. staged: stages of entities are between the input
        and the scorer. They refuse a repetition while the event's first record may still be on its way to its score.
        """
        self._staged = staged
        self._settings, self._write, self._metrics, self._clock_s = settings, write, metrics, clock_s
        self._margin_s = margin_s
        self.memory = Memory(settings.memory_events_max)
        self._waiting: defaultdict[int, dict[str, Waiting]] = defaultdict(dict)
        """By partition and id, in the order in which they came."""
        self._by_request: dict[str, Waiting] = {}
        self._answered_s = -math.inf
        self._name, self._numbers = secrets.token_hex(6), itertools.count()

    def __len__(self) -> int:
        return len(self._by_request)

    def stalled_partitions(self) -> list[int]:
        """Where events wait longer than they should: no scorer works on them."""
        return [partition for partition in self._waiting if self._is_stalled(partition)]

    def _is_stalled(self, partition: int) -> bool:
        waiting = self._waiting[partition].values()
        oldest = next((one for one in waiting if one.repetition is None), None)
        return oldest is not None and self._clock_s() - oldest.since_s > self._settings.stalled_s

    @property
    def stalled(self) -> bool:
        """Whether no scorer works at all, as far as events that wait can tell."""
        silent_s = self._clock_s() - self._answered_s
        return silent_s > self._settings.stalled_s and bool(self.stalled_partitions())

    async def ask(self, event: Event, deadline_s: float) -> Reply:
        """The committed decision of an event, by `deadline_s` of the clock. Raises ProblemError.

        An event that was decided, or that waits, is not written again.
        """
        known = self.memory.get(event.place)
        if known is not None:
            self._metrics.repeated.inc()
            return reply_of(read_answer(known), repeated=True, event=event)
        waiting = self._at(event.place)
        repeated = waiting is not None
        if waiting is None:
            self._refuse_if_full(event.place.partition)
            waiting = self._begin(event)
        elif (waiting.event.subject, waiting.event.time_ms) != (event.subject, event.time_ms):
            raise _another()
        left_s = deadline_s - self._margin_s() - self._clock_s()
        await asyncio.wait([waiting.done], timeout=max(0.0, left_s))
        if not waiting.done.done():
            return Reply(None, repeated, waiting.position)
        reply = waiting.done.result()
        return reply._replace(repeated=reply.repeated or repeated)

    def _at(self, place: Place) -> Waiting | None:
        return self._waiting[place.partition].get(place.event_id)

    def _refuse_if_full(self, partition: int) -> None:
        if self._is_stalled(partition) or self.stalled:
            self._metrics.refused.labels("stalled").inc()
            raise ProblemError(
                Kind.UNAVAILABLE,
                "events wait for scores that do not come, so nothing was written: check that scorers run (their /readyz), and "
                "that no partition is held (`assay held`)",
                retry_after_s=max(1, round(self._settings.stalled_s)),
            )
        if len(self) >= self._settings.pending_events_max:
            self._metrics.refused.labels("full").inc()
            raise ProblemError(
                Kind.BUSY,
                f"{len(self)} events wait for their score, so nothing was written: send it again later",
                retry_after_s=1,
            )

    def _begin(self, event: Event) -> Waiting:
        waiting = Waiting(event, self._clock_s(), asyncio.get_running_loop().create_future())
        request = f"{self._name}:{next(self._numbers)}"
        self._waiting[event.place.partition][event.place.event_id] = self._by_request[request] = waiting
        waiting.done.add_done_callback(lambda _: self._end(waiting, request))
        # a task of its own: a caller that disconnects does not take back what is being written
        waiting.writing = asyncio.create_task(self._send(waiting, request))
        return waiting

    async def _send(self, waiting: Waiting, request: str) -> None:
        try:
            waiting.position = await self._write(waiting.event, request)
            self._metrics.stage.observe(self._clock_s() - waiting.since_s, "write")
        except Exception as error:  # whatever it is: whether the event is in the log is not known
            log.warning("gateway.write_failed", error=type(error).__name__)
            self._metrics.refused.labels("unwritten").inc()
            problem = ProblemError(
                Kind.UNAVAILABLE,
                "the event may or may not have been written: send it again, a repetition is harmless",
                retry_after_s=1,
            )
            _fail(waiting.done, problem)

    def _end(self, waiting: Waiting, request: str) -> None:
        self._waiting[waiting.event.place.partition].pop(waiting.event.place.event_id, None)
        self._by_request.pop(request, None)
        self._metrics.pending.set(len(self))

    def take(self, record: Record) -> None:
        """What came on `answers`. Raises where it is no answer."""
        if record.key is not None:
            self._take_decision(Place(record.partition, record.key.decode()), record)
        else:
            self._take_refusal(record)

    def _take_decision(self, place: Place, record: Record) -> None:
        self.memory.keep(place, record.value)
        waiting = self._at(place)
        if waiting is not None:
            self._answered_s = self._clock_s()
            self._metrics.stage.observe((record.timestamp - waiting.event.timestamp_ms) / 1000, "score")
            self._metrics.stage.observe((wall_ms() - record.timestamp) / 1000, "commit")
            _resolve(waiting, record.value, repeated=waiting.repetition is not None)

    def _take_refusal(self, record: Record) -> None:
        request = next((value for name, value in record.headers if name == REQUEST_HEADER), b"").decode()
        waiting = self._by_request.get(request)
        if waiting is None:
            return
        self._answered_s = self._clock_s()
        answer = read_answer(record.value)
        reason = answer.refused or DeadLetterReason.UNSCORABLE
        known = self.memory.get(waiting.event.place) if reason is DeadLetterReason.DUPLICATE else None
        if known is not None:  # decided before: by this partition, so its answer lies before this one
            _resolve(waiting, known, repeated=True)
        elif reason is DeadLetterReason.DUPLICATE and self._staged:
            waiting.repetition = refusal(reason, answer.detail or reason.value)
        else:
            _fail(waiting.done, refusal(reason, answer.detail or reason.value))

    def sweep(self) -> None:
        """Give up events whose answers did not come: one that comes later is still remembered."""
        due_s = self._clock_s() - self._settings.pending_s_max
        for waiting in [waiting for waiting in self._by_request.values() if waiting.since_s < due_s]:
            if waiting.repetition is not None:  # what it repeats was decided before we remember
                _fail(waiting.done, waiting.repetition)
                continue
            self._metrics.abandoned.inc()
            if waiting.writing is not None:
                waiting.writing.cancel()
            if not waiting.done.done():
                waiting.done.set_result(Reply(None, False, waiting.position))


def reply_of(answer: Answer, *, repeated: bool, event: Event | None = None) -> Reply:
    """A decision as a reply. event: the one that asks; it must be the same as the one that was decided."""
    position = Position(topic=answer.source_topic, partition=answer.source_partition, offset=answer.source_offset)
    score = answer.score
    if (
        event is not None
        and score is not None
        and (score.card_id, score.event_time_ms) != (event.subject, event.time_ms)
    ):
        raise _another()
    return Reply(answer, repeated, position)


def _another() -> ProblemError:
    return ProblemError(Kind.REPEATED, "another event has this id: give each event an id of its own")


def _resolve(waiting: Waiting, value: bytes, *, repeated: bool) -> None:
    if waiting.done.done():
        return
    try:
        waiting.done.set_result(reply_of(read_answer(value), repeated=repeated, event=waiting.event))
    except ProblemError as problem:
        _fail(waiting.done, problem)


def _fail(done: asyncio.Future[Reply], problem: ProblemError) -> None:
    if not done.done():
        done.set_exception(problem)
        done.exception()  # no one may be waiting any more
