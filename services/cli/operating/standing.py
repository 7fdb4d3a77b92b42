"""The doctor's checks for partitions that do not move: held ones, and open transactions of other producers on the inputs."""

import asyncio
from functools import partial

from aiokafka import TopicPartition

from services.cli.operating.inputs import inputs
from services.engine.held import HELD_AT
from services.engine.offset_notes import OffsetNote
from services.errors import AssayError
from services.kafka.client import admin, reader, retry_transient
from services.kafka.open_transactions import log_ends, opener
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.verification.positions import committed_offsets

SETTLE_S, ANSWER_S_MAX = 2.0, 5.0
"""A transaction in progress looks like one that stays open, so there are two checks."""


async def held_partitions() -> str:
    """Check that nothing is held. Raises AssayError where the metadata of a committed offset says otherwise."""
    groups = list(dict.fromkeys(group for group, _ in inputs()))
    client = admin(load(KafkaSettings))
    held = []
    try:
        await client.start()
        for group in groups:
            offsets = await retry_transient(partial(client.list_consumer_group_offsets, group))
            notes = [OffsetNote.read(at.metadata) for _, at in sorted(offsets.items())]
            held += [note.held for note in notes if HELD_AT in note.held]
    finally:
        await client.close()
    if held:
        raise AssayError(
            f"{'; '.join(held)}. Look with `assay held show`, then decide (docs/runbooks.md, Partition held)."
        )
    return "none of the groups " + ", ".join(groups)


async def former_logs() -> str:
    """Offsets belong to the inputs that are there. Raises AnotherLogError where an input was deleted and made again."""
    kafka, prefix = load(KafkaSettings), load(TopicSettings).topic_prefix
    for group, topic in inputs():
        await committed_offsets(kafka, group, topic.full_name(prefix))
    return "the groups are at the inputs that are there"


async def open_transactions() -> str:
    """Check that all inputs can be read. Raises AssayError where an open transaction hides records."""
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    states = await describe_topics(kafka, topics, [topic for _, topic in inputs()])
    sources = [TopicPartition(state.name, number) for state in states for number in range(state.partitions)]
    consumer = reader(kafka)
    try:
        await consumer.start()
        consumer.assign(sources)
        before = await consumer.end_offsets(sources)
        ends = await log_ends(consumer, sources, ANSWER_S_MAX)
        if all(before[source] >= ends[source] for source in sources):
            return "none on the inputs"
        await asyncio.sleep(SETTLE_S)
        stable = await consumer.end_offsets(sources)
        stuck = [source for source in sources if stable[source] == before[source] < ends[source]]
        if not stuck:
            return "those on the inputs end"
        told = []
        for source in stuck:
            whose, where = await opener(consumer, source), f"{source.topic}-{source.partition}"
            told.append(
                f"{where}: the offsets {stable[source]} to {ends[source]} wait behind an open transaction ({whose})"
            )
        raise AssayError(f"{'; '.join(told)}. End it where that producer runs (docs/runbooks.md, Open transaction).")
    finally:
        await consumer.stop()
