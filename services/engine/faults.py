"""One record to one message, or the fault that makes it a dead letter. Where a record's timestamp becomes a number of ours."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from schemas import codec
from schemas.dead_letter import DeadLetterReason
from schemas.times import looks_like, record_time_problem, time_in
from schemas.topics import source_headers
from services.engine.batches import Headers, Record
from services.engine.origin import NO_ORIGINS, Origins
from services.kafka.record_batches import Unreadable
from services.observability.metrics import Metrics

M = TypeVar("M")

_REASONS: dict[type[codec.RejectedError], DeadLetterReason] = {
    codec.UndecodableError: DeadLetterReason.UNDECODABLE,
    codec.TooDeepError: DeadLetterReason.TOO_DEEP,
    codec.SchemaError: DeadLetterReason.SCHEMA,
    codec.UnknownSchemaError: DeadLetterReason.UNKNOWN_SCHEMA,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One record that is not processed, and why."""

    record: Record
    reason: DeadLetterReason
    detail: str


def parsed(record: Record, parse: Callable[[bytes], M], bytes_max: int) -> M | Fault:
    """The record's message, by a parser of `codec.decoder`."""
    payload: bytes | None = record.value
    if isinstance(payload, Unreadable):
        reason = DeadLetterReason.TOO_LARGE if payload.too_large else DeadLetterReason.UNDECODABLE
        return Fault(record, reason, payload.why)
    if problem := record_time_problem(timestamp_ms(record)):
        return Fault(record, DeadLetterReason.TIMESTAMP, problem)
    if not payload:
        return Fault(record, DeadLetterReason.EMPTY, "no payload")
    if len(payload) > bytes_max:
        return Fault(record, DeadLetterReason.TOO_LARGE, f"more than {bytes_max} bytes")
    try:
        return parse(payload)
    except codec.RejectedError as error:
        return Fault(record, _REASONS[type(error)], f"{error}{_unit(payload, str(error))}")
    except MemoryError:
        raise
    except Exception as error:
        return unscorable(record, type(error).__name__)


def count_faults(metrics: Metrics, faults: Iterable[Fault]) -> None:
    """Count committed dead letters by reason."""
    for reason, number in Counter(fault.reason.value for fault in faults).items():
        metrics.dead_letters.labels(reason).inc(number)


def guarded(judge: Callable[[Record], M | Fault], record: Record) -> M | Fault:
    """What `judge` makes of a record; a fault of ours where it raises, except for a MemoryError."""
    try:
        return judge(record)
    except MemoryError:
        raise
    except Exception as error:
        return unscorable(record, type(error).__name__)


def unscorable(record: Record, error: str) -> Fault:
    """A fault of ours that one record brings out. error: the type of what a stage raised; its text may quote the payload."""
    return Fault(record, DeadLetterReason.UNSCORABLE, f"a stage raised {error} on this record")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Between which times something can have happened. ahead_ms_max: of its record's timestamp. floor_ms: since 1970 UTC."""

    ahead_ms_max: int
    floor_ms: int

    def fault(self, record: Record, field: str, time_ms: int) -> Fault | None:
        """What is wrong with a time in a record whose own timestamp is sound.

        The timestamp is in the log, so a replay judges the same; our own clock is not.
        """
        if time_ms > timestamp_ms(record) + self.ahead_ms_max:
            detail = f"{field} is more than {self.ahead_ms_max} ms ahead of the record's timestamp"
            return Fault(record, DeadLetterReason.FUTURE, detail)
        if time_ms < self.floor_ms:
            detail = f"{field} is before the first day allowed (ASSAY_EVENT_DATE_MIN){looks_like(time_ms)}"
            return Fault(record, DeadLetterReason.PAST, detail)
        return None


def timestamp_ms(record: Any) -> int:
    """When an aiokafka record or Faust message (which keeps seconds) was produced, ms since 1970 UTC, as its producer said."""
    timestamp = record.timestamp
    return round(timestamp * 1000) if isinstance(timestamp, float) else int(timestamp)


def sound_timestamp_ms(record: Any) -> int | None:
    """The same; None where it is missing or implausible: none of our records has one like that."""
    timestamp = timestamp_ms(record)
    return None if record_time_problem(timestamp) else timestamp


def headers_of(source: Record, origins: Origins = NO_ORIGINS) -> Headers:
    """What ties an output record to the input record it comes from, and to the user's own where intake is between."""
    own = source_headers(source.topic, source.partition, source.offset, sound_timestamp_ms(source))
    return [*own, *origins.headers(source)]


def _unit(payload: bytes, refusal: str) -> str:
    """Which unit a time that its schema refuses seems to be in."""
    field = refusal.rpartition(" at $.")[2]
    value = time_in(payload, field) if field.endswith("_ms") and field.isidentifier() else None
    return "" if value is None else looks_like(value)
