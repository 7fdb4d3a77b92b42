"""Topics on a real broker are what `schemas/topics.py` declares."""

import asyncio

import pytest

from schemas.topics import ALERTS, APPLICATIONS, DAY_MS, SCORES, TOPICS, TRANSACTIONS, Topic
from schemas.transaction import Transaction
from services.errors import AssayError
from services.kafka.topics_admin import (
    Retention,
    TopicState,
    create_topics,
    describe_topics,
    read_retention,
    read_unbounded_stamps,
    short_retention,
)
from services.settings.kafka import KafkaSettings, TopicSettings


@pytest.fixture
def kafka(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka_bootstrap)


def settings(prefix: str, partitions: int = 3, replication: int = 1) -> TopicSettings:
    return TopicSettings(topic_prefix=prefix, partitions=partitions, replication=replication)


async def test_every_declared_topic_is_created_once_and_reported_as_existing_after(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """Creating twice is harmless and tells what it did."""
    topics = settings(topic_prefix)
    first = await create_topics(kafka, topics, TOPICS)
    second = await create_topics(kafka, topics, TOPICS)
    assert [topic.name for topic in first] == [topic_prefix + topic.name for topic in TOPICS]
    assert all(topic.created for topic in first)
    assert not any(topic.created for topic in second)


async def test_partitions_are_the_inputs_or_one(kafka: KafkaSettings, topic_prefix: str) -> None:
    """`input` topics take the settings' count, `one` topics take one."""
    single = Topic("single", Transaction, "none", "nobody", None, partitions="one", cleanup="compact")
    await create_topics(kafka, settings(topic_prefix), [TRANSACTIONS, single])
    assert await describe_topics(kafka, settings(topic_prefix), [single, TRANSACTIONS]) == [
        TopicState(topic_prefix + "single", partitions=1, replication=1),
        TopicState(topic_prefix + "transactions", partitions=3, replication=1),
    ]


async def test_a_missing_topic_is_described_with_no_partitions(kafka: KafkaSettings, topic_prefix: str) -> None:
    """Nothing is created by asking."""
    assert await describe_topics(kafka, settings(topic_prefix), [ALERTS]) == [TopicState(topic_prefix + "alerts", 0, 0)]


async def test_a_topic_with_another_partition_count_is_refused_with_a_sentence_and_nothing_is_created(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """A card would change its partition, so we never go on with another count."""
    await create_topics(kafka, settings(topic_prefix, partitions=2), [SCORES])
    with pytest.raises(AssayError, match=r"scores has 2 partitions, not 3: set ASSAY_PARTITIONS=2"):
        await create_topics(kafka, settings(topic_prefix), [ALERTS, SCORES])
    assert (await describe_topics(kafka, settings(topic_prefix), [ALERTS]))[0].partitions == 0


async def test_more_replicas_than_brokers_is_a_sentence(kafka: KafkaSettings, topic_prefix: str) -> None:
    """The broker's own reason is passed on."""
    with pytest.raises(AssayError, match="could not be created"):
        await create_topics(kafka, settings(topic_prefix, replication=3), [SCORES])


async def test_an_unreachable_broker_is_a_sentence(topic_prefix: str) -> None:
    """No traceback of the client library for a wrong address."""
    with pytest.raises(AssayError, match="ASSAY_KAFKA_BOOTSTRAP"):
        await create_topics(KafkaSettings(bootstrap="127.0.0.1:1"), settings(topic_prefix), [SCORES])


async def test_retention_and_cleanup_reach_the_broker(
    kafka: KafkaSettings, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """An outsider reads the configuration that the declaration promises."""
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    compacted = Topic("table", Transaction, "none", "nobody", None, cleanup="compact")
    await create_topics(kafka, settings(topic_prefix), [ALERTS, compacted])
    outsider = AdminClient({"bootstrap.servers": kafka_bootstrap})
    found = {}
    for topic in (ALERTS, compacted):
        resource = ConfigResource(ResourceType.TOPIC, topic_prefix + topic.name)
        entries = outsider.describe_configs([resource])[resource].result(timeout=30)
        found[topic.name] = (entries["cleanup.policy"].value, int(entries["retention.ms"].value))
    assert found == {"alerts": ("delete", ALERTS.retention_ms), "table": ("compact", -1)}


async def test_a_retention_shorter_than_the_features_look_back_is_told(kafka: KafkaSettings, topic_prefix: str) -> None:
    """As declared it is long enough for 30 days; in bytes no one can say."""
    await create_topics(kafka, settings(topic_prefix), [TRANSACTIONS])
    retention = await read_retention(kafka, settings(topic_prefix), TRANSACTIONS)
    assert retention == Retention(TRANSACTIONS.retention_ms, None)
    assert short_retention("transactions", retention, 30 * DAY_MS) is None
    assert "retention.ms to 3456000000" in str(short_retention("transactions", retention, 40 * DAY_MS))
    assert "retention.bytes to -1" in str(short_retention("transactions", Retention(None, 1 << 30), 30 * DAY_MS))
    assert await read_retention(kafka, settings(topic_prefix), ALERTS) is None


async def test_timestamps_that_a_producer_chooses_without_bound_are_reported(
    kafka: KafkaSettings, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """Inputs as we create them are bounded, outputs bear the broker's time; another's topic may be neither."""
    await create_topics(kafka, settings(topic_prefix), [TRANSACTIONS, ALERTS])
    assert await read_unbounded_stamps(kafka, settings(topic_prefix), TRANSACTIONS) is None
    assert await read_unbounded_stamps(kafka, settings(topic_prefix), ALERTS) is None
    from confluent_kafka.admin import AdminClient, NewTopic

    outsider = AdminClient({"bootstrap.servers": kafka_bootstrap})
    other = NewTopic(
        f"{topic_prefix}{APPLICATIONS.name}",
        1,
        config={"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**62)},
    )
    outsider.create_topics([other])[other.topic].result(timeout=30)
    while not (await describe_topics(kafka, settings(topic_prefix), [APPLICATIONS]))[0].partitions:  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # the answer comes before the broker knows
    told = await read_unbounded_stamps(kafka, settings(topic_prefix), APPLICATIONS)
    assert told is not None
    assert "message.timestamp.after.max.ms to 3600000" in told
