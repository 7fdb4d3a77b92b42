"""Creates and describes topics as `schemas/topics.py` declares them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.topics import DAY_MS, STAMP_AHEAD_MS_MAX, TRANSACTIONS, Topic
from services.errors import AssayError
from services.kafka.client import admin, retry_transient
from services.kafka.preflight import why_unreachable
from services.settings.kafka import KafkaSettings, TopicSettings

OK = 0
VISIBLE_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 0.05
HOUR_MS = 3_600_000


class TopicError(AssayError):
    """A topic is missing, is another than declared, or could not be created."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it; `partitions` is 0 where there is none."""

    name: str
    partitions: int
    replication: int


@dataclass(frozen=True, slots=True)
class CreatedTopic:
    """What `create_topics` did about one topic: `created` is False where it existed already."""

    name: str
    partitions: int
    created: bool


async def create_topics(kafka: KafkaSettings, topics: TopicSettings, names: Iterable[Topic]) -> list[CreatedTopic]:
    """Create those that do not exist, under the settings' prefix, in the order given.

    Raises TopicError where one exists with another number of partitions, or the broker refuses.
    """
    wanted = list(names)
    states = {state.name: state for state in await describe_topics(kafka, topics, wanted)}
    for topic in wanted:
        _check_partitions(states[topic.full_name(topics.topic_prefix)], topic, partitions(topic, topics))
    missing = [topic for topic in wanted if not states[topic.full_name(topics.topic_prefix)].partitions]
    created = await _create(kafka, topics, missing) if missing else set()
    if created:
        await wait_until_visible(lambda: have_partitions(kafka, topics, missing), "new topics")
    return [
        CreatedTopic(
            name := topic.full_name(topics.topic_prefix),
            states[name].partitions or partitions(topic, topics),
            name in created,
        )
        for topic in wanted
    ]


async def describe_topics(kafka: KafkaSettings, topics: TopicSettings, names: Iterable[Topic]) -> list[TopicState]:
    """The topics as the broker has them, in the order given. Raises TopicError where it cannot be asked."""
    full_names = [topic.full_name(topics.topic_prefix) for topic in names]
    if not full_names:
        return []  # to the broker an empty list means every topic
    described = {answer["topic"]: answer for answer in await _ask(kafka, "describe_topics", full_names)}
    states = []
    for name in full_names:
        partitions = described[name]["partitions"] if described[name]["error_code"] == OK else []
        replication = min((len(partition["replicas"]) for partition in partitions), default=0)
        states.append(TopicState(name, len(partitions), replication))
    return states


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the broker keeps a topic's records: None has no bound."""

    retention_ms: int | None
    retention_bytes: int | None


async def read_retention(kafka: KafkaSettings, topics: TopicSettings, topic: Topic) -> Retention | None:
    """As the broker has it; None where we lack the right to ask. Raises TopicError where it does not answer."""
    values = await _configured(kafka, topics, topic)
    if values is None:
        return None
    bounds = (int(values.get(name, -1)) for name in ("retention.ms", "retention.bytes"))
    return Retention(*(None if bound < 0 else bound for bound in bounds))


async def read_unbounded_stamps(kafka: KafkaSettings, topics: TopicSettings, topic: Topic) -> str | None:
    """What to do where a producer may put any timestamp on a topic's records; None where it may not, or where that is unknown.

    Raises TopicError where the broker does not answer.
    """
    values, name = await _configured(kafka, topics, topic), topic.full_name(topics.topic_prefix)
    if values is None or values.get("message.timestamp.type") == "LogAppendTime":
        return None
    after_ms = values.get("message.timestamp.after.max.ms")
    if after_ms is not None and int(after_ms) <= DAY_MS:
        return None
    return (
        f"{name} takes any timestamp that a producer puts on a record, so events can be dated ahead without bound: set its "
        f"message.timestamp.after.max.ms to {STAMP_AHEAD_MS_MAX}, or its message.timestamp.type to LogAppendTime."
    )


async def _configured(kafka: KafkaSettings, topics: TopicSettings, topic: Topic) -> dict[str, str] | None:
    """A topic's configuration as the broker has it, its defaults included; None where it does not answer us."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.full_name(topics.topic_prefix))
    (answer,) = await _ask(kafka, "describe_configs", [resource])
    ((code, _, _, _, entries),) = answer.resources
    return {entry[0]: entry[1] for entry in entries} if code == OK else None


def short_retention(topic: str, retention: Retention, needed_ms: int) -> str | None:
    """What to do where a restart without a snapshot could not rebuild whole histories; None where it could."""
    if retention.retention_ms is not None and retention.retention_ms < needed_ms:
        hours, needed = retention.retention_ms / HOUR_MS, needed_ms / HOUR_MS
        return (
            f"{topic} keeps records for {hours:,.1f} h, the features look {needed:,.1f} h back: without a snapshot a restart "
            f"would forget the difference; set its retention.ms to {needed_ms} or more."
        )
    if retention.retention_bytes is not None:
        return (
            f"{topic} keeps {retention.retention_bytes:,} bytes a partition, however old: without a snapshot a restart may "
            "forget history; set its retention.bytes to -1, or see that it holds enough."
        )
    return None


def partitions(topic: Topic, topics: TopicSettings) -> int:
    """How many a topic is created with."""
    return 1 if topic.partitions == "one" else topics.partitions


def _check_partitions(state: TopicState, topic: Topic, wanted: int) -> None:
    if topic.partitions == "any" or state.partitions in (0, wanted):
        return
    ways = [f"set ASSAY_PARTITIONS={state.partitions}"]
    if not topic.users:
        ways.append("choose another ASSAY_TOPIC_PREFIX")
        if state.partitions < wanted:
            ways.append("add what is missing with `assay topics create --add-partitions`")
    raise TopicError(f"Topic {state.name} has {state.partitions} partitions, not {wanted}: {', or '.join(ways)}.")


async def _create(kafka: KafkaSettings, topics: TopicSettings, missing: list[Topic]) -> set[str]:
    """Names that we created: one that another process created in the meantime is not among them."""
    new = [
        NewTopic(
            topic.full_name(topics.topic_prefix),
            partitions(topic, topics),
            topics.replication,
            topic_configs=configuration(topic, topics),
        )
        for topic in missing
    ]
    answer = await _ask(kafka, "create_topics", new)
    created = set()
    for name, code, *message in answer.topic_errors:
        if code == OK:
            created.add(name)
        elif for_code(code) is not TopicAlreadyExistsError:
            detail = (message and message[0]) or for_code(code).__name__
            raise TopicError(f"Topic {name} could not be created: {detail.rstrip('.')}.")
    return created


async def wait_until_visible(shown: Callable[[], Awaitable[bool]], what: str) -> None:
    """Kafka answers a change before every broker knows of it; a client that comes too soon finds the topics of before.

    what: was changed, in the plural. Raises TopicError where it is not shown in time.
    """
    try:
        async with asyncio.timeout(VISIBLE_TIMEOUT_S):
            while not await shown():  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL_S)
    except TimeoutError:
        raise TopicError(
            f"Kafka did not show the {what} within {VISIBLE_TIMEOUT_S:.0f} s: check its brokers."
        ) from None


async def have_partitions(kafka: KafkaSettings, topics: TopicSettings, declared: list[Topic]) -> bool:
    """Whether the broker shows as many of each as it is created with."""
    states = await describe_topics(kafka, topics, declared)
    return all(state.partitions >= partitions(topic, topics) for topic, state in zip(declared, states, strict=True))


def configuration(topic: Topic, topics: TopicSettings) -> dict[str, str]:
    """What a topic is created with."""
    values = {
        "cleanup.policy": topic.cleanup,
        "compression.type": "producer",
        # retention of what we write counts from the broker's clock; a payer's clock is bounded by it
        "message.timestamp.type": "CreateTime" if topic.stamped_by == "producer" else "LogAppendTime",
        "message.timestamp.after.max.ms": str(STAMP_AHEAD_MS_MAX),
        "retention.ms": str(-1 if topic.retention_ms is None else topic.retention_ms),
    }
    if topic.replayed:
        values["min.compaction.lag.ms"] = str(TRANSACTIONS.retention_ms)
    elif topic.cleanup == "compact":
        values["segment.ms"] = str(HOUR_MS)  # only closed segments are compacted, and a restart reads what is left
    if topics.replication >= 3:
        values["min.insync.replicas"] = "2"
    return values


async def _ask(kafka: KafkaSettings, request: str, argument: Any) -> Any:
    client = admin(kafka)
    try:
        await client.start()
        return await retry_transient(lambda: getattr(client, request)(argument))
    except KafkaError as error:
        raise TopicError(await why_unreachable(kafka, error)) from None
    finally:
        await client.close()
