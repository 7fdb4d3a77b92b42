"""The doctor's look at the inputs' keys: whether the newest records lie where their card or applicant belongs."""

from aiokafka import TopicPartition

from schemas import codec
from schemas.base import Message
from schemas.topics import APPLICATIONS, TRANSACTIONS, Topic
from services.engine.key_watch import KEY_BY_ID
from services.engine.placement import Subjects
from services.errors import AssayError
from services.kafka.client import reader
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.verification.read import Span, read

RECORDS_MAX = 500
"""Of each partition, the newest."""


class _OfCard(Message):
    """All that is decoded of a payment."""

    card_id: str


class _OfApplicant(Message):
    """All that is decoded of an application."""

    applicant_id: str


_of_card, _of_applicant = codec.decoder(_OfCard), codec.decoder(_OfApplicant)


def _id_of(topic: Topic, value: bytes) -> str:
    return _of_card(value).card_id if topic is TRANSACTIONS else _of_applicant(value).applicant_id


async def keys() -> str:
    """The newest records lie where they belong. Raises AssayError where some do not."""
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    looked, wrong = 0, []
    for topic, state in zip(
        (TRANSACTIONS, APPLICATIONS),
        await describe_topics(kafka, topics, (TRANSACTIONS, APPLICATIONS)),
        strict=True,
    ):
        records, misplaced = await _misplaced(kafka, topic, state.name, state.partitions)
        looked += records
        if misplaced:
            wrong.append(f"{misplaced:,} of the newest {records:,} records of {state.name}")
    if wrong:
        raise AssayError(
            f"{' and '.join(wrong)} lie on another partition than their id gives, so histories are split and scores miss a "
            f"part, unless partitions were just added: {KEY_BY_ID}."
        )
    return f"the newest {looked:,} records of the inputs lie where their card or applicant belongs"


async def _misplaced(kafka: KafkaSettings, topic: Topic, name: str, partitions: int) -> tuple[int, int]:
    """Of the newest records of a topic that can be read: how many, and how many do not lie where they belong."""
    if not partitions:  # of a source of the user's own
        return 0, 0
    sources = [TopicPartition(name, number) for number in range(partitions)]
    looked = misplaced = 0
    consumer = reader(kafka)
    try:
        await consumer.start()
        begins, ends = await consumer.beginning_offsets(sources), await consumer.end_offsets(sources)
        spans = {source: Span(max(begins[source], ends[source] - RECORDS_MAX), ends[source]) for source in sources}
        async for source, records in read(consumer, spans):
            ids = []
            for record in records:
                try:
                    ids.append(_id_of(topic, record.value or b""))
                except codec.RejectedError:
                    continue  # a dead letter says so
            looked += len(ids)
            misplaced += Subjects.of(ids).misplaced(source.partition, partitions) if ids else 0
    finally:
        await consumer.stop()
    return looked, misplaced
