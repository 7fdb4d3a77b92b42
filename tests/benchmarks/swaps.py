"""A model swap every few seconds under load: what it costs in latency and memory, and that it loses, repeats, mixes nothing.

`python -m tests.benchmarks.swaps [--json] [--minutes M] [--rate N] [--every S]`
"""

import asyncio
import contextlib
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import psutil
from aiokafka import TopicPartition
from rich.console import Console
from rich.table import Table

from models.bundle import container
from models.bundle.files import MANIFEST, SIGNATURE, Files
from models.bundle.keys import public_pem
from models.bundle.load import open_bundle
from models.bundle.registry import Registry
from models.bundle.signing import sign
from models.bundle.trust import ANYBODY
from schemas import codec
from schemas.control import BundleRef, Control
from schemas.manifest import Manifest
from schemas.registry import RegistryEvent
from schemas.score import Score
from schemas.topics import CONTROL_ANSWERS, SCORES, TRANSACTIONS, source_timestamp_ms
from services.cli.demo.latency import Latencies
from services.clock import wall_ms
from services.commanding import ControlCommand, command
from services.kafka.client import plain_producer, reader
from services.settings.bundles import BundleSettings
from services.settings.processing import RuntimeSettings
from services.trusted_bundles import registry_of
from tests.benchmarks.command import run as run_command
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import surroundings
from tests.models.bundle.making import COMMITTED, read_raw, signing_key
from tests.services.harness import Scorer, Stream, payment

ANSWER_S_MAX = 60.0
CALM_SHARE = 0.25
"""Of the whole time, before the first swap: what the swaps are compared with."""

TICK_S = 0.02
LIBRARIES = ("aiokafka", "numba", "onnxruntime")


@dataclass
class Run:
    """What is measured."""

    stream: Stream
    registry: Registry
    scorer: Scorer
    calm: Latencies = field(default_factory=Latencies)
    swapping: Latencies = field(default_factory=Latencies)
    rss_bytes: list[int] = field(default_factory=list)
    versions: list[int] = field(default_factory=lambda: [1])
    sent: int = 0
    phase: Latencies | None = None

    def sample(self) -> None:
        """The scorer's resident memory now."""
        self.rss_bytes.append(psutil.Process(self.scorer._process.pid).memory_info().rss)


def renumbered(version: int) -> Files:
    """The committed bundle under another version, signed."""
    files = read_raw(COMMITTED)
    manifest = Manifest.model_validate_json(files[MANIFEST]).model_copy(update={"version": version})
    files[MANIFEST] = manifest.model_dump_json().encode()
    files.pop(SIGNATURE, None)
    return {**files, SIGNATURE: sign(files, signing_key(), "bundle")}


def recorded(registry: Registry, version: int) -> BundleRef:
    """Published, and the champion of the registry."""
    content = container.pack(renumbered(version))
    bundle = open_bundle(content, "It", ANYBODY).ref
    registry.publish(content, RegistryEvent(action="publish", bundle=bundle, at_ms=1, by="benchmark"))
    registry.promote(RegistryEvent(action="promote", bundle=bundle, channel="champion", at_ms=1, by="benchmark"))
    return bundle


async def release(run: Run, version: int) -> None:
    """Publish, promote, command, and wait for every partition's answer."""
    bundle = recorded(run.registry, version)
    order = ControlCommand(uuid.uuid4().hex, "champion", bundle)
    done = await command(order, run.stream.group, "benchmark", ANSWER_S_MAX)
    if [answer.outcome for answer in done.answers] != ["in_force"] * done.partitions:
        raise RuntimeError(f"fraud/{version} was not acknowledged by every partition: {done.answers}")
    run.versions.append(version)
    run.sample()


async def send(run: Run, rate: float) -> None:
    """Payments at a steady rate until cancelled."""
    producer = plain_producer(run.stream.kafka, RuntimeSettings(), linger_ms=2)
    await producer.start()
    topic, begun_s = run.stream.prefix + TRANSACTIONS.name, time.monotonic()
    try:
        while True:
            due = int((time.monotonic() - begun_s) * rate)
            for i in range(run.sent, due):
                await producer.send(topic, json.dumps(payment(i)).encode(), partition=i % run.stream.partitions)
            run.sent = max(run.sent, due)
            await asyncio.sleep(TICK_S)
    finally:
        await producer.flush()
        await producer.stop()


async def watch(run: Run) -> None:
    """Latency from each payment's timestamp to its score, as a read_committed reader sees it, until cancelled."""
    consumer = reader(run.stream.kafka)
    await consumer.start()
    try:
        sources = [TopicPartition(run.stream.prefix + SCORES.name, p) for p in range(run.stream.partitions)]
        consumer.assign(sources)
        await consumer.seek_to_end(*sources)
        while True:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                if run.phase is not None:
                    now_ms = wall_ms()
                    run.phase.add(now_ms - (source_timestamp_ms(record.headers) or now_ms) for record in records)
    finally:
        await consumer.stop()


async def play(run: Run, seconds: float, rate: float, every_s: float) -> None:
    """Calm, then one swap after another."""
    tasks = [asyncio.create_task(send(run, rate)), asyncio.create_task(watch(run))]
    try:
        await asyncio.sleep(2.0)  # past the first batches
        run.phase = run.calm
        await asyncio.sleep(seconds * CALM_SHARE)
        run.sample()
        run.phase, begun_s = run.swapping, time.monotonic()
        while time.monotonic() - begun_s < seconds * (1 - CALM_SHARE):
            started_s = time.monotonic()
            await release(run, run.versions[-1] + 1)
            await asyncio.sleep(max(0.0, every_s - (time.monotonic() - started_s)))
        run.phase = None
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
    await run.stream.caught_up([run.scorer])


async def mixed(run: Run) -> int:
    """Partitions on which a version has not exactly one stretch of scores that begins where its worker said."""
    answers = [codec.read(Control, record.value) for record in await run.stream.read(CONTROL_ANSWERS.name)]
    begins = {
        (a.source_partition, f"{a.bundle}@cpu"): a.from_offset
        for a in answers
        if a.outcome == "in_force" and a.from_offset is not None
    }
    wrong = 0
    records = await run.stream.read(SCORES.name)
    for partition, some in groupby(records, lambda record: record.partition):
        scored = [(int(dict(r.headers)["assay-source-offset"]), codec.read(Score, r.value).model) for r in some]
        stretches = [(model, [offset for offset, _ in part]) for model, part in groupby(scored, lambda score: score[1])]
        told = all(
            before[-1] < (begins.get((partition, model)) or -1) <= part[0]
            for (_, before), (model, part) in pairwise(stretches)
        )
        wrong += not (told and len({model for model, _ in stretches}) == len(stretches))
    return wrong


def slope(sizes: list[int]) -> float:
    """Growth a swap, by least squares."""
    return float(np.polyfit(np.arange(len(sizes)), sizes, 1)[0]) if len(sizes) > 2 else 0.0


async def _measure(stream: Stream, seconds: float, rate: float, every_s: float) -> dict[str, Any]:
    (stream.directory / "key.pub").write_bytes(public_pem(signing_key().public_key()))
    url = str(stream.directory / "registry")
    environment = {
        "ASSAY_BUNDLE_PUBLIC_KEYS": str(stream.directory / "key.pub"),
        "ASSAY_REGISTRY_URL": url,
        "ASSAY_DUPLICATE_WINDOW_S": "0",
        "ASSAY_DUPLICATE_WINDOW_RECORDS_MIN": "1000",  # so that the state does not grow, and what grows is the swaps'
    }
    await stream.create()
    registry = registry_of(BundleSettings(registry_url=url))
    recorded(registry, 1)
    scorer = stream.scorer(**environment)
    scorer.wait_ready()
    run = Run(stream, registry, scorer)
    await play(run, seconds, rate, every_s)
    rolled_back = scorer.metric("assay_swaps_total", kind="rolled_back")
    status = scorer.terminate()
    verdict = await stream.verdict()
    return {
        "swaps": len(run.versions) - 1,
        "rolled_back": int(rolled_back),
        "payments": run.sent,
        "scorer_status": status,
        "clean": verdict.clean,
        **{
            name: value
            for name, value in verdict.as_dict().items()
            if name in ("missing", "duplicate", "out_of_order", "inconsistent", "scores")
        },
        "partitions_with_mixed_versions": await mixed(run),
        "calm_ms_p50": run.calm.percentile_ms(50),
        "calm_ms_p99": run.calm.percentile_ms(99),
        "swapping_ms_p50": run.swapping.percentile_ms(50),
        "swapping_ms_p99": run.swapping.percentile_ms(99),
        "rss_mb": [round(size / 1e6, 1) for size in run.rss_bytes[:: max(1, len(run.rss_bytes) // 10)]],
        "rss_kb_per_swap_second_half": round(slope(run.rss_bytes[len(run.rss_bytes) // 2 :]) / 1e3, 1),
        **surroundings(LIBRARIES),
    }


def measure(minutes: float, rate: float, every: float) -> dict[str, Any]:
    """The whole run, a swap every `every` seconds, with a Kafka of its own."""
    with broker() as bootstrap, place(bootstrap) as stream:
        os.environ |= {"ASSAY_KAFKA_BOOTSTRAP": bootstrap, "ASSAY_TOPIC_PREFIX": stream.prefix}
        try:
            return asyncio.run(_measure(stream, minutes * 60, rate, every))
        finally:
            for name in ("ASSAY_KAFKA_BOOTSTRAP", "ASSAY_TOPIC_PREFIX"):
                del os.environ[name]


def show(result: dict[str, Any]) -> None:
    """As a table."""
    table = Table("measured", "")
    for name, value in result.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int | float) else str(value))
    Console().print(table)


def good(result: dict[str, Any]) -> bool:
    """Whether nothing was lost, repeated or mixed, and every swap was acknowledged and kept."""
    return bool(result["clean"] and not result["partitions_with_mixed_versions"] and result["scorer_status"] == 0)


if __name__ == "__main__":
    run_command("swaps", __doc__, measure, show, good, minutes=10.0, rate=2000.0, every=2.0)
