"""Drives real scorer processes against the real broker."""

import asyncio
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from schemas.topics import TOPICS, TRANSACTIONS
from services.engine.topic_ids import topic_ids
from services.kafka.client import admin, plain_producer, reader
from services.kafka.topics_admin import create_topics, describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings
from services.verification.actions import Policies, no_policy
from services.verification.pipeline import CREDIT
from services.verification.positions import settled_ends
from services.verification.verdict import Verdict
from services.verification.verify import verify
from tests.services import forked

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
WAIT_S_MAX = 90.0
SESSION_TIMEOUT_S = 3
"""How long a killed process keeps its partitions, and five times as long as a group takes to notice a new one."""

SESSION = {"ASSAY_SESSION_TIMEOUT_S": "6"}
"""As every broker allows it by default, one that a benchmark is given too, and longer than a busy machine makes anyone wait."""

BUNDLES = {
    "ASSAY_BUNDLE": str(ROOT / "deploy/bundles/fraud"),
    "ASSAY_CREDIT_BUNDLE": str(ROOT / "deploy/bundles/credit"),
    "ASSAY_BUNDLE_PUBLIC_KEYS": str(ROOT / "deploy/keys/demo.pub"),
}
"""What scores where a test names nothing else: no default does."""
UNSET = "unset"
"""A variable that the process does not have, whatever the harness sets."""

BASE_TIME_MS = 1_577_836_800_000  # 2020-01-01


def payment(i: int, *, card: str | None = None, amount: float = 25.0, **changes: Any) -> dict[str, Any]:
    """One good transaction, the i-th: each card pays every 8 hours; `changes` spoil it."""
    return {
        "transaction_id": f"tx-{i:09d}",
        "event_time_ms": BASE_TIME_MS + i * 60_000,
        "card_id": card or f"card-{i % 500:04d}",
        "terminal_id": f"terminal-{i % 20:03d}",
        "amount": amount + i % 7,
        **changes,
    }


@dataclass
class Stream:
    """One test's topics on the broker, and its scorers."""

    bootstrap: str
    prefix: str
    directory: Path
    partitions: int = 4
    replication: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    processes: list["Scorer"] = field(default_factory=list)

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach it."""
        return KafkaSettings(bootstrap=self.bootstrap)

    @property
    def topics(self) -> TopicSettings:
        """Its topics."""
        return TopicSettings(topic_prefix=self.prefix, partitions=self.partitions, replication=self.replication)

    @property
    def group(self) -> str:
        """Its consumer group."""
        return f"{self.prefix}scorer"

    async def create(self) -> None:
        """Create every topic."""
        await create_topics(self.kafka, self.topics, TOPICS)

    async def make_again(self) -> str:
        """Delete the input topic and create it again; its new id."""
        name, client = self.prefix + TRANSACTIONS.name, admin(self.kafka)
        await client.start()
        try:
            await client.delete_topics([name])
            while (await describe_topics(self.kafka, self.topics, [TRANSACTIONS]))[0].partitions:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await self.create()
            return (await topic_ids(client._client, [name]))[name]
        finally:
            await client.close()

    async def send(
        self, payloads: Iterable[bytes | None], keys: Iterable[bytes] | None = None, name: str = TRANSACTIONS.name
    ) -> None:
        """Write payloads to a topic; without keys round robin over partitions, in order."""
        producer = plain_producer(self.kafka, RuntimeSettings(), linger_ms=5)
        await producer.start()
        try:
            topic, key_list = self.prefix + name, list(keys) if keys is not None else None
            futures = [
                await producer.send(topic, payload, key=key_list[i])
                if key_list
                else await producer.send(topic, payload, partition=i % self.partitions, key=b"k")
                for i, payload in enumerate(payloads)
            ]
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    def for_commands(self, monkeypatch: "pytest.MonkeyPatch", **environment: str) -> None:
        """Set what commands of this process need to find it, and more of the environment."""
        own = {
            "ASSAY_KAFKA_BOOTSTRAP": self.bootstrap,
            "ASSAY_TOPIC_PREFIX": self.prefix,
            "ASSAY_PARTITIONS": str(self.partitions),
        }
        for name, value in {**own, **environment}.items():
            monkeypatch.setenv(name, value)

    def scorer(self, **environment: str) -> "Scorer":
        """Start one more scorer process."""
        process = Scorer(self, {**self.environment, **environment}, len(self.processes))
        self.processes.append(process)
        return process

    def service(self, module: str, **environment: str) -> "Scorer":
        """Start one more process of another service."""
        process = Scorer(self, {**self.environment, **environment}, len(self.processes), module)
        self.processes.append(process)
        return process

    def profiler(self, **environment: str) -> "Scorer":
        """Start one more profiler process."""
        return self.service("services.profiler", **environment)

    def entities(self, **environment: str) -> "Scorer":
        """Start one more process of the stages of entities."""
        return self.service("services.entities", **environment)

    def intake(self, **environment: str) -> "Scorer":
        """Start one more process of intake."""
        return self.service("services.intake", **environment)

    def credit(self, **environment: str) -> "Scorer":
        """Start one more process of the credit service."""
        return self.service("services.credit", **environment)

    async def caught_up(
        self, scorers: Sequence["Scorer"] = (), group: str | None = None, name: str = TRANSACTIONS.name
    ) -> None:
        """Wait until every input is committed. Fails when a scorer that should live has ended, or nothing moves any more."""
        deadline, before = time.monotonic() + WAIT_S_MAX, {}
        consumer = reader(self.kafka, group=group or self.group)
        await consumer.start()
        try:
            sources = [TopicPartition(self.prefix + name, p) for p in range(self.partitions)]
            ends = await consumer.end_offsets(sources)
            while True:
                committed = {source: await consumer.committed(source) or 0 for source in sources}
                if all(committed[source] >= ends[source] for source in sources):
                    return
                if committed != before:  # slow is not stuck: a machine may have other things to do
                    deadline, before = time.monotonic() + WAIT_S_MAX, committed
                for scorer in scorers:
                    assert scorer.returncode is None, f"the scorer ended: {scorer.log()[-2000:]}"
                logs = [scorer.log()[-1500:] for scorer in scorers]
                assert time.monotonic() < deadline, f"not caught up: {committed} of {ends}: {logs}"
                await asyncio.sleep(0.1)
        finally:
            await consumer.stop()

    async def read(self, topic: str) -> list[Any]:
        """All committed records of a topic, in partition and offset order."""
        consumer = reader(self.kafka)
        await consumer.start()
        try:
            name = self.prefix + topic
            partitions = sorted(await consumer._client._wait_on_metadata(name))  # of all topics: seconds, late in a run
            sources = [TopicPartition(name, p) for p in partitions]
            consumer.assign(sources)
            ends = (await settled_ends(self.kafka, sources, WAIT_S_MAX)).offsets
            await consumer.seek_to_beginning(*sources)
            records: list[Any] = []
            deadline = time.monotonic() + WAIT_S_MAX
            while any([await consumer.position(source) < ends[source] for source in sources]):
                for fetched in (await consumer.getmany(timeout_ms=200)).values():
                    records += fetched
                assert time.monotonic() < deadline, f"{name} cannot be read to its end"
            return sorted(records, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    async def verdict(self, policies: Policies = no_policy) -> Verdict:
        """What the oracle says."""
        return await verify(self.kafka, self.topics, self.group, policies=policies)

    async def credit_verdict(self) -> Verdict:
        """What it says of the credit service."""
        return await verify(self.kafka, self.topics, f"{self.prefix}credit", CREDIT)

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.kill()


class Scorer:
    """One `python -m services.scorer`, or another service of the runtime."""

    def __init__(
        self, stream: Stream, environment: dict[str, str], number: int, module: str = "services.scorer"
    ) -> None:
        self._log = stream.directory / f"{module}-{number}.log"
        settings = {
            "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
            "ASSAY_TOPIC_PREFIX": stream.prefix,
            "ASSAY_GROUP": stream.group,
            "ASSAY_SNAPSHOT_URL": str(stream.directory / "snapshots"),
            "ASSAY_SNAPSHOT_INTERVAL_S": "1",
            "ASSAY_HTTP_PORT": "0",
            "ASSAY_INTAKE_GROUP": f"{stream.prefix}intake",
            "ASSAY_INTAKE_HTTP_PORT": "0",
            "ASSAY_CONVERTER_GROUP": f"{stream.prefix}converter",
            "ASSAY_CONVERTER_HTTP_PORT": "0",
            "ASSAY_PROFILER_GROUP": f"{stream.prefix}profiler",
            "ASSAY_PROFILER_HTTP_PORT": "0",
            "ASSAY_ENTITIES_GROUP": f"{stream.prefix}entities",
            "ASSAY_ENTITIES_HTTP_PORT": "0",
            "ASSAY_CASES_GROUP": f"{stream.prefix}cases",
            "ASSAY_CASES_HTTP_PORT": "0",
            "ASSAY_MONITOR_GROUP": f"{stream.prefix}monitor",
            "ASSAY_MONITOR_HTTP_PORT": "0",
            "ASSAY_CREDIT_MONITOR_GROUP": f"{stream.prefix}credit-monitor",
            "ASSAY_CREDIT_MONITOR_HTTP_PORT": "0",
            "ASSAY_CREDIT_GROUP": f"{stream.prefix}credit",
            "ASSAY_CREDIT_HTTP_PORT": "0",
            "ASSAY_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "ASSAY_LOG_FORMAT": "json",
            "ASSAY_CARDS_MAX": "10000",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_") or name in BUNDLES}
        wanted = {**BUNDLES, **kept, **settings, **environment}
        self._process = forked.start(
            module, {name: value for name, value in wanted.items() if value != UNSET}, self._log
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.poll()

    def log(self) -> str:
        """Everything that it printed."""
        return self._log.read_text()

    def address(self) -> str:
        """Where it serves metrics and health. Waits until it has said so."""
        self.wait_for_log('"http": "')
        return self.log().split('"http": "')[1].split('"')[0]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP request to it."""
        try:
            with urllib.request.urlopen(f"http://{self.address()}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """A sample's value on /metrics, summed over the labels not given."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [s for family in families for s in family.samples if s.name == name]
        return sum(s.value for s in samples if labels.items() <= s.labels.items())

    def wait_for_log(self, text: str) -> None:
        """Wait until `text` was printed."""
        deadline = time.monotonic() + WAIT_S_MAX
        while text not in self.log():
            assert self.returncode is None, f"the scorer ended: {self.log()[-2000:]}"
            assert time.monotonic() < deadline, f"{text!r} not printed: {self.log()[-2000:]}"
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether /readyz says yes; a process that does not answer, or no longer, is not."""
        try:
            return '"http": "' in self.log() and self.get("/readyz")[0] == 200
        except OSError:  # it ended between the two, or ends now
            return False

    def wait_ready(self) -> None:
        """Wait until /readyz says yes."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not self.ready():
            assert self.returncode is None, f"the scorer ended: {self.log()[-2000:]}"
            assert time.monotonic() < deadline, f"not ready: {self.log()[-2000:]}"
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Exit status, once it has ended."""
        return self._process.wait(WAIT_S_MAX)

    def terminate(self) -> int:
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.returncode is None:
            self._process.kill()
            self._process.wait()
