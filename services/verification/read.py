"""Reads ranges of partitions, read_committed, chunk by chunk."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.clock import monotonic_s
from services.errors import AssayError

STALL_S_MAX = 60.0
"""A read without progress for this long ends in an error."""

POLL_MS = 200

Progress = Callable[[int, int], None]
"""Called with the offsets read so far and the offsets in all."""


class VerificationError(AssayError):
    """There is nothing to verify, or it could not be read."""


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets from `begin` (inclusive) to `end` (exclusive)."""

    begin: int
    end: int


async def read(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span], progress: Progress | None = None
) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
    """Every committed record of the spans, each partition in its order. Raises VerificationError when nothing comes.

    Offsets of markers and of aborted records are passed over in silence.
    """
    consumer.assign(list(spans))
    for tp, span in spans.items():
        consumer.seek(tp, span.begin)
    at = {tp: span.begin for tp, span in spans.items()}
    unread = set(spans)
    whole, moved_s = sum(span.end - span.begin for span in spans.values()), monotonic_s()
    while True:
        for tp in [tp for tp in unread if at[tp] >= spans[tp].end]:
            unread.discard(tp)
            consumer.pause(tp)
        if progress:
            progress(whole - sum(spans[tp].end - at[tp] for tp in unread), whole)
        if not unread:
            return
        for tp, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
            yield tp, [record for record in records if record.offset < spans[tp].end]
        before, at = at, {tp: await consumer.position(tp) for tp in spans}
        if at != before:
            moved_s = monotonic_s()
        elif monotonic_s() - moved_s > STALL_S_MAX:
            tp = min(unread)
            raise VerificationError(
                f"{tp.topic}-{tp.partition} gave nothing for {STALL_S_MAX:.0f} s: is its broker up?"
            )
