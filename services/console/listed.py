"""What a list says now of entries that persons are about to sign: of what is older nothing would count."""

from collections.abc import Sequence

from aiokafka import TopicPartition

from models.bundle.persons import StepRule
from schemas import codec
from schemas.lists import ListEntry, entry_key
from schemas.topics import LISTS
from services.errors import AssayError
from services.kafka.client import reader, records_before
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.signed_entries import EntryGuard, ListRecord


async def has_newer(kafka: KafkaSettings, topics: TopicSettings, entries: Sequence[ListEntry], rule: StepRule) -> bool:
    """Whether something that counts is as new as one of them. Raises KafkaError, AssayError."""
    wanted = {entry_key(entry): entry.written_at_ms for entry in entries}
    guard = EntryGuard(rule)
    (state,) = await describe_topics(kafka, topics, (LISTS,))
    if not state.partitions:
        raise AssayError(
            f"Topic {state.name} does not exist or is hidden from the console: `assay acls console` has the rights."
        )
    sources = [TopicPartition(state.name, number) for number in range(state.partitions)]
    consumer = reader(kafka)
    await consumer.start()
    try:
        consumer.assign(sources)
        ends = await consumer.end_offsets(sources)
        for source in sources:
            async for record in records_before(consumer, source, ends[source]):
                if record.key in wanted and _said_at_ms(guard, record) >= wanted[record.key]:
                    return True
    finally:
        await consumer.stop()
    return False


def _said_at_ms(guard: EntryGuard, record: ListRecord) -> int:
    """When it was said, by the entry; -1 where it does not count."""
    try:
        guard.check(record)
        return codec.read(ListEntry, record.value or b"").written_at_ms
    except codec.RejectedError:
        return -1
