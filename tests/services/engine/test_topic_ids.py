"""Which log a topic's name stands for, asked of a real broker."""

from schemas.topics import TRANSACTIONS
from services.engine.topic_ids import topic_ids
from services.kafka.client import admin
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings
from tests.services.harness import Stream


async def test_a_topic_made_again_has_another_id(stream: Stream) -> None:
    """The same as long as it stands, another once it was deleted and created again, none without the topic."""
    name = stream.prefix + TRANSACTIONS.name
    client = admin(KafkaSettings(bootstrap=stream.bootstrap))
    await client.start()
    try:
        first = await topic_ids(client._client, [name, "no-such-topic"])
        assert first == await topic_ids(client._client, [name])
        assert len(first[name]) == 32
        await client.delete_topics([name])
        while (await describe_topics(stream.kafka, stream.topics, [TRANSACTIONS]))[0].partitions:
            pass
        await stream.create()
        assert (await topic_ids(client._client, [name]))[name] != first[name]
    finally:
        await client.close()
