"""Micro-batches of one partition: bounded by records, bytes and, while the partition keeps up, by the pacer's time."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.engine.batches import Record
from services.engine.pacing import Pacer
from services.settings.processing import RuntimeSettings

POLL_TIMEOUT_MS = 200


class Polling:
    """Polls one partition, until it is interrupted."""

    def __init__(
        self, source: TopicPartition, consumer: AIOKafkaConsumer, pacer: Pacer, settings: RuntimeSettings
    ) -> None:
        self._source, self._consumer, self._pacer, self._settings = source, consumer, pacer, settings
        self._getting: asyncio.Future[dict[TopicPartition, list[Record]]] | None = None
        self._interrupted = False
        self._batch_start_s = 0.0

    def interrupt(self) -> None:
        """End the poll under way, and every later one at once, with what it has."""
        self._interrupted = True
        if self._getting is not None:
            self._getting.cancel()

    async def poll(self) -> list[Sequence[Record]]:
        """The next records, cut by bytes; nothing where none came in time."""
        records_max, pacer = self._settings.batch_records_max, self._pacer
        took_s = pacer.now_s() - self._batch_start_s
        records = await self._get(POLL_TIMEOUT_MS, records_max)
        due_s = pacer.due_s(self._batch_start_s, took_s)
        while records and len(records) < records_max and not self._interrupted:
            left_s = due_s - pacer.now_s()
            if left_s <= 0:
                break
            records += await self._get(max(1, int(left_s * 1000)), records_max - len(records))
        self._batch_start_s = pacer.now_s()
        return split(records, self._settings.batch_bytes_max)

    async def _get(self, timeout_ms: int, records_max: int) -> list[Record]:
        """`getmany` that a drain interrupts: during a rebalance it would wait for the end of the rebalance (E)."""
        getting = asyncio.ensure_future(
            self._consumer.getmany(self._source, timeout_ms=timeout_ms, max_records=records_max)
        )
        self._getting = getting
        try:
            return list((await getting).get(self._source, []))
        except asyncio.CancelledError:
            if self._interrupted:
                return []  # cancelled by `interrupt`, not from outside
            raise
        finally:
            self._getting = None


def split(records: Sequence[Record], bytes_max: int) -> list[Sequence[Record]]:
    """Cut records into batches of at most `bytes_max` payload bytes; a larger single record is a batch of its own."""
    if not records:
        return []
    # nearly always so, and to see it takes a third of the loop's time
    if sum([len(record.value or b"") for record in records]) <= bytes_max:
        return [records]
    batches: list[Sequence[Record]] = []
    start = size = 0
    for i, record in enumerate(records):
        length = len(record.value or b"")
        if i > start and size + length > bytes_max:
            batches.append(records[start:i])
            start, size = i, 0
        size += length
    return [*batches, records[start:]]
