"""`make recovery`: how long scoring stops when a scorer or a broker dies. With --write it makes docs/recovery.md.

A payment goes to each partition every 20 ms. A try lasts from the kill until each partition has brought a score of a
payment that was sent after it, as a read_committed reader sees it: the producer's and the reader's own way around a dead
broker are part of it.
"""

import asyncio
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError

from schemas.topics import source_timestamp_ms
from services.broker.jars import kafka_version
from services.kafka.client import admin, plain_producer, reader
from services.settings.processing import RuntimeSettings
from tests.chaos.cluster import Cluster
from tests.services.harness import ROOT, Scorer, Stream, payment

PAGE = ROOT / "docs" / "recovery.md"
EVERY_S = 0.02
CALM_S = 2.0
WAIT_S_MAX = 180.0

SESSION_S = int(RuntimeSettings().session_timeout_s)
DEFAULTS = {
    "ASSAY_SESSION_TIMEOUT_S": str(SESSION_S),
    "ASSAY_SNAPSHOT_INTERVAL_S": str(RuntimeSettings().snapshot_interval_s),
}
"""The harness has shorter ones; here those that a user gets count."""

BROKER_SESSION_S = 9
"""Kafka's default of broker.session.timeout.ms."""

Measured = dict[str, list[float]]


class Flow:
    """Payments in, scores out."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._sent = stream, 0
        self._since_ms = 1 << 62
        self._first_s: dict[int, float] = {}
        self._whole = asyncio.Event()

    async def send(self) -> None:
        """A payment to each partition, again and again."""
        while True:
            producer = plain_producer(self._stream.kafka, RuntimeSettings(request_timeout_s=5))
            with contextlib.suppress(KafkaError):
                await producer.start()
                while True:
                    for partition in range(self._stream.partitions):
                        value = json.dumps(payment(self._sent)).encode()
                        await producer.send(f"{self._stream.prefix}transactions", value, partition=partition, key=b"k")
                        self._sent += 1
                    await asyncio.sleep(EVERY_S)
            await producer.stop()

    async def read(self) -> None:
        """Scores as they come."""
        consumer = reader(self._stream.kafka, [f"{self._stream.prefix}scores"], latest=True)
        await consumer.start()
        async for record in consumer:
            if (source_timestamp_ms(record.headers) or 0) >= self._since_ms:
                self._first_s.setdefault(record.partition, time.monotonic())
                if len(self._first_s) == self._stream.partitions:
                    self._whole.set()

    async def again_s(self, strike: Callable[[], Awaitable[None]]) -> float:
        """Seconds from the strike until every partition scores what was sent after it."""
        begun_s = time.monotonic()
        await strike()
        self._first_s.clear()
        self._whole.clear()
        self._since_ms = time.time_ns() // 1_000_000
        await asyncio.wait_for(self._whole.wait(), WAIT_S_MAX)
        return max(self._first_s.values()) - begun_s

    async def calm(self) -> None:
        """Until every partition scores, and a while longer."""
        await self.again_s(_nothing)
        await asyncio.sleep(CALM_S)


async def _nothing() -> None:
    pass


@contextlib.asynccontextmanager
async def flowing(cluster: Cluster, directory: Path) -> AsyncIterator[tuple[Stream, Flow]]:
    """Topics of their own, load, and a reader."""
    stream = Stream(cluster.direct, f"recovery-{uuid.uuid4().hex[:8]}.", directory, replication=3, environment=DEFAULTS)
    await stream.create()
    flow = Flow(stream)
    tasks = [asyncio.ensure_future(flow.send()), asyncio.ensure_future(flow.read())]
    try:
        yield stream, flow
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stream.close()


async def taken_over(cluster: Cluster, directory: Path, tries: int) -> list[float]:
    """Two scorers; one is killed, the other takes its partitions once its session has run out."""
    async with flowing(cluster, directory) as (stream, flow):
        scorers, measured = [stream.scorer(), stream.scorer()], []
        for number in range(tries):
            await asyncio.to_thread(scorers[1].wait_ready)
            await flow.calm()
            measured.append(await flow.again_s(_killing(scorers.pop(0))))
            _say("taken over by another scorer", number, measured[-1])
            scorers.append(stream.scorer())
        return measured


async def started_again(cluster: Cluster, directory: Path, tries: int) -> list[float]:
    """One scorer with a name (static membership); it is killed and started again at once."""
    async with flowing(cluster, directory) as (stream, flow):
        named = {"ASSAY_GROUP_INSTANCE_ID": "only"}
        scorer, measured = stream.scorer(**named), []
        for number in range(tries):
            await flow.calm()
            measured.append(await flow.again_s(_killing(scorer, and_then=lambda: stream.scorer(**named))))
            scorer = stream.processes[-1]
            _say("started again under its name", number, measured[-1])
        return measured


async def leader_killed(cluster: Cluster, directory: Path, tries: int) -> list[float]:
    """The broker that leads the first input partition is killed; two others have its replicas."""
    async with flowing(cluster, directory) as (stream, flow):
        stream.scorer()
        stream.scorer()
        measured = []
        for number in range(tries):
            await flow.calm()
            leader = await _leader(stream)

            async def kill(leader: int = leader) -> None:
                await cluster.kill(leader)

            measured.append(await flow.again_s(kill))
            _say("broker leader killed", number, measured[-1])
            await cluster.start_again(leader)
        return measured


def _killing(scorer: Scorer, and_then: Callable[[], Any] = lambda: None) -> Callable[[], Awaitable[None]]:
    async def strike() -> None:
        scorer.kill()
        and_then()

    return strike


async def _leader(stream: Stream) -> int:
    """Index of the broker that leads the first input partition, once it has all its replicas in sync."""
    client = admin(stream.kafka)
    await client.start()
    try:
        while True:
            (topic,) = await client.describe_topics([f"{stream.prefix}transactions"])
            if all(len(partition["isr"]) == 3 for partition in topic["partitions"]):
                return next(int(p["leader"]) - 1 for p in topic["partitions"] if p["partition"] == 0)
            await asyncio.sleep(0.2)
    finally:
        await client.close()


def _say(what: str, number: int, seconds: float) -> None:
    print(f"{what}, try {number + 1}: {seconds:.2f} s", file=sys.stderr, flush=True)


async def measure(tries: int) -> Measured:
    """Every case, `tries` times."""
    with tempfile.TemporaryDirectory(prefix="assay-recovery-") as temporary:
        measured: Measured = {}
        async with Cluster() as cluster:
            for name, case in (
                ("scorer_taken_over", taken_over),
                ("scorer_started_again", started_again),
                ("broker_leader_killed", leader_killed),
            ):
                measured[name] = await case(cluster, Path(tempfile.mkdtemp(dir=temporary)), tries)
        return measured


CASES = {
    "scorer_taken_over": f"scorer killed (`kill -9`), another of the group takes over: its session of {SESSION_S} s included",
    "scorer_started_again": "scorer killed, the same started again at once under its `ASSAY_GROUP_INSTANCE_ID`",
    "broker_leader_killed": "broker killed that leads an input partition, one of three: its session of "
    f"{BROKER_SESSION_S} s included",
}


def page(measured: Measured) -> str:
    """docs/recovery.md."""
    rows = [
        f"| {CASES[name]} | {len(times)} | {statistics.median(times):.1f} | {max(times):.1f} |"
        for name, times in measured.items()
    ]
    busy = f"{os.getloadavg()[1]:.0f}"
    return "\n".join(
        [
            "# Recovery",
            "",
            "Made by `make recovery`. From the kill until every partition brings a committed score of a payment that was sent",
            "after it, as a `read_committed` reader sees it. Four partitions, three brokers, replication 3, default settings,",
            "50 payments a second for each partition.",
            "",
            f"On {os.cpu_count()} cores of {platform.machine()}, brokers and load included; load average at the end: {busy}; "
            f"Kafka {kafka_version()}.",
            "",
            "| what | tries | median, s | maximum, s |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def main(
    tries: Annotated[int, typer.Option(min=1, help="Kills of each kind.")] = 20,
    write: Annotated[bool, typer.Option("--write", help="Write docs/recovery.md.")] = False,
) -> None:
    """Measure how long scoring stops. The last line is JSON. Example: python -m tests.chaos.recovery --tries 20 --write"""
    measured = asyncio.run(measure(tries))
    if write:
        PAGE.write_text(page(measured), encoding="utf-8")
    summary = {name: {"median_s": statistics.median(times), "max_s": max(times)} for name, times in measured.items()}
    print(json.dumps({"tries": tries, **summary}))


if __name__ == "__main__":
    typer.run(main)
