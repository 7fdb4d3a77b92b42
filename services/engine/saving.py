"""Saves a partition's state beside its work: captured between two batches, written by a thread while the partition goes on.

One at a time in a process, so what the captures keep aside is bounded by one partition's state. A save that is given up
leaves the snapshots as they were: the next owner folds from the newest of them.
"""

import asyncio
import contextlib
import math
import random
import threading
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from models.features.capture import Capture
from services.clock import monotonic_s
from services.engine.batches import Record
from services.engine.log_identity import LogIdentities, ReplacedError
from services.engine.snapshots import NO_LOG_ID, SnapshotStore
from services.observability.metrics import Metrics
from services.settings.processing import RuntimeSettings

log = structlog.get_logger(__name__)


class Saveable(Protocol):
    """What a save needs of a processor."""

    def snapshot(self) -> Capture:
        """The state as it is now."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is saved. last: the record before the offset, if any was seen."""

    processor: Saveable
    snapshots: SnapshotStore
    offset: int
    last: Record | None


class SnapshotSaver:
    """The saves of one partition."""

    def __init__(
        self,
        source: TopicPartition,
        settings: RuntimeSettings,
        logs: LogIdentities,
        metrics: Metrics,
        turn: asyncio.Semaphore,
    ) -> None:
        """turn: the process's, held by the partition that saves."""
        self._source, self._settings, self._logs, self._metrics, self._turn = source, settings, logs, metrics, turn
        self._label = metrics.label(source)
        self._due_s = 0.0
        self._saved_offset = -1
        self._saving: asyncio.Task[None] | None = None
        self._given_up = threading.Event()

    def first_due(self) -> None:
        """Each partition at its own time: all at once, they would wait for each other's turn."""
        self._due_s = monotonic_s() + self._settings.snapshot_interval_s * random.random()

    async def begin_if_due(self, moment: Moment) -> None:
        """Begin a save, if it is time and no partition is at one. Raises what an earlier one met unforeseen."""
        if self._saving is not None and self._saving.done():
            self._saving.result()
            self._saving = None
        if self._saving is None and monotonic_s() >= self._due_s and not self._turn.locked():
            await self._begin(moment)

    async def finish(self, moment: Moment, until_s: float) -> None:
        """A last save, as far as the time on the monotonic clock reaches; what is not done by then is given up."""
        await self.give_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if until_s == math.inf else until_s - monotonic_s()):
                await self._begin(moment)
                if self._saving is not None:
                    await asyncio.shield(self._saving)
        await self.give_up()

    async def give_up(self) -> None:
        """End a save that is under way. Its thread may go on for a moment, and leaves nothing."""
        if self._saving is not None and not self._saving.done():
            self._given_up.set()
            await asyncio.sleep(0)
        self._saving = None

    async def _begin(self, moment: Moment) -> None:
        self._due_s = monotonic_s() + self._settings.snapshot_interval_s
        if moment.offset == self._saved_offset or (moment.snapshots.log_id == NO_LOG_ID and moment.last is None):
            return  # nothing new; or nothing to tell the log by
        await self._turn.acquire()
        self._given_up = threading.Event()
        try:
            capture = moment.processor.snapshot()
        except MemoryError as error:
            self._turn.release()
            self._say_why_not(error, given_up=False)
        except BaseException:
            self._turn.release()
            raise
        else:
            self._saving = asyncio.create_task(self._save(moment, capture, self._given_up))

    async def _save(self, moment: Moment, capture: Capture, given_up: threading.Event) -> None:
        """A failure is counted and logged, and costs a longer restart, nothing else."""
        try:
            await self._logs.check(self._source.topic)
            size_bytes = await asyncio.to_thread(
                moment.snapshots.save, moment.offset, capture, moment.last, given_up.is_set
            )
        except ReplacedError:
            return  # the worker meets it at its next poll
        except (OSError, KafkaError, MemoryError) as error:
            self._say_why_not(error, given_up=given_up.is_set())
            return
        finally:
            self._turn.release()
            capture.close()
            self._due_s = monotonic_s() + self._settings.snapshot_interval_s
        self._saved_offset = moment.offset
        self._metrics.snapshots.labels("saved").inc()
        if not given_up.is_set():  # the partition is another's by now
            self._metrics.snapshot_bytes.labels(self._label).set(size_bytes)
            self._metrics.snapshot_time.labels(self._label).set_to_current_time()

    def _say_why_not(self, error: Exception, *, given_up: bool) -> None:
        where: dict[str, Any] = {"topic": self._source.topic, "partition": self._source.partition}
        self._metrics.snapshots.labels("abandoned" if given_up else "failed").inc()
        if given_up:
            log.info("snapshot.abandoned", **where)
        else:
            log.error("snapshot.failed", **where, error=getattr(error, "strerror", None) or type(error).__name__)
