"""More partitions for existing topics, where a person asks for them: Kafka cannot take them away again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.errors import BrokerResponseError, KafkaError

from schemas.topics import APPLICATIONS, ENTITY_EVENTS, ENTITY_FEATURES, EVENTS, TRANSACTIONS, Topic
from services.kafka.client import admin, reader, retry_transient
from services.kafka.preflight import why_unreachable
from services.kafka.topics_admin import TopicError, describe_topics, have_partitions, partitions, wait_until_visible
from services.settings.kafka import KafkaSettings, TopicSettings

INPUTS = (TRANSACTIONS, APPLICATIONS, EVENTS, ENTITY_EVENTS, ENTITY_FEATURES)
"""They come last, so that the first record of a new partition finds outputs with one of its number."""

PLACED = (EVENTS, ENTITY_EVENTS)
"""Our own services place ids on them by their number, and every hop is checked by it: once they have records it stays."""


@dataclass(frozen=True, slots=True)
class Short:
    """An existing topic with fewer partitions than wanted."""

    topic: Topic
    name: str
    partitions: int
    wanted: int


async def short_of_partitions(kafka: KafkaSettings, topics: TopicSettings, names: Iterable[Topic]) -> list[Short]:
    """Those of ours that exist with fewer than wanted.

    Raises TopicError where one of them is the user's own, or holds records by its number of partitions.
    """
    declared = list(names)
    found = []
    for topic, state in zip(declared, await describe_topics(kafka, topics, declared), strict=True):
        wanted = partitions(topic, topics)
        if topic.partitions == "any" or not 0 < state.partitions < wanted:
            continue
        if topic.users:
            raise TopicError(
                f"{state.name} is your own and has {state.partitions} partitions, not {wanted}: give it as many by your "
                f"Kafka's own tools first, or set ASSAY_PARTITIONS={state.partitions}."
            )
        found.append(Short(topic, state.name, state.partitions, wanted))
    await _check_unused(kafka, [short for short in found if short.topic in PLACED])
    return found


async def _check_unused(kafka: KafkaSettings, wanted: Sequence[Short]) -> None:
    sources = {TopicPartition(short.name, number): short for short in wanted for number in range(short.partitions)}
    if not sources:
        return
    consumer = reader(kafka)
    try:
        await consumer.start()
        consumer.assign(list(sources))
        ends = await consumer.end_offsets(list(sources))
    except KafkaError as error:
        raise TopicError(await why_unreachable(kafka, error)) from None
    finally:
        await consumer.stop()
    for source, short in sources.items():
        if ends[source]:
            raise TopicError(
                f"{short.name} has records, whose ids lie where its {short.partitions} partitions put them, so it cannot have "
                f"more: keep ASSAY_PARTITIONS={short.partitions}, or begin again under another ASSAY_TOPIC_PREFIX."
            )


async def add_partitions(kafka: KafkaSettings, topics: TopicSettings, wanted: Sequence[Short]) -> None:
    """Give each what it lacks, outputs before inputs. Raises TopicError where the broker refuses."""
    inputs = [short for short in wanted if short.topic in INPUTS]
    for part in ([short for short in wanted if short not in inputs], inputs):
        if part:
            await _add(kafka, part)
            declared = [short.topic for short in part]
            await wait_until_visible(partial(have_partitions, kafka, topics, declared), "added partitions")


async def _add(kafka: KafkaSettings, wanted: Sequence[Short]) -> None:
    client = admin(kafka)
    numbers = {short.name: NewPartitions(short.wanted) for short in wanted}
    try:
        await client.start()
        await retry_transient(lambda: client.create_partitions(numbers))
    except BrokerResponseError as error:
        raise TopicError(
            f"Partitions could not be added ({str(error).rstrip('.')}): the same command again adds what is missing."
        ) from None
    except KafkaError as error:
        raise TopicError(await why_unreachable(kafka, error)) from None
    finally:
        await client.close()
