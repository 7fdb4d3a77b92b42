"""Sends payloads to Kafka at a chosen rate, as an open loop.

Record i is due i / rate seconds after the start, and that moment is its Kafka timestamp, whenever it leaves. So a stall
anywhere, here included, counts in full in a latency taken from the timestamp (no coordinated omission).
"""

import asyncio
import contextlib
import functools
import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from schemas.topics import LABELS, TRANSACTIONS, Topic
from services.clock import monotonic_s, wall_ms
from services.errors import AssayError
from services.kafka.client import plain_producer
from services.kafka.topics_admin import TopicState, describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings
from services.simulator.payloads import Payload

T = TypeVar("T")

TICK_S = 0.005
"""How often records that have become due are sent."""

ROUND_RECORDS_MAX = 2000
"""Records sent between two looks at the clock."""

ROUNDS_IN_FLIGHT_MAX = 4
"""Rounds sent but not acknowledged."""

SWITCH_INTERVAL_S = 0.0005
"""The thread that draws the next day may not hold up the sending loop for longer."""


class SimulatorError(AssayError):
    """The stream could not be sent."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How far the stream is. records: payments, the bad ones included. behind_s: how late the next one is."""

    records: int
    bad: int
    labels: int
    elapsed_s: float
    behind_s: float


def prefetched(days: Iterator[T]) -> Iterator[T]:
    """The same items, each drawn in a thread while the previous one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, days, None)
        while (day := coming.result()) is not None:
            coming = pool.submit(next, days, None)
            yield day


async def stream(
    kafka: KafkaSettings,
    topics: TopicSettings,
    runtime: RuntimeSettings,
    records: Iterator[Payload],
    *,
    rate: float,
    count: int | None = None,
    duration_s: float | None = None,
    progress: Callable[[Sent], None] | None = None,
    target: Topic = TRANSACTIONS,
    labelled: bool = True,
) -> Sent:
    """Send `records` at `rate` a second until `count` or `duration_s` is reached, or they end. Raises SimulatorError.

    target: where they go, except labels. labelled: whether there are any; without, no right to their topic is needed.
    progress: called about once a second.
    """
    targets = await describe_topics(kafka, topics, (target, LABELS) if labelled else (target,))
    for state in targets:
        if not state.partitions:
            raise SimulatorError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
    lasting = None if duration_s is None else round(duration_s * rate)
    limit = min((at_most for at_most in (count, lasting) if at_most is not None), default=None)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    producer = plain_producer(kafka, runtime)
    try:
        await producer.start()
        return await _Loop(producer, targets[0], targets[1] if labelled else None, records, rate, limit).run(progress)
    except KafkaError as error:
        raise SimulatorError(
            f"Kafka at {kafka.bootstrap} took no more records ({type(error).__name__}): check that it runs."
        ) from None
    finally:
        with contextlib.suppress(KafkaError):  # the error that ended the loop is the one to report
            await producer.stop()


class _Loop:
    """One stream. `limit`: records at most."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        payments: TopicState,
        labels: TopicState | None,
        records: Iterator[Payload],
        rate: float,
        limit: int | None,
    ) -> None:
        self._producer, self._records, self._rate, self._limit = producer, records, rate, limit
        self._payments, self._labels = payments, labels
        numbers = list(range(self._payments.partitions))
        # Kafka's default for keyed records; in pure Python too slow for each of them, and cards come again and again
        self._partition = functools.lru_cache(1 << 20)(lambda key: DefaultPartitioner()(key, numbers, numbers))
        self._label_numbers = list(range(labels.partitions)) if labels is not None else []
        self._sent = self._bad = self._labelled = 0
        self._exhausted = False
        self._in_flight: deque[asyncio.Future[Any]] = deque()

    async def run(self, progress: Callable[[Sent], None] | None) -> Sent:
        # the first draw takes its time, and so does the first look at the topic: nothing is due before
        await self._producer.partitions_for(self._payments.name)
        self._records = itertools.chain([*itertools.islice(self._records, 1)], self._records)
        begun_ms, begun_s = wall_ms(), monotonic_s()
        told_s = begun_s
        while not self._exhausted and self._sent != self._limit:
            now_s = monotonic_s()
            if progress and now_s - told_s >= 1.0:
                told_s = now_s
                progress(self._state(now_s - begun_s))
            due = int((now_s - begun_s) * self._rate) + 1
            if self._limit is not None:
                due = min(due, self._limit)
            if due == self._sent:
                await asyncio.sleep(max(TICK_S, begun_s + self._sent / self._rate - now_s))
                continue
            await self._send_round(min(due - self._sent, ROUND_RECORDS_MAX), begun_ms)
        await asyncio.gather(*self._in_flight)
        return self._state(monotonic_s() - begun_s)

    def _state(self, elapsed_s: float) -> Sent:
        behind_s = max(0.0, elapsed_s - self._sent / self._rate)
        return Sent(self._sent, self._bad, self._labelled, elapsed_s, behind_s)

    async def _send_round(self, records: int, begun_ms: int) -> None:
        """Pack what is due by topic and partition and send it; wait while too much is unacknowledged."""
        batches: dict[tuple[str, int], Any] = {}
        acknowledgements = []
        until = self._sent + records
        while self._sent < until:
            payload = next(self._records, None)
            if payload is None:
                self._exhausted = True
                break
            target = self._target(payload)
            due_ms = begun_ms + int(self._sent * 1000 / self._rate)
            batch = batches.get(target)
            if batch is None:
                batch = batches[target] = self._producer.create_batch()
            if batch.append(timestamp=due_ms, key=payload.key, value=payload.value) is None:
                acknowledgements.append(await self._producer.send_batch(batch, target[0], partition=target[1]))
                batch = batches[target] = self._producer.create_batch()
                batch.append(timestamp=due_ms, key=payload.key, value=payload.value)
            if payload.is_label:
                self._labelled += 1
                continue
            self._sent += 1
            self._bad += payload.garbage is not None
        for (topic, partition), batch in batches.items():
            acknowledgements.append(await self._producer.send_batch(batch, topic, partition=partition))
        self._in_flight.append(asyncio.gather(*acknowledgements))
        while len(self._in_flight) >= ROUNDS_IN_FLIGHT_MAX:
            await self._in_flight.popleft()

    def _target(self, payload: Payload) -> tuple[str, int]:
        """Topic and partition, as Kafka's default has it: a producer that labels a payment again reaches the same partition."""
        if payload.is_label:
            assert self._labels is not None, "a stream without labels has one"
            return self._labels.name, DefaultPartitioner()(payload.key, self._label_numbers, self._label_numbers)
        return self._payments.name, self._partition(payload.key)
