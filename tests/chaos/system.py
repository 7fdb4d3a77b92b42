"""The running system: scorers with a supervisor, load, a second reader; and what each fault does to it."""

import asyncio
import contextlib
import os
import random
import resource
import signal
import time
from collections import Counter
from pathlib import Path

from aiokafka.errors import KafkaError

from services.kafka.client import transactional_producer
from services.settings.processing import RuntimeSettings
from tests.chaos.cluster import Cluster
from tests.chaos.load import Load
from tests.chaos.models import Versions
from tests.chaos.plan import Action
from tests.chaos.proxy import END_TXN, Hold, Way
from tests.services.engine.wire import PLACEHOLDER, Row, bad_names, batch, produce
from tests.services.harness import ROOT, WAIT_S_MAX, Scorer, Stream

SCORERS = 2
SCORERS_MAX = 3
SUPERVISE_S = 0.25
UPSTREAM_TIMEOUT_S = 10.0
"""After which the brokers abort what a producer of payments left open."""
SNAPSHOT_BYTES_MAX = 256 << 10
"""A file may grow to this while the disk is full; a snapshot is larger, a log smaller."""

SETTINGS = {
    "ASSAY_SESSION_TIMEOUT_S": "6",
    "ASSAY_TRANSACTION_TIMEOUT_S": "10",
    "ASSAY_REQUEST_TIMEOUT_S": "3",
    "ASSAY_PROGRESS_TIMEOUT_S": "30",
    "ASSAY_BATCH_RECORDS_MAX": "200",
    "ASSAY_SNAPSHOT_INTERVAL_S": "1",
    "ASSAY_PRODUCER_AGE_S_MAX": "20",
    "ASSAY_DEAD_LETTER_SHARE_MAX": "1",  # a burst of garbage must stop nothing; the cap has its own tests
    "ASSAY_DECISION_SHARE": "0.05",
}

FELT = {
    "partition_failures": "partition.failed",
    "assignments": "group.assigned",
    "snapshots_failed": "snapshot.failed",
    "restores": "partition.restored",
    "models_swapped": "model.swapped",
}

IN_GOOD_ORDER = (0, 2, -signal.SIGKILL, -signal.SIGTERM)
"""How a scorer may end: asked, with one sentence, killed, asked before it had begun. Any other is a crash of ours."""


class System:
    """Scorers, load and brokers of one run."""

    def __init__(self, cluster: Cluster, stream: Stream, rate: float, directory: Path) -> None:
        self.cluster, self.stream = cluster, stream
        self.load = Load(stream, rate)
        self.versions = Versions(directory)
        self.live: list[Scorer] = []
        self.done: Counter[str] = Counter()
        self.restarts = 0
        self.accepted_log = ""
        """Id of the input topic, once it was made again."""
        self.crashes: list[str] = []
        self._stopped: set[Scorer] = set()

    def start_scorer(self, *, clock_shift_s: int = 0, stall: Path | None = None) -> Scorer:
        """One more scorer, through the proxies. stall: once the file is there, its fetches get no answer."""
        environment = {
            **SETTINGS,
            **self.stream.environment,
            "ASSAY_KAFKA_BOOTSTRAP": self.cluster.proxied,
            **self.versions.environment,
            "TEST_CLOCK_SHIFT_S": str(clock_shift_s),
        }
        if self.accepted_log:
            environment["ASSAY_ACCEPTED_LOGS"] = self.accepted_log
        if stall is not None:
            environment |= {
                "STALL_FETCHES_FILE": str(stall),
                "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/services/stall"), str(ROOT)]),
                "ASSAY_PROGRESS_TIMEOUT_S": "4",
            }
        module = "tests.chaos.shifted" if clock_shift_s else "services.scorer"
        scorer = Scorer(self.stream, environment, len(self.stream.processes), module)
        self.stream.processes.append(scorer)
        self.live.append(scorer)
        return scorer

    async def supervise(self, stop: asyncio.Event) -> None:
        """Start ended scorers again, as a platform does, until `stop`."""
        while not stop.is_set():
            for scorer in [scorer for scorer in self.live if scorer.returncode is not None]:
                self.live.remove(scorer)
                self.restarts += 1
                self._look_at(scorer)
                self.start_scorer()
            await asyncio.sleep(SUPERVISE_S)

    def _look_at(self, scorer: Scorer) -> None:
        if scorer.returncode not in IN_GOOD_ORDER or "Traceback" in scorer.log():
            self.crashes.append(f"exit status {scorer.returncode}: {scorer.log()[-3000:]}")

    async def act(self, action: Action) -> None:
        """Do it, and undo it after its time."""
        self.done[action.kind] += 1
        await getattr(self, f"_{action.kind}")(action)

    async def all_ready(self) -> None:
        """Wait until every scorer is ready; one that ended in the meantime is the supervisor's, and its successor counts."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not (self.live and all([await asyncio.to_thread(scorer.ready) for scorer in list(self.live)])):
            assert time.monotonic() < deadline, f"not ready: {[scorer.log()[-1000:] for scorer in self.live]}"
            await asyncio.sleep(0.1)

    async def calm(self) -> None:
        """Undo everything that is still on."""
        self.cluster.heal()
        for scorer in list(self._stopped):
            self._continue(scorer)
        for scorer in self.live:
            limit_files(scorer, resource.RLIM_INFINITY)

    def end(self) -> None:
        """Ask every scorer to drain, and look at how each ended."""
        for scorer in self.live:
            if scorer.terminate() not in (0, -signal.SIGTERM) or "Traceback" in scorer.log():
                self.crashes.append(f"exit status {scorer.returncode} when asked to end: {scorer.log()[-3000:]}")

    def events(self) -> dict[str, int]:
        """How often the scorers' logs say that a fault was felt."""
        logs = [scorer.log() for scorer in self.stream.processes]
        return {name: sum(log.count(f'"{event}"') for log in logs) for name, event in FELT.items()}

    async def _chosen(self, action: Action) -> Scorer:
        """A scorer; when none is left for a moment, the one that takes its place."""
        while not self.live:  # noqa: ASYNC110
            await asyncio.sleep(SUPERVISE_S)
        return self.live[action.target % len(self.live)]

    async def _kill(self, action: Action) -> None:
        scorer = await self._chosen(action)
        self.live.remove(scorer)
        scorer.kill()
        self._stopped.discard(scorer)
        await asyncio.sleep(action.lasts_s)
        self.start_scorer()

    async def _stop(self, action: Action) -> None:
        scorer = await self._chosen(action)
        if scorer.returncode is None:
            scorer.signal(signal.SIGSTOP)
            self._stopped.add(scorer)
            await asyncio.sleep(action.lasts_s)
            self._continue(scorer)

    def _continue(self, scorer: Scorer) -> None:
        if scorer in self._stopped:
            self._stopped.discard(scorer)
            if scorer.returncode is None:
                scorer.signal(signal.SIGCONT)

    async def _join(self, action: Action) -> None:
        if len(self.live) >= SCORERS_MAX:
            await self._end_one(await self._chosen(action))
        self.start_scorer()

    async def _leave(self, action: Action) -> None:
        await self._end_one(await self._chosen(action))
        if len(self.live) < SCORERS:
            self.start_scorer()

    async def _end_one(self, scorer: Scorer) -> None:
        """SIGTERM, and its end; not a moment longer than a platform would wait."""
        self.live.remove(scorer)
        self._continue(scorer)
        with contextlib.suppress(ProcessLookupError):
            scorer.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(30):
                while scorer.returncode is None:  # noqa: ASYNC110 (a process has no event)
                    await asyncio.sleep(SUPERVISE_S)
        except TimeoutError:
            scorer.kill()
        self._look_at(scorer)

    async def _reload(self, action: Action) -> None:
        """Another version of the model, ordered while the scorers score."""
        await asyncio.to_thread(self.versions.change, self.stream)

    async def _clock(self, action: Action) -> None:
        """A scorer whose wall clock is an hour ahead, or behind, in place of another."""
        await self._end_one(await self._chosen(action))
        self.start_scorer(clock_shift_s=3600 if action.target % 2 else -3600)

    async def _broker_kill(self, action: Action) -> None:
        async with self.cluster.turn:
            index = action.target % len(self.cluster.proxies)
            await self.cluster.kill(index)
            await asyncio.sleep(action.lasts_s)
            await self.cluster.start_again(index)

    async def _blackhole_to_broker(self, action: Action) -> None:
        await self._blackhole("to_broker", action)

    async def _blackhole_to_client(self, action: Action) -> None:
        await self._blackhole("to_client", action)

    async def _blackhole(self, way: Way, action: Action) -> None:
        proxy = self.cluster.proxies[action.target % len(self.cluster.proxies)]
        proxy.blackhole(way)
        await asyncio.sleep(action.lasts_s)
        proxy.heal()

    async def _reset(self, action: Action) -> None:
        self.cluster.proxies[action.target % len(self.cluster.proxies)].reset()

    async def _latency(self, action: Action) -> None:
        for proxy in self.cluster.proxies:
            proxy.latency_s = 0.2
        await asyncio.sleep(action.lasts_s)
        for proxy in self.cluster.proxies:
            proxy.latency_s = 0.0

    async def _end_txn_request_late(self, action: Action) -> None:
        for proxy in self.cluster.proxies:
            proxy.hold(Hold(END_TXN, "to_broker", action.lasts_s, times=2))

    async def _end_txn_answer_late(self, action: Action) -> None:
        for proxy in self.cluster.proxies:
            proxy.hold(Hold(END_TXN, "to_client", action.lasts_s, times=2))

    async def _disk_full(self, action: Action) -> None:
        scorer = await self._chosen(action)
        limit_files(scorer, SNAPSHOT_BYTES_MAX)
        await asyncio.sleep(action.lasts_s)
        limit_files(scorer, resource.RLIM_INFINITY)

    async def _stuck_fetcher(self, action: Action) -> None:
        """A scorer whose fetches get no answer after a while, in place of another: it must end by itself."""
        await self._end_one(await self._chosen(action))
        stall = self.stream.directory / f"stall-{self.done['stuck_fetcher']}"
        self.start_scorer(stall=stall)
        await asyncio.sleep(action.lasts_s)
        stall.touch()

    async def _open_transaction(self, action: Action) -> None:
        """A producer of payments leaves its transaction open for a while, then aborts or commits it."""
        settings = RuntimeSettings(transaction_timeout_s=UPSTREAM_TIMEOUT_S)
        producer = transactional_producer(self.stream.kafka, settings, f"{self.stream.prefix}upstream-{action.target}")
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(action.lasts_s + UPSTREAM_TIMEOUT_S):
                await producer.start()
                await producer.begin_transaction()
                for value in self.load.payments(20):
                    await producer.send(
                        self.load.topic, value, key=b"k", partition=action.target % self.stream.partitions
                    )
                await producer.flush()
                await asyncio.sleep(action.lasts_s)
                await (producer.commit_transaction() if action.target % 2 else producer.abort_transaction())
        with contextlib.suppress(Exception):
            await asyncio.wait_for(producer.stop(), UPSTREAM_TIMEOUT_S)

    async def _hostile_headers(self, action: Action) -> None:
        """Names that are no UTF-8, a thousand of them, one of 100 kB, on good payments."""
        now_ms, values = int(time.time() * 1000), self.load.payments(6)
        kinds = (
            [(PLACEHOLDER, b"x")],
            [(f"h{n}", None) for n in range(1000)],
            [("h" * 100_000, b"v"), ("", b"x" * 100_000)],
        )
        rows: list[Row] = [(now_ms, b"k", value, list(kinds[n % len(kinds)])) for n, value in enumerate(values)]
        with contextlib.suppress(KafkaError, AssertionError, OSError, TimeoutError):
            data = batch(rows, patch=bad_names)
            sending = produce(self.cluster.direct, self.load.topic, data, action.target % self.stream.partitions)
            await asyncio.wait_for(sending, 10)

    async def _times(self, action: Action) -> None:
        """Payments dated far ahead and long ago, in seconds and in microseconds, between the others."""
        self.load.odd_times(action.target)

    async def _poison(self, action: Action) -> None:
        self.load.poison(action.target, random.Random(action.target).randint(50, 500))


def limit_files(scorer: Scorer, bytes_max: int) -> None:
    """How large a file of this process may grow: beyond it a write fails, as on a full disk."""
    if scorer.returncode is None and hasattr(resource, "prlimit"):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(scorer.pid, resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))
