"""One record to one message, or the fault that makes it a dead letter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from schemas import codec
from schemas.dead_letter import DeadLetterReason
from services.runtime.batches import Record
from services.runtime.record_batches import Unreadable

M = TypeVar("M")

_REASONS: dict[type[codec.RejectedError], DeadLetterReason] = {
    codec.UndecodableError: DeadLetterReason.UNDECODABLE,
    codec.TooDeepError: DeadLetterReason.TOO_DEEP,
    codec.SchemaError: DeadLetterReason.SCHEMA,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One record that is not to be worked, and why."""

    record: Record
    reason: DeadLetterReason
    detail: str


def parsed(record: Record, parse: Callable[[bytes], M], bytes_max: int) -> M | Fault:
    """The record's message, by a parser of `codec.decoder`."""
    payload: bytes | None = record.value
    if isinstance(payload, Unreadable):
        reason = DeadLetterReason.TOO_LARGE if payload.too_large else DeadLetterReason.UNDECODABLE
        return Fault(record, reason, payload.why)
    if not payload:
        return Fault(record, DeadLetterReason.EMPTY, "no payload")
    if len(payload) > bytes_max:
        return Fault(record, DeadLetterReason.TOO_LARGE, f"more than {bytes_max} bytes")
    try:
        return parse(payload)
    except codec.RejectedError as error:
        return Fault(record, _REASONS[type(error)], str(error))
    except MemoryError:
        raise
    except Exception as error:
        return unscorable(record, type(error).__name__)


def unscorable(record: Record, error: str) -> Fault:
    """A fault of ours that one record brings out. error: the type of what a stage raised; its text may quote the payload."""
    return Fault(record, DeadLetterReason.UNSCORABLE, f"a stage raised {error} on this record")
