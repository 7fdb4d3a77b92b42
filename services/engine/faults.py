"""One record to one message, or the fault that makes it a dead letter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from schemas import codec
from schemas.dead_letter import DeadLetterReason
from services.engine.batches import Record

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
    if not payload:
        return Fault(record, DeadLetterReason.EMPTY, "no payload")
    if len(payload) > bytes_max:
        return Fault(record, DeadLetterReason.TOO_LARGE, f"more than {bytes_max} bytes")
    try:
        return parse(payload)
    except codec.RejectedError as error:
        return Fault(record, _REASONS[type(error)], str(error))
