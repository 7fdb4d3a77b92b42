"""What a read_committed reader sees of the scores, and when: the other end of `generator`."""

import json
import subprocess
import sys
import time
import uuid
from array import array
from dataclasses import dataclass, field

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from tests.benchmarks.generator import ID_DIGITS, NS, Load
from tests.services.harness import ROOT

LEAD_S = 0.7
"""From the start of the generator's process to its first payment: for the interpreter and the first connection."""

READ_RECORDS_MAX = 5000
PERCENTILES = {"p50_ms": 50.0, "p99_ms": 99.0, "p999_ms": 99.9}


class Named(msgspec.Struct):
    """All that is read of a score."""

    transaction_id: str


@dataclass
class Seen:
    """Scores in the order in which they were seen, microseconds of the monotonic clock."""

    due_us: "array[int]" = field(default_factory=lambda: array("q"))
    seen_us: "array[int]" = field(default_factory=lambda: array("q"))
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    partitions: "array[int]" = field(default_factory=lambda: array("q"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))

    def latencies_ms(self, from_us: int = 0) -> NDArray[np.float64]:
        """From due to seen, of what was due at `from_us` or later."""
        due, seen = (np.array(column, np.int64) for column in (self.due_us, self.seen_us))
        late: NDArray[np.float64] = (seen - due)[due >= from_us] / 1000.0
        return late

    def lost(self, load: Load) -> int:
        """How many of the load's payments were never seen."""
        return load.count - len(np.unique(np.array(self.numbers, np.int64)))

    def repeated(self) -> int:
        """How many were seen again."""
        return len(self.numbers) - len(np.unique(np.array(self.numbers, np.int64)))


class Watch:
    """A reader of one topic from its present end on."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"watch-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "fetch.queue.backoff.ms": 1,
            }
        )
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=10)[1]
        self._consumer.assign(places)
        self._decode = msgspec.json.Decoder(Named).decode

    def read(self, seen: Seen, timeout_s: float) -> None:
        """What is there, or comes within `timeout_s`."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return
        records = [first, *self._consumer.consume(READ_RECORDS_MAX, 0)]
        now_us = time.monotonic_ns() // 1000
        for record in records:
            if record.error() is None:
                name = self._decode(record.value()).transaction_id
                seen.due_us.append(int(name[:ID_DIGITS]))
                seen.numbers.append(int(name[ID_DIGITS + 1 :]))
                seen.seen_us.append(now_us)
                seen.partitions.append(record.partition())
                seen.offsets.append(record.offset())

    def close(self) -> None:
        """Read no more."""
        self._consumer.close()


@dataclass(frozen=True, slots=True)
class Offered:
    """What became of a load."""

    load: Load
    seen: Seen
    sent: dict[str, float]
    sent_us: int
    """When the last payment was sent."""

    seen_when_sent: int

    @property
    def drained_s(self) -> float:
        """From the last payment sent to the last score seen."""
        return max(0.0, (max(self.seen.seen_us, default=self.sent_us) - self.sent_us) / 1e6)

    def percentiles(self, warm_s: float) -> dict[str, float]:
        """Latency, without what was due in the first seconds. NaN where nothing was seen."""
        late_ms = self.seen.latencies_ms((self.load.start_ns + int(warm_s * NS)) // 1000)
        names, points = list(PERCENTILES), list(PERCENTILES.values())
        found = np.percentile(late_ms, points) if len(late_ms) else np.full(len(points), np.nan)
        return dict(zip(names, (round(float(value), 2) for value in found), strict=True))


def offer(watch: Watch, load: Load, settle_s_max: float) -> Offered:
    """Run the generator in a process of its own; read until every payment's score was seen, or nothing comes any more."""

    seen = Seen()
    command = [sys.executable, "-m", "tests.benchmarks.generator", *load.arguments()]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    sent_us = seen_when_sent = 0
    try:
        while True:
            before = len(seen.numbers)
            watch.read(seen, 0.02)
            now_us = time.monotonic_ns() // 1000
            if not sent_us and process.poll() is not None:
                sent_us, seen_when_sent, still_us = now_us, before, now_us
            if sent_us:
                still_us = now_us if len(seen.numbers) > before else still_us
                if len(seen.numbers) >= load.count or now_us - still_us > settle_s_max * 1e6:
                    break
        output = process.communicate()[0]
        if process.returncode != 0:
            raise RuntimeError("the generator failed; its own words are above")
        return Offered(load, seen, json.loads(output), sent_us, seen_when_sent)
    finally:
        process.kill()


def starting_ns() -> int:
    """When a load that is started now may begin."""
    return time.monotonic_ns() + int(LEAD_S * NS)
