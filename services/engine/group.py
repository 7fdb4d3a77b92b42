"""The process's share of the consumer group: starts a worker for each partition it is given, stops it when it is taken.

Exceptions in a rebalance callback are swallowed by the client library (E): every one is kept here and ends the process.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.clock import monotonic_s
from services.engine.held import Decision, Held
from services.engine.watch import Watched
from services.engine.worker import RETRIABLE_ERRORS, PartitionWorker, WorkerDependencies
from services.errors import AssayError
from services.kafka.client import ConsumerRebalanceListener
from services.kafka.open_transactions import log_ends, opener

log = structlog.get_logger(__name__)

WATCH_INTERVAL_S = 1.0

LOOK = "look at the brokers' logs if it happens again."


class WorkerGroup(ConsumerRebalanceListener):  # type: ignore[misc]  # the library is untyped
    """Owns the workers of one process."""

    def __init__(self, topics: Sequence[str], dependencies: WorkerDependencies) -> None:
        self._topics = topics
        self._dependencies = dependencies
        for error in RETRIABLE_ERRORS:
            dependencies.metrics.failures.labels(error.__name__)
        self._settings = dependencies.settings
        self._workers: dict[TopicPartition, PartitionWorker] = {}
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._joining_since_s: float | None = monotonic_s()
        """Since when we wait for an assignment of the group; None while we have one, also an empty one."""
        self._ending = False
        """From here on a rebalance in progress starts no worker: nothing would stop it."""
        self._watched = Watched()
        self._stuck_s = 0.0
        self._tick_s = monotonic_s()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. Raises AssayError when a part cannot continue."""
        consumer = self._dependencies.consumer
        consumer.subscribe(self._topics, listener=self)
        watching: asyncio.Future[Any] = asyncio.ensure_future(self._watch())
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([stopping, self._failed, watching], return_when=asyncio.FIRST_COMPLETED)
            for done in (self._failed, watching):
                if done.done():
                    done.result()
        finally:
            self._ending = True
            stopping.cancel()
            watching.cancel()
            await self._stop(list(self._workers), self._settings.drain_timeout_s)
            await self._end_transactions()

    @property
    def ready(self) -> bool:
        """Whether the group has answered, and every partition we own is restored and moving."""
        return self.why_not_ready() is None

    def why_not_ready(self) -> str | None:
        """One sentence a cause; None where every partition we own is restored and moving."""
        causes = [*self._dependencies.logs.why_not_ready(), *map(str, self.held())]
        bound_s, now_s = self._settings.progress_timeout_s, monotonic_s()
        for source, hidden in sorted(self._watched.hidden_for(bound_s, now_s).items()):
            causes.append(
                f"{source.topic}-{source.partition}: the offsets {hidden.stable_offset} to {hidden.end_offset} wait behind an "
                f"open transaction ({hidden.opener or 'of another producer'}) since {now_s - hidden.since_s:.0f} s"
            )
        if waits_for := self._dependencies.waits_for():
            causes.append(waits_for)
        if self._joining_since_s is not None:
            causes.append(f"the group {self._settings.group} has not assigned us partitions yet")
        elif self._stuck_s >= bound_s:
            causes.append(f"nothing moves since {self._stuck_s:.0f} s")
        starting = [w for w in self._workers.values() if w.phase not in ("running", "held", "replaced")]
        if starting:
            names = ", ".join(sorted(self._dependencies.metrics.label(worker.source) for worker in starting))
            causes.append(f"partitions {names} are {starting[0].phase}")
        return "; ".join(causes) or None

    def held(self) -> list[Held]:
        """Partitions that wait for an operator, and why. Safe to call from another thread."""
        return [worker.held for worker in list(self._workers.values()) if worker.held is not None]

    def decide(self, partition: str, decision: Decision) -> bool:
        """An operator's decision about a held partition. False where it is not held there, or not here."""
        return any(
            f"{source.topic}-{source.partition}" == partition and worker.decide(decision)
            for source, worker in self._workers.items()
        )

    @property
    def alive(self) -> bool:
        """Whether the event loop still turns."""
        return monotonic_s() - self._tick_s < 2 * self._settings.request_timeout_s + 10 * WATCH_INTERVAL_S

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish and stop the workers of revoked partitions, before the group continues."""
        self._joining_since_s = monotonic_s()
        try:
            # the group waits for us no longer than a session: half of it is left for the way to the brokers
            await self._stop(revoked, min(self._settings.drain_timeout_s, self._settings.session_timeout_s / 2))
            await self._end_transactions()
        except Exception as error:
            self._fail(error)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start a worker for each partition; they restore beside each other, not in the rebalance."""
        try:
            self._start(assigned)
        except Exception as error:
            self._fail(error)

    def _start(self, assigned: Collection[TopicPartition]) -> None:
        if self._ending:
            return
        log.info("group.assigned", partitions=sorted(map(self._dependencies.metrics.label, assigned)))
        self._dependencies.metrics.rebalances.inc()
        self._dependencies.metrics.assigned.set(len(assigned))
        self._dependencies.pacer.partitions = max(1, len(assigned))
        if self._dependencies.shared is not None:
            self._dependencies.shared.assigned(assigned)
        for source in assigned:
            worker = PartitionWorker(source, self._dependencies)
            task = asyncio.ensure_future(worker.run())
            task.add_done_callback(self._ended)
            self._workers[source], self._tasks[source] = worker, task
        self._joining_since_s = None

    async def _stop(self, sources: Collection[TopicPartition], within_s: float) -> None:
        """Drain running workers within the bound; cancel those that are still starting, and those that do not end."""
        tasks = []
        for source in sources:
            worker, task = self._workers.pop(source, None), self._tasks.pop(source, None)
            self._watched.forget(source)
            if worker is None or task is None:
                continue
            tasks.append((worker, task))
            if worker.phase == "running":
                worker.drain(within_s)
            else:
                worker.revoke()
                task.cancel()
        if not tasks:
            return
        _, late = await asyncio.wait([task for _, task in tasks], timeout=within_s)
        for worker, task in tasks:
            if task in late:
                log.warning("partition.drain_timeout", partition=worker.source.partition)
                worker.revoke()
                task.cancel()
        await asyncio.wait([task for _, task in tasks])

    async def _end_transactions(self) -> None:
        """Those that the workers shared; they have all ended."""
        if self._dependencies.shared is not None:
            await self._dependencies.shared.revoked()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None and task in self._tasks.values():  # it ended unasked: its partition would make no progress
            error = AssayError(
                f"A partition's worker ended on its own: this process ends so that another can take over; {LOOK}"
            )
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _watch(self) -> None:
        """F: the client can be stuck without any sign. Ask the broker for the ends, and compare with what we commit."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            await self._look_at_logs()
            waiting = await self._waiting()
            self._tick_s = now_s = monotonic_s()
            joining_s = 0.0 if self._joining_since_s is None else now_s - self._joining_since_s
            self._stuck_s = max((now_s - worker.progress_s for worker in waiting), default=joining_s)
            self._dependencies.metrics.ready.set(self.ready)
            if self._dependencies.waits_for() is not None:
                continue  # another process would wait as well
            if self._stuck_s > 2 * self._settings.progress_timeout_s:
                raise AssayError(f"{self._stuck(waiting)}: this process ends so that another can take over; {LOOK}")

    def _stuck(self, waiting: Sequence[PartitionWorker]) -> str:
        if not waiting:
            return f"The group {self._settings.group} has assigned us nothing for {self._stuck_s:.0f} s"
        partitions = ", ".join(sorted(self._dependencies.metrics.label(worker.source) for worker in waiting))
        return f"Partitions {partitions} have records waiting but committed none for {self._stuck_s:.0f} s"

    async def _look_at_logs(self) -> None:
        """Whether each topic is still the log that it was; a partition that is worked sees the answer at its next poll."""
        try:
            await self._dependencies.logs.check()
            for topic in self._topics:
                self._dependencies.logs.count(topic, len(self._dependencies.consumer.partitions_for_topic(topic) or ()))
        except (KafkaError, TimeoutError) as error:
            log.warning("watchdog.no_answer", error=type(error).__name__)

    async def _waiting(self) -> list[PartitionWorker]:
        """Workers that have something to do: not yet running, or with readable records beyond their position."""
        workers = [worker for worker in self._workers.values() if worker.phase not in ("held", "replaced")]
        if not workers:
            return []
        consumer, timeout_s = self._dependencies.consumer, self._settings.request_timeout_s
        sources = [worker.source for worker in workers]
        try:
            stable = await asyncio.wait_for(consumer.end_offsets(sources), timeout_s)
            ends = await log_ends(consumer, sources, timeout_s)
        except (KafkaError, TimeoutError) as error:
            log.warning("watchdog.no_answer", error=type(error).__name__)
            return workers  # a broker that does not answer counts as no progress
        waiting = []
        for worker in workers:
            source, passed = worker.source, worker.passed_offset
            self._dependencies.metrics.lag.labels(self._dependencies.metrics.label(source)).set(
                max(0, ends[source] - passed)
            )
            if worker.phase != "running" or stable[source] > passed:
                waiting.append(worker)
            else:
                worker.caught_up()
                await self._look_behind(worker, stable[source], ends[source])
        return waiting

    async def _look_behind(self, worker: PartitionWorker, stable: int, end: int) -> None:
        """Whether records wait that cannot be read, and since when: behind an open transaction, which is not our fault."""
        now_s = monotonic_s()
        hidden = self._watched.see(worker.source, worker.passed_offset, stable, end, now_s)
        hidden_s = now_s - hidden.since_s if hidden is not None else 0.0
        self._dependencies.metrics.open_transaction.labels(self._dependencies.metrics.label(worker.source)).set(
            hidden_s
        )
        if hidden is not None and hidden.opener is None and hidden_s >= self._settings.progress_timeout_s:
            asking = opener(self._dependencies.consumer, worker.source)
            try:
                hidden.opener = await asyncio.wait_for(asking, self._settings.request_timeout_s)
            except TimeoutError:
                hidden.opener = "of a producer that the brokers do not name in time"
            log.error(
                "partition.hidden",
                topic=worker.source.topic,
                partition=worker.source.partition,
                stable_offset=stable,
                end_offset=end,
                transaction=hidden.opener,
                next_step="end it where that producer runs, or with kafka-transactions.sh abort",
            )
