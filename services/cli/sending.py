"""How commands write to a topic and read a compacted one: all of it, or one sentence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from aiokafka.errors import KafkaError

from schemas import codec
from schemas.topics import Topic
from services.cli.output import notes
from services.errors import AssayError
from services.kafka.client import TopicPartition, plain_producer, reader
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.verification.read import Span, read

T = TypeVar("T")

LINGER_MS = 5
IN_FLIGHT_MAX = 10_000


class Send(Protocol):
    """Writes one record. Without a partition its key chooses, as Kafka's default does."""

    def __call__(
        self, key: bytes | None, value: bytes, partition: int | None = None
    ) -> Awaitable["asyncio.Future[Any]"]:
        """Returns before the acknowledgement, which is the future's result: the record's position."""


@asynccontextmanager
async def sending(topic: Topic) -> AsyncIterator[Send]:
    """A way to write; at the end everything is acknowledged. Raises AssayError."""
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    (state,) = await describe_topics(kafka, topics, (topic,))
    if not state.partitions:
        raise AssayError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
    producer = plain_producer(kafka, load(RuntimeSettings), LINGER_MS)
    sent: list[asyncio.Future[Any]] = []

    async def send(key: bytes | None, value: bytes, partition: int | None = None) -> "asyncio.Future[Any]":
        acknowledged: asyncio.Future[Any] = await producer.send(state.name, value, key=key, partition=partition)
        sent.append(acknowledged)
        if len(sent) >= IN_FLIGHT_MAX:
            await asyncio.gather(*sent)
            sent.clear()
        return acknowledged

    try:
        await producer.start()
        yield send
        await asyncio.gather(*sent)
    except KafkaError as error:
        raise AssayError(
            f"Kafka at {kafka.bootstrap} took no more records ({type(error).__name__}): check that it runs."
        ) from None
    finally:
        await producer.stop()


async def partitions_of(topic: Topic) -> int:
    """How many the topic has. Raises AssayError."""
    (state,) = await describe_topics(load(KafkaSettings), load(TopicSettings), (topic,))
    return state.partitions


async def newest(topic: Topic, read_one: Callable[[Any], T]) -> dict[bytes, T]:
    """What `read_one` makes of the newest committed record of each key, tombstones left out. Raises AssayError.

    A record that it refuses is left out, with a note.
    """
    found: dict[bytes, T] = {}
    async for record in records(topic):
        if not record.value:
            found.pop(record.key, None)
        elif (value := usable(record, read_one)) is not None:
            found.pop(record.key, None)
            found[record.key] = value
    return found


def usable(record: Any, read_one: Callable[[Any], T]) -> T | None:
    """What `read_one` makes of a record; None, with a note, where it cannot: one bad record hides none of the others."""
    try:
        return read_one(record)
    except Exception as error:  # like the services: a writer of one record must not stop its readers
        why = str(error) if isinstance(error, codec.RejectedError) else type(error).__name__
        notes.print(f"{record.topic}-{record.partition}@{record.offset} is left out: {why}")
        return None


async def records(topic: Topic) -> AsyncIterator[Any]:
    """Every committed record that a topic holds now, each partition in order. Raises AssayError."""
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    (state,) = await describe_topics(kafka, topics, (topic,))
    if not state.partitions:
        raise AssayError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
    consumer = reader(kafka)
    try:
        await consumer.start()
        partitions = [TopicPartition(state.name, number) for number in range(state.partitions)]
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        async for _, chunk in read(consumer, {tp: Span(begins[tp], ends[tp]) for tp in partitions}):
            for record in chunk:
                yield record
    except KafkaError as error:
        raise AssayError(f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}).") from None
    finally:
        await consumer.stop()
