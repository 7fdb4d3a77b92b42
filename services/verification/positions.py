"""Positions of the group and ends of the topics."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.clock import monotonic_s
from services.engine.log_identity import AnotherLogError, sentence
from services.engine.offset_notes import OffsetNote
from services.engine.snapshots import NO_LOG_ID
from services.engine.topic_ids import topic_ids
from services.kafka.client import admin, connection, reader, retry_transient
from services.settings.kafka import KafkaSettings

POLL_S = 0.05

Offsets = dict[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Committed:
    """A partition's committed offset, and what stands beside it."""

    offset: int
    note: OffsetNote


async def committed_offsets(kafka: KafkaSettings, group: str, topic: str) -> dict[int, Committed]:
    """Of each partition of the topic that the group has committed.

    Raises AnotherLogError where one was committed while the topic was another log.
    """
    client = admin(kafka)
    try:
        await client.start()
        offsets = await retry_transient(lambda: client.list_consumer_group_offsets(group))
        now_id = (await topic_ids(client._client, [topic])).get(topic, NO_LOG_ID)
    finally:
        await client.close()
    ours = {source: at for source, at in offsets.items() if source.topic == topic and at.offset >= 0}
    for source, at in sorted(ours.items()):
        was = OffsetNote.read(at.metadata).log_id
        if was is not None and NO_LOG_ID not in (was, now_id) and was != now_id:
            where = f"partition {source.partition}: its topic id was {was}, and is {now_id}"
            raise AnotherLogError(sentence(topic, group, where, now_id))
    return {source.partition: Committed(at.offset, OffsetNote.read(at.metadata)) for source, at in ours.items()}


@dataclass(frozen=True, slots=True)
class Ends:
    """How far partitions can be read, and which of them hold a transaction that neither commits nor aborts."""

    offsets: Offsets
    hanging: tuple[TopicPartition, ...]


async def settled_ends(kafka: KafkaSettings, partitions: Sequence[TopicPartition], settle_s_max: float) -> Ends:
    """Today's high watermarks, once every transaction below them is settled; after `settle_s_max`, as far as it is."""
    stable, latest = reader(kafka), AIOKafkaConsumer(**connection(kafka), isolation_level="read_uncommitted")
    try:
        await stable.start()
        await latest.start()
        high: Offsets = await latest.end_offsets(partitions)
        deadline_s = monotonic_s() + settle_s_max
        while True:
            ends: Offsets = await stable.end_offsets(partitions)
            hanging = tuple(tp for tp in partitions if ends[tp] < high[tp])
            if not hanging or monotonic_s() > deadline_s:
                return Ends({tp: min(high[tp], ends[tp]) for tp in partitions}, hanging)
            await asyncio.sleep(POLL_S)
    finally:
        await stable.stop()
        await latest.stop()
