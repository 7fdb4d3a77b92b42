"""Reads what is committed while it happens: counts, latencies, the newest alerts, the lag."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from schemas import codec
from schemas.alert import Alert
from schemas.base import Message
from schemas.topics import ALERTS, DEAD_LETTERS, SCORES, TRANSACTIONS, source_timestamp_ms
from services.cli.demo.latency import Latencies
from services.clock import monotonic_s, wall_ms
from services.kafka.client import reader
from services.settings.kafka import KafkaSettings, TopicSettings

ALERTS_SHOWN = 5
POLL_MS = 50
PERIOD_S = 1.0


class _Model(Message):
    """All that is decoded of a score."""

    model: str


_decode_model = codec.decoder(_Model)


@dataclass(slots=True)
class Seen:
    """What was committed so far. Rates are those of the last second."""

    scores: int = 0
    dead_letters: int = 0
    alerts: int = 0
    inputs: int = 0
    lag: int = 0
    inputs_per_s: float = 0.0
    outputs_per_s: float = 0.0
    model: str = ""
    newest: deque[Alert] = field(default_factory=lambda: deque(maxlen=ALERTS_SHOWN))
    latencies: Latencies = field(default_factory=Latencies)
    first_due_ms: int | None = None
    last_ms: int = 0

    @property
    def outputs(self) -> int:
        """Scores and dead letters: one for each input that is done."""
        return self.scores + self.dead_letters

    @property
    def outputs_per_s_mean(self) -> float:
        """From the moment the first input was due to the last output seen."""
        elapsed_ms = self.last_ms - (self.first_due_ms or 0)
        return self.outputs / elapsed_ms * 1000 if elapsed_ms > 0 else 0.0


class Observer:
    """A read_committed reader of all outputs from now on."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, group: str) -> None:
        self.seen = Seen()
        self._inputs = [TopicPartition(topics.topic_prefix + TRANSACTIONS.name, p) for p in range(topics.partitions)]
        self._names = {topics.topic_prefix + topic.name: topic.name for topic in (SCORES, ALERTS, DEAD_LETTERS)}
        self._outputs = [TopicPartition(name, p) for name in self._names for p in range(topics.partitions)]
        self._consumer = reader(kafka)
        self._positions = reader(kafka, group=group)
        self._period_s = monotonic_s()
        self._period_outputs = 0

    async def start(self) -> None:
        """Connect, and begin at the ends of the outputs."""
        await self._consumer.start()
        await self._positions.start()
        self._consumer.assign(self._outputs)
        await self._consumer.seek_to_end(*self._outputs)
        self._period_s = monotonic_s()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._positions.stop()

    async def poll(self) -> None:
        """Take what has arrived; about once a second the rates and the lag as well."""
        for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
            self._take(self._names[tp.topic], records)
        now_s = monotonic_s()
        if now_s - self._period_s >= PERIOD_S:
            await self._turn(now_s)

    def _take(self, name: str, records: list[Any]) -> None:
        seen = self.seen
        if name == ALERTS.name:
            seen.alerts += len(records)
            seen.newest.extendleft(codec.read(Alert, record.value) for record in records[-ALERTS_SHOWN:])
            return
        now_ms = seen.last_ms = wall_ms()
        due_ms = [ms for record in records if (ms := source_timestamp_ms(record.headers)) is not None]
        seen.first_due_ms = min(seen.first_due_ms or now_ms, due_ms[0] if due_ms else now_ms)
        if name == DEAD_LETTERS.name:
            seen.dead_letters += len(records)
            return
        seen.scores += len(records)
        seen.latencies.add(now_ms - ms for ms in due_ms)
        seen.model = _decode_model(records[-1].value).model

    async def _turn(self, now_s: float) -> None:
        seen, elapsed_s = self.seen, now_s - self._period_s
        ends = await self._positions.end_offsets(self._inputs)
        inputs = sum(ends.values())
        committed = sum([await self._positions.committed(source) or 0 for source in self._inputs])
        seen.inputs_per_s = (inputs - seen.inputs) / elapsed_s
        seen.outputs_per_s = (seen.outputs - self._period_outputs) / elapsed_s
        seen.inputs, seen.lag = inputs, inputs - committed
        seen.latencies.turn()
        self._period_s, self._period_outputs = now_s, seen.outputs
