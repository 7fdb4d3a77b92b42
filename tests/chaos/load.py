"""Payments at a steady rate, written straight to the brokers, whatever happens to them."""

import asyncio
import contextlib
import json
import time
from typing import Any

from aiokafka.errors import KafkaError

from schemas.topics import TRANSACTIONS
from services.kafka.client import plain_producer
from services.settings.processing import RuntimeSettings
from tests.services.engine.test_decode import BAD
from tests.services.harness import Stream, payment

TICK_S = 0.05
IN_FLIGHT_MAX = 20_000

HOUR_MS = 3_600_000
ODD_SHIFTS_MS = (23 * HOUR_MS, 25 * HOUR_MS, 24 * 365 * HOUR_MS, -HOUR_MS, -200 * 24 * HOUR_MS)
ODD_TIMES = ("seconds", "microseconds", 0, 1, 4_102_444_800_000)
"""The first two of now, the others as they are."""

OTHERS_FIRST = 2_000_000
"""Number of the first payment that somebody else sends: beyond those of half an hour, and before today by its time."""

CARDS = 4000
"""Enough that a snapshot is larger than a full disk takes (`system.SNAPSHOT_BYTES_MAX`), fewer than are remembered."""


class Load:
    """Sends until asked to stop. A send that fails may or may not have reached the log; the oracle reads the log."""

    def __init__(self, stream: Stream, rate: float) -> None:
        self._stream, self._rate = stream, rate
        self.topic = stream.prefix + TRANSACTIONS.name
        self._poison: list[tuple[int, int]] = []
        self._odd: list[tuple[int, bytes]] = []
        self._others = OTHERS_FIRST
        self._in_flight: set[asyncio.Future[Any]] = set()
        self.sent = 0
        self.failed = 0

    def poison(self, partition: int, records: int) -> None:
        """A burst of garbage of every kind between the next payments."""
        self._poison.append((partition % self._stream.partitions, records))

    def payments(self, records: int) -> list[bytes]:
        """Good ones, with ids of their own, for somebody else to send."""
        first, self._others = self._others, self._others + records
        return [json.dumps(payment(first + n, card=f"other-{n}")).encode() for n in range(records)]

    def odd_times(self, partition: int) -> None:
        """Payments with times that a payer may write, and those that none may."""
        now_ms, values = int(time.time() * 1000), self.payments(len(ODD_SHIFTS_MS) + len(ODD_TIMES))
        times = [now_ms + shift_ms for shift_ms in ODD_SHIFTS_MS] + [now_ms // 1000, now_ms * 1000, *ODD_TIMES[2:]]
        odd = [json.dumps(json.loads(v) | {"event_time_ms": at}).encode() for v, at in zip(values, times, strict=True)]
        self._odd += [(partition % self._stream.partitions, value) for value in odd]

    async def run(self, stop: asyncio.Event) -> None:
        """Send; a producer that failed is replaced."""
        while not stop.is_set():
            producer = plain_producer(self._stream.kafka, RuntimeSettings(request_timeout_s=10), linger_ms=5)
            try:
                await producer.start()
                await self._send(producer, stop)
                await asyncio.wait_for(asyncio.gather(*self._in_flight, return_exceptions=True), 30)
            except (KafkaError, TimeoutError, OSError):
                await asyncio.sleep(TICK_S)
            finally:
                self._in_flight.clear()
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(producer.stop(), 10)

    async def _send(self, producer: Any, stop: asyncio.Event) -> None:
        begun_s, already = time.monotonic(), self.sent
        while not stop.is_set():
            due = already + int((time.monotonic() - begun_s) * self._rate)
            while self.sent < due and len(self._in_flight) < IN_FLIGHT_MAX:
                card = f"card-{self.sent % CARDS:05d}"
                one = payment(self.sent, card=card, amount=900.0 if self.sent % 97 == 0 else 25.0)
                self.sent += 1
                await self._put(producer, json.dumps(one).encode(), key=one["card_id"].encode())
            while self._poison:
                partition, records = self._poison.pop()
                for number in range(records):
                    await self._put(producer, BAD[number % len(BAD)][0], key=b"k", partition=partition)
            while self._odd:
                partition, value = self._odd.pop(0)
                await self._put(producer, value, key=b"k", partition=partition)
            await asyncio.sleep(TICK_S)
            if any(future.done() and future.exception() for future in list(self._in_flight)):
                raise KafkaError("a send failed")
            self._in_flight = {future for future in self._in_flight if not future.done()}

    async def _put(self, producer: Any, value: bytes | None, **where: Any) -> None:
        future = await asyncio.wait_for(producer.send(self.topic, value, **where), 15)
        future.add_done_callback(self._looked_at)
        self._in_flight.add(future)

    def _looked_at(self, future: asyncio.Future[Any]) -> None:
        if future.cancelled() or future.exception():
            self.failed += 1
