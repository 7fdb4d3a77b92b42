"""A scorer that writes down, batch by batch, when it was asked for, fetched, judged and committed: for `slowest`.

Not a setting of the product. It writes to the file that BENCH_TIMES names, when it ends; times are of the monotonic clock,
which the processes of a machine share.
"""

import gc
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.consumer import fetcher

from services.clock import monotonic_s
from services.engine import delivery, process
from services.engine.batches import Record
from services.engine.failpoints import Point
from services.engine.tracing import OFF, Trace
from services.observability.metrics import Metrics
from services.scorer import __main__ as scorer
from services.settings.processing import RuntimeSettings


class Fetch(msgspec.Struct):
    """Records of one partition in one answer of the broker. offset: the first that was asked for."""

    partition: int
    offset: int
    asked_s: float
    fetched_s: float


class Batch(msgspec.Struct):
    """One batch. moments: when each part of its way was over."""

    partition: int
    first: int
    last: int
    begun_s: float
    moments: dict[str, float] = {}


class Pause(msgspec.Struct):
    """The garbage collector at work."""

    begun_s: float
    ended_s: float


class Times(msgspec.Struct):
    """All of a run."""

    fetches: list[Fetch] = []
    batches: list[Batch] = []
    pauses: list[Pause] = []


times = Times()
_batch: ContextVar[Batch | None] = ContextVar("batch", default=None)
_asked_s: ContextVar[float] = ContextVar("asked_s", default=0.0)


class BatchTimes:
    """In the place of traces."""

    def __init__(self, metrics: Metrics) -> None:
        metrics.on_stage = lambda name, started_s, ended_s: mark(name)

    @contextmanager
    def batch(self, records: Sequence[Record]) -> Iterator[Trace]:
        """While one is in work."""
        batch = Batch(records[0].partition, records[0].offset, records[-1].offset, monotonic_s())
        token = _batch.set(batch)
        try:
            yield OFF
        finally:
            _batch.reset(token)
            times.batches.append(batch)


def mark(name: str) -> None:
    """A part of the way of the batch in work is over."""
    batch = _batch.get()
    if batch is not None:
        batch.moments[name] = monotonic_s()


def _failpoint(point: Point) -> None:
    mark(point)


def _asking(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def asked(*arguments: Any) -> Any:
        _asked_s.set(monotonic_s())  # each is a task of its own
        return await ask(*arguments)

    return asked


class FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # the library has no types
    """What was fetched, noted."""

    def __init__(self, tp: Any, *, partition_records: Any, **options: Any) -> None:
        super().__init__(tp, partition_records=partition_records, **options)
        fetch = Fetch(tp.partition, partition_records.next_fetch_offset, _asked_s.get(), monotonic_s())
        if tp.topic == os.environ["BENCH_SOURCE"]:
            times.fetches.append(fetch)


def _collecting(phase: str, found: dict[str, int]) -> None:
    if phase == "start":
        times.pauses.append(Pause(monotonic_s(), 0.0))
    else:
        times.pauses[-1].ended_s = monotonic_s()


def _create(runtime: RuntimeSettings, metrics: Metrics) -> BatchTimes:
    return BatchTimes(metrics)


if __name__ == "__main__":
    process.create = _create  # type: ignore[assignment, attr-defined]
    delivery.failpoint = _failpoint  # type: ignore[attr-defined]
    fetcher.FetchResult = FetchResult
    fetcher.Fetcher._proc_fetch_request = _asking(fetcher.Fetcher._proc_fetch_request)
    gc.callbacks.append(_collecting)
    try:
        process.main(scorer.start)
    finally:
        Path(os.environ["BENCH_TIMES"]).write_bytes(msgspec.json.encode(times))
