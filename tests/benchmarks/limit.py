"""The baseline loop, a bound on this machine: the leanest exactly-once scorer that we know how to write in Python.

`python -m tests.benchmarks.limit SOURCE OUT COUNT BATCH_RECORDS_MAX` prints records a second, from the first batch on. With
BENCH_FROM=latest it begins at the topic's end, and prints `ready` when it knows where that is. No validation, no real features,
no decisions, no recovery: a measuring stick, not a model of the code.
"""

import asyncio
import os
import sys
import time
import uuid
from typing import Any

import aiokafka.producer.sender as sender
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.benchmarks.common import BOOTSTRAP, OUTPUTS, LeanScore, Payment, matrix, session

sender.BACKOFF_OVERRIDE = 0.001
FROM = os.environ.get("BENCH_FROM", "earliest")
DECODE, ENCODE = msgspec.json.Decoder(Payment).decode, msgspec.json.Encoder().encode


class Limit:
    """One task and one transactional producer for each partition; ONNX Runtime in a thread."""

    def __init__(self, source: str, out: str, count: int, batch_records_max: int) -> None:
        self.source, self.out, self.count, self.batch_records_max = source, out, count, batch_records_max
        self.group = f"limit-{uuid.uuid4().hex}"
        self.done, self.started_s, self.finished = 0, 0.0, asyncio.Event()
        self.session = session()
        self.features = self.session.get_inputs()[0].shape[1]

    async def run(self) -> float:
        """Records a second."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=BOOTSTRAP,
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset=FROM,
            check_crcs=False,
            fetch_max_wait_ms=20,
            max_partition_fetch_bytes=4 << 20,
            fetch_max_bytes=32 << 20,
        )
        consumer.subscribe([self.source])
        await consumer.start()
        while not consumer.assignment():  # noqa: ASYNC110 (the client has no event to wait for)
            await asyncio.sleep(0.05)
        if FROM == "latest":
            for tp in consumer.assignment():
                await consumer.position(tp)
            print("ready", flush=True)
        tasks = [asyncio.create_task(self.work(consumer, tp)) for tp in consumer.assignment()]
        await self.finished.wait()
        rate = self.done / (time.perf_counter() - self.started_s)
        for task in tasks:
            task.cancel()
        return rate

    async def work(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        """One partition."""
        producer = AIOKafkaProducer(
            bootstrap_servers=BOOTSTRAP,
            transactional_id=f"{self.group}-{tp.partition}",
            linger_ms=0,
            max_batch_size=1 << 20,
            retry_backoff_ms=5,
        )
        await producer.start()
        while True:
            records = (await consumer.getmany(tp, timeout_ms=200, max_records=self.batch_records_max)).get(tp)
            if not records:
                continue
            self.started_s = self.started_s or time.perf_counter()
            await self.batch(producer, tp, records)
            self.done += len(records)
            if self.done >= self.count:
                self.finished.set()

    async def batch(self, producer: AIOKafkaProducer, tp: TopicPartition, records: list[Any]) -> None:
        """One transaction."""
        await producer.begin_transaction()
        payments = [DECODE(record.value) for record in records]
        feed = {"features": matrix(payments, self.features)}
        p, error = await asyncio.get_running_loop().run_in_executor(None, self.session.run, OUTPUTS, feed)
        batch, sends = producer.create_batch(), []
        for r, t, a, b in zip(records, payments, p.tolist(), error.tolist(), strict=True):
            value = ENCODE(LeanScore(t.transaction_id, t.event_time_ms, t.card_id, a, b, a > 0.5, "m1"))
            if batch.append(key=r.key, value=value, timestamp=None) is None:
                sends.append(await producer.send_batch(batch, self.out, partition=tp.partition))
                batch = producer.create_batch()
                batch.append(key=r.key, value=value, timestamp=None)
        sends.append(await producer.send_batch(batch, self.out, partition=tp.partition))
        await asyncio.gather(*sends)
        await producer.send_offsets_to_transaction({tp: records[-1].offset + 1}, self.group)
        await producer.commit_transaction()


async def main() -> None:
    """Measure and leave."""
    source, out, count, batch_records_max = sys.argv[1:5]
    print(await Limit(source, out, int(count), int(batch_records_max)).run(), flush=True)
    os._exit(0)  # nothing of it is worth a clean end


if __name__ == "__main__":
    uvloop.run(main())
