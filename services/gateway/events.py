"""Bytes of a request to events, judged by the scorer's own decoder: what it would refuse is refused before it is written."""

from collections.abc import Callable
from typing import NamedTuple

from models.sources.spec_file import topic_of
from schemas import codec
from schemas.dead_letter import DeadLetterReason
from schemas.source_spec import SourceSpec
from services.engine.decode import Decoder
from services.engine.faults import TimeLimits
from services.engine.placement import place
from services.gateway.problems import Kind, ProblemError
from services.settings.processing import RuntimeSettings

NOT_SELECTED = "the source spec does not select this event (`select`), so it is not scored"


class Place(NamedTuple):
    """What makes an event the same as another: its id, on the partition of its subject."""

    partition: int
    event_id: str


class Event(NamedTuple):
    """One event that the scorer would take."""

    place: Place
    subject: str
    time_ms: int
    payload: bytes
    timestamp_ms: int
    """Its record's: it was judged by this."""
    client: str
    """Who sends it."""


class _Record(NamedTuple):
    """What the decoder looks at."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class EventReader:
    """Judges events of one source."""

    def __init__(
        self, source: SourceSpec | None, runtime: RuntimeSettings, partitions: int, clock_ms: Callable[[], int]
    ) -> None:
        """partitions: of the input topic."""
        times = TimeLimits(runtime.event_ahead_ms_max, runtime.event_time_ms_min)
        # always with the scan of all ids: what comes in here is repeated in answers
        self._decoder = Decoder(runtime.message_bytes_max, times, scan_ids=True, source=source)
        self._topic = topic_of(source).name
        self._partitions, self._clock_ms = partitions, clock_ms
        place(b"", partitions)  # compiled, or read from its cache, now: by the first event it would take half a second

    def read(self, payload: bytes, client: str) -> Event:
        """Raises ProblemError."""
        record = _Record(self._topic, 0, 0, self._clock_ms(), payload)
        found = self._decoder.decode([record])
        if found.faults:
            raise refusal(found.faults[0].reason, found.faults[0].detail)
        if not found.records:
            raise ProblemError(Kind.INVALID, NOT_SELECTED)
        (event_id,), (subject,) = found.events.ids, found.events.subjects
        partition = place(subject.encode(), self._partitions)
        return Event(
            Place(partition, event_id), subject, int(found.events.time_ms[0]), payload, record.timestamp, client
        )


def refusal(reason: DeadLetterReason, detail: str) -> ProblemError:
    """The problem of an event that is a dead letter, or would be one."""
    if reason is DeadLetterReason.DUPLICATE:
        return ProblemError(
            Kind.REPEATED, f"{detail}, and its decision is not remembered here: look on `scores`", reason
        )
    if reason is DeadLetterReason.TOO_LARGE:
        return ProblemError(Kind.TOO_LARGE, detail, reason)
    kind = Kind.MALFORMED if reason in (DeadLetterReason.UNDECODABLE, DeadLetterReason.EMPTY) else Kind.INVALID
    return ProblemError(kind, detail, reason)


def split(body: bytes, events_max: int) -> list[bytes] | None:
    """The events of a request that holds a list of them; None where it holds one. Raises ProblemError."""
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return None
    try:
        found = codec.list_items(body)
    except codec.RejectedError as error:
        raise ProblemError(Kind.MALFORMED, f"{error}: send an event, or a list of events") from None
    if not 0 < len(found) <= events_max:
        raise ProblemError(
            Kind.TOO_LARGE if found else Kind.MALFORMED,
            f"the list holds {len(found)} events: send 1 to {events_max} (ASSAY_GATEWAY_EVENTS_MAX)",
        )
    return found
