"""Faust's Kafka transport, with our connections: committed records only, an idempotent producer, TLS and SASL from settings."""

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Producer, Transport
from yarl import URL

from services.kafka import client as connections
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings

LINGER_MS = 5


class _Thread(AIOKafkaConsumerThread):  # type: ignore[misc]  # the library is not followed
    def _create_worker_consumer(self, transport: "SideTransport") -> AIOKafkaConsumer:
        runtime = transport.runtime
        self._assignor = self.app.assignor  # table partitions travel with the topics they are made of
        return AIOKafkaConsumer(
            **connections.connection(transport.kafka),
            group_id=self.app.conf.id,
            client_id=self.app.conf.id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # as shipped, an alert of an aborted transaction would become a case
            isolation_level="read_committed",
            partition_assignment_strategy=[self._assignor],
            session_timeout_ms=int(runtime.session_timeout_s * 1000),
            heartbeat_interval_ms=int(runtime.session_timeout_s * 1000 / 5),
            rebalance_timeout_ms=int(runtime.session_timeout_s * 1000),
            request_timeout_ms=int(max(runtime.request_timeout_s, runtime.session_timeout_s) * 1000),
            fetch_max_wait_ms=100,
        )

    async def getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109  (the name is the base class's)
        # as shipped, the set changes while a fetch waits; emptied, it lets all through, and what comes is thrown away
        fetched = await super().getmany(frozenset(active_partitions), timeout)
        for tp, records in fetched.items():
            if records:
                self.transport.fetched[tp] = records[-1].offset
        return fetched

    async def _commit(self, offsets: Any) -> bool:
        if self.transport.failed():
            return False
        committed: bool = await super()._commit(offsets)
        return committed


class _Consumer(Consumer):  # type: ignore[misc]
    async def perform_seek(self) -> None:
        """As shipped, what fetches seeks too where it finds the flow stopped, at a moment when records may flow again.

        A recovery follows each stop, and seeks.
        """

    async def seek_committed(self) -> None:
        """Seek to the committed offsets. The agents' partitions must be paused."""
        await super().perform_seek()

    def pause_partitions(self, tps: Any) -> None:
        super().pause_partitions(tps)
        self._buffered_partitions.difference_update(
            tps
        )  # as shipped, a queue that empties wakes its partition all the same

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Producer(Producer):  # type: ignore[misc]
    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        assert transactional_id is None, "Faust's transactions are not used: they are not sound"
        runtime = self.transport.runtime
        return AIOKafkaProducer(
            **connections.connection(self.transport.kafka),
            client_id=self.app.conf.id,
            enable_idempotence=True,
            acks="all",
            linger_ms=LINGER_MS,
            compression_type="lz4",  # a table's entry is written again and again, each time a little longer
            max_batch_size=1 << 20,
            max_request_size=4 << 20,
            request_timeout_ms=int(runtime.request_timeout_s * 1000),
        )


class SideTransport(Transport):  # type: ignore[misc]
    """What an app uses in both directions. failed: asked before each commit; no commit may pass a failed write.

    fetched: the last offset of each partition that the client has handed to Faust.
    """

    Consumer = _Consumer
    Producer = _Producer

    def __init__(self, app: Any, kafka: KafkaSettings, runtime: RuntimeSettings, failed: Callable[[], bool]) -> None:
        super().__init__([URL(f"kafka://{kafka.bootstrap.split(',')[0]}")], app)
        self.kafka, self.runtime, self.failed = kafka, runtime, failed
        self.fetched: dict[TopicPartition, int] = {}
