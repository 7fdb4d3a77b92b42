"""A second reader: follows the outputs while they are written, to be compared with the one that reads them at the end.

What a read_committed reader has seen once must stay what every later one sees: same records, same order, same bytes.
"""

import asyncio
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.kafka.client import reader
from services.settings.kafka import KafkaSettings

POLL_MS = 200


@dataclass(slots=True)
class Trail:
    """What was seen of one partition from `begin` on: how many records, a CRC-32 over all of them, where it ended."""

    begin: int
    next_offset: int
    records: int = 0
    crc: int = 0

    def add(self, records: Iterable[Any]) -> None:
        """The next records, in their order."""
        for record in records:
            self.records += 1
            parts = [b"%d %d" % (record.offset, record.timestamp), record.key or b"", record.value or b""]
            parts += [part for name, value in record.headers for part in (name.encode(), value)]
            for part in parts:
                self.crc = zlib.crc32(part, zlib.crc32(b"%d:" % len(part), self.crc))
            self.next_offset = record.offset + 1


Trails = Mapping[TopicPartition, Trail]


class Witness:
    """Follows partitions from their beginning. `trails`: what it has seen so far."""

    def __init__(self, kafka: KafkaSettings, partitions: Iterable[TopicPartition]) -> None:
        self.trails: dict[TopicPartition, Trail] = {}
        self._kafka, self._partitions = kafka, list(partitions)

    async def follow(self, stop: asyncio.Event) -> None:
        """Read what is written until `stop`. Outlives brokers that come and go."""
        while not stop.is_set():
            consumer = reader(self._kafka)
            try:
                await consumer.start()
                await self._read(consumer, stop)
            except KafkaError:
                await asyncio.sleep(POLL_MS / 1000)  # a broker is away; what was seen is kept
            finally:
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        if not self.trails:
            begins = await consumer.beginning_offsets(self._partitions)
            self.trails = {tp: Trail(begin, begin) for tp, begin in begins.items()}
        consumer.assign(self._partitions)
        for tp, trail in self.trails.items():
            consumer.seek(tp, trail.next_offset)
        while not stop.is_set():
            for tp, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                self.trails[tp].add(records)


def disagreements(seen: Trails, final: Trails) -> list[str]:
    """Where the reader at the end found something else than the one that followed. final: of the same offsets."""
    return [
        f"{tp.topic}-{tp.partition}: {trail.records} records seen while they were written, {final[tp].records} at the end"
        + ("" if trail.records != final[tp].records else ", with other bytes")
        for tp, trail in seen.items()
        if (trail.records, trail.crc) != (final[tp].records, final[tp].crc)
    ]
