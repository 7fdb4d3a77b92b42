"""The last payments of every card, as `scores` has them: both scores and their time, in arrays of a fixed size.

What is kept is bounded by a setting and begins again with the process; the oldest row makes way for the newest. Cards and
payments are kept as hashes: no id that a page could show is here, and what a chart needs takes 33 bytes a payment.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from numpy.typing import NDArray

from models.lists.texts import hashes_of
from schemas import codec
from schemas.score import Score
from schemas.topics import SCORES
from services.engine.tables import Follower
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings

log = structlog.get_logger(__name__)

POLL_TIMEOUT_MS = 500
RECORDS_MAX = 2_000
RETRY_S = 5.0
NEEDED = frozenset(("transaction_id", "event_time_ms", "card_id", "probability", "anomaly_percentile", "alert"))

_decode_all = codec.native_batch_decoder(codec.record_type(Score, without=frozenset(Score.model_fields) - NEEDED))


@dataclass(frozen=True, slots=True)
class Known:
    """One payment as the chart needs it. payment: the hash of its id, by which one that is known otherwise is told."""

    payment: int
    event_time_ms: int
    probability: float
    anomaly_percentile: float
    is_alert: bool


class Payments:
    """The newest payments of all cards. Written on the event loop, read in threads."""

    def __init__(self, rows_max: int) -> None:
        self._lock = threading.Lock()
        self._cards: NDArray[np.uint64] = np.zeros(rows_max, np.uint64)
        self._payments: NDArray[np.uint64] = np.zeros(rows_max, np.uint64)
        self._times_ms: NDArray[np.int64] = np.zeros(rows_max, np.int64)
        self._probabilities: NDArray[np.float32] = np.zeros(rows_max, np.float32)
        self._percentiles: NDArray[np.float32] = np.zeros(rows_max, np.float32)
        self._alerts: NDArray[np.bool_] = np.zeros(rows_max, np.bool_)
        self._written = 0

    def __len__(self) -> int:
        """How many are held."""
        return min(self._written, len(self._cards))

    def add(self, scores: Sequence[Any]) -> None:
        """More of them, in the order of the log; the oldest make way."""
        scores = scores[-len(self._cards) :]
        places = (self._written + np.arange(len(scores))) % len(self._cards)
        with self._lock:
            self._cards[places] = hashes_of(one.card_id for one in scores)
            self._payments[places] = hashes_of(one.transaction_id for one in scores)
            self._times_ms[places] = [one.event_time_ms for one in scores]
            self._probabilities[places] = [one.probability for one in scores]
            self._percentiles[places] = [one.anomaly_percentile for one in scores]
            self._alerts[places] = [one.alert for one in scores]
            self._written += len(scores)

    def of(self, card_id: str, count: int) -> list[Known]:
        """A card's newest payments by the time of the event, the oldest first. Walks all rows: 1 ms for a million."""
        (card,) = hashes_of([card_id])
        with self._lock:
            rows = np.flatnonzero(self._cards[: len(self)] == card)
            rows = rows[np.argsort(self._times_ms[rows], kind="stable")][-count:]
            columns = (self._payments, self._times_ms, self._probabilities, self._percentiles, self._alerts)
            taken = [column[rows].tolist() for column in columns]
        return [Known(*values) for values in zip(*taken, strict=True)]


def hash_of(transaction_id: str) -> int:
    """As `Known.payment` has it; of this process alone."""
    return int(hashes_of([transaction_id])[0])


class PaymentFollower(Follower):
    """Follows `scores` from as far back as there is room for. Where it cannot be read, pages do without it, and say so."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, rows_max: int) -> None:
        super().__init__("scores", kafka)
        self._topics, self._rows_max = topics, rows_max
        self.payments = Payments(rows_max) if rows_max else None
        self.problem: str | None = None if rows_max else "ASSAY_CONSOLE_PAYMENTS_MAX is 0"

    async def start(self) -> None:
        """Begin, without waiting until it has caught up."""
        if self.payments is not None:
            self._following = asyncio.create_task(self._run(self.payments))

    async def stop(self) -> None:
        """Follow no longer."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    async def _run(self, payments: Payments) -> None:
        while True:
            try:
                await self._follow(payments)
            except KafkaError as error:
                self._trouble(type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _follow(self, payments: Payments) -> None:
        """Until Kafka does not answer. Raises KafkaError."""
        (state,) = await describe_topics(self._kafka, self._topics, (SCORES,))
        if not state.partitions:
            self._trouble("the topic is not there, or hidden from us: `assay acls console`")
            await asyncio.sleep(RETRY_S)
            return
        sources = [TopicPartition(state.name, number) for number in range(state.partitions)]
        await self._connect(sources)
        try:
            ends, begins = await self._consumer.end_offsets(sources), await self._consumer.beginning_offsets(sources)
            share = self._rows_max // len(sources) + 1
            for source in sources:
                self._consumer.seek(source, max(begins[source], ends[source] - share))
            while True:
                fetched = await self._consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=RECORDS_MAX)
                self.problem = None
                for records in fetched.values():
                    payments.add(_readable([record.value for record in records if record.value]))
        finally:
            await self._consumer.stop()

    def _trouble(self, why: str) -> None:
        if why != self.problem:
            log.warning("console.payments_not_read", topic=SCORES.name, why=why)
        self.problem = why


def _readable(values: Sequence[bytes]) -> Sequence[Any]:
    """The scores among them; what is none is left out, and the others are not."""
    found = _decode_all(values)
    if found is not None:
        return found
    return [one for value in values for one in _decode_all([value]) or ()]
