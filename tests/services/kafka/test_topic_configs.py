"""What differs on existing topics is said, altered only when asked for, and the way back is printed."""

import json

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from schemas.topics import DAY_MS, STAMP_AHEAD_MS_MAX, TOPICS
from services.cli.app import app
from services.kafka.client import admin
from services.kafka.topic_configs import alter, differences
from services.kafka.topics_admin import create_topics
from services.settings.kafka import KafkaSettings, TopicSettings

THEIRS = {
    "transactions": {
        "retention.ms": "-1",
        "message.timestamp.after.max.ms": str(2**63 - 1),
    },  # keeps for ever: longer than declared is no difference
    "decisions": {"retention.ms": str(7 * DAY_MS), "max.message.bytes": "2000000"},
    "labels": {"retention.ms": str(200 * DAY_MS), "cleanup.policy": "compact"},
}


@pytest.fixture
async def theirs(kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> TopicSettings:
    """Topics that somebody else made first."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("ASSAY_PARTITIONS", "2")
    client = admin(KafkaSettings(bootstrap=kafka_bootstrap))
    await client.start()
    await client.create_topics(
        [NewTopic(topic_prefix + name, 2, 1, topic_configs=configs) for name, configs in THEIRS.items()]
    )
    await client.close()
    return TopicSettings(topic_prefix=topic_prefix, partitions=2, replication=1)


async def configured(kafka: KafkaSettings, name: str) -> dict[str, str]:
    """A topic's configuration."""
    client = admin(kafka)
    await client.start()
    (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    await client.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def test_what_differs_is_found_altered_when_asked_for_and_left_alone_otherwise(
    theirs: TopicSettings, kafka_bootstrap: str
) -> None:
    """A retention is lengthened, never shortened; what deletes records is only shown; other settings stay."""
    kafka, prefix = KafkaSettings(bootstrap=kafka_bootstrap), theirs.topic_prefix
    await create_topics(kafka, theirs, TOPICS)
    found = await differences(kafka, theirs, TOPICS)
    stamps = ("message.timestamp.after.max.ms", "message.timestamp.type")
    assert {d.topic.removeprefix(prefix) for d in found} == set(THEIRS)
    by_topic = {name: {d.setting for d in found if d.topic == prefix + name} for name in THEIRS}
    assert by_topic == {
        "transactions": {stamps[0]},
        "decisions": {stamps[1], "retention.ms"},
        "labels": {stamps[1], "cleanup.policy"},
    }
    back = await alter(kafka, theirs, TOPICS, found)
    decisions = await configured(kafka, f"{prefix}decisions")
    assert decisions["retention.ms"] == str(180 * DAY_MS)
    assert decisions["message.timestamp.type"] == "LogAppendTime"
    assert decisions["max.message.bytes"] == "2000000"
    transactions = await configured(kafka, f"{prefix}transactions")
    assert (transactions["retention.ms"], transactions[stamps[0]]) == ("-1", str(STAMP_AHEAD_MS_MAX))
    assert (await configured(kafka, f"{prefix}labels"))["cleanup.policy"] == "compact"
    command = (
        f"kafka-configs.sh --bootstrap-server {kafka.bootstrap} --alter --entity-type topics --entity-name {prefix}"
    )
    assert f"{command}decisions --add-config retention.ms={7 * DAY_MS}" in back
    assert f"{command}decisions --delete-config message.timestamp.type" in back
    assert [d.setting for d in await differences(kafka, theirs, TOPICS)] == ["cleanup.policy"]


def test_the_command_says_what_differs_and_leads_there_and_back(theirs: TopicSettings, kafka_bootstrap: str) -> None:
    """Without --alter nothing is changed."""
    for _ in range(2):
        said = CliRunner().invoke(app, ["topics", "create"]).output
        assert f"  retention.ms is {7 * DAY_MS}, declared {180 * DAY_MS}\n" in said
        assert "cleanup.policy is compact, declared delete (not altered by us: see to it by hand)" in said
        assert "assay topics create --alter" in said
    said = CliRunner().invoke(app, ["topics", "create", "--alter"]).output
    assert f"  retention.ms is {7 * DAY_MS}, declared {180 * DAY_MS}, altered\n" in said
    assert f"decisions --add-config retention.ms={7 * DAY_MS}\n" in said
    after = json.loads(CliRunner().invoke(app, ["topics", "create", "--json"]).output)
    assert [(topic["name"], topic["differs"]) for topic in after if topic["differs"]] == [
        (f"{theirs.topic_prefix}labels", {"cleanup.policy": ["compact", "delete"]})
    ]


async def test_topics_that_we_created_do_not_differ(kafka_bootstrap: str, topic_prefix: str) -> None:
    """Whatever the broker adds of its own."""
    kafka = KafkaSettings(bootstrap=kafka_bootstrap)
    topics = TopicSettings(topic_prefix=topic_prefix, partitions=2, replication=1)
    await create_topics(kafka, topics, TOPICS)
    assert await differences(kafka, topics, TOPICS) == []
