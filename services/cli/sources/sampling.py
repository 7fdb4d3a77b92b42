"""A sample of a topic or a file, as the commands of `assay source` are given one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from models.discovery.sample import Record, Sample
from services.cli.files import needing_files
from services.cli.sources import forms
from services.errors import AssayError
from services.kafka.client import admin, reader
from services.kafka.preflight import why_unreachable
from services.kafka.record_batches import FetchedRecord
from services.settings.kafka import KafkaSettings
from services.settings.loading import load
from services.verification.read import Span, read

if TYPE_CHECKING:
    from models.files.options import ReadOptions
    from schemas.record_format import Envelope

PLACES = 5
"""Of each partition."""

FILE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson", ".json", ".gz", ".zst")


def is_file(name: str) -> bool:
    """Whether a TOPIC|FILE is a file: it is there, or is called like one."""
    return "/" in name or name.endswith(FILE_SUFFIXES) or Path(name).is_file()


def sample_of(
    name: str,
    options: "ReadOptions | None",
    records_max: int,
    form: str | None = None,
    envelope: "Envelope | None" = None,
) -> Sample:
    """Records of a file or, by its whole name, of a topic of ASSAY_KAFKA_BOOTSTRAP. Raises TableError, AssayError.

    form: of a topic's records, envelope: of these or of a file's lines, where they are known; else as the records show.
    """
    if is_file(name):
        with needing_files():
            from models.discovery.files import sample_file
            from models.files.options import ReadOptions
        return sample_file(Path(name), options or ReadOptions(), records_max, envelope)
    found, partitions = asyncio.run(topic_records(load(KafkaSettings), name, records_max))
    given = forms.said(form, envelope, [record.value for record in found], name)
    events = asyncio.run(forms.events(found, given, name))
    held = [
        Record(record.value, f"partition {record.partition}, offset {record.offset}", record.key, record.partition)
        for record in events
        if isinstance(record, FetchedRecord) and isinstance(record.value, bytes) and record.value
    ]
    notes = [f"{len(found) - len(held):,} records hold no event, or cannot be read"] if len(held) < len(found) else []
    return Sample(name, held, partitions, notes=notes, format=given.type, envelope=given.envelope)


async def topic_records(kafka: KafkaSettings, topic: str, records_max: int) -> tuple[Sequence[Any], int]:
    """Some committed records from several places of each partition; and how many partitions there are. Raises AssayError."""
    consumer = reader(kafka)
    try:
        partitions = await _partitions(kafka, topic)
        await consumer.start()
        sources = [TopicPartition(topic, number) for number in range(partitions)]
        begins, ends = await consumer.beginning_offsets(sources), await consumer.end_offsets(sources)
        if not sum(ends[source] - begins[source] for source in sources):
            raise AssayError(f"Topic {topic} holds no record yet: send some first, or give a file.")
        found: list[Any] = []
        for spans in _rounds(begins, ends, max(1, records_max // partitions)):
            async for _, records in read(consumer, spans):
                found += records
    except KafkaError as error:
        raise AssayError(await why_unreachable(kafka, error)) from None
    finally:
        await consumer.stop()
    return found[:records_max], partitions


async def _partitions(kafka: KafkaSettings, topic: str) -> int:
    """How many the topic has. Raises AssayError where there is no such topic."""
    client = admin(kafka)
    try:
        await client.start()
        (described,) = await client.describe_topics([topic])
        if described["error_code"] == 0:
            return len(described["partitions"])
        names = await client.list_topics()
    finally:
        await client.close()
    known = sorted(name for name in names if not name.startswith("__"))
    raise AssayError(
        f"There is no topic {topic} at {kafka.bootstrap}: name it in full (there are {', '.join(known[:10]) or 'none'}), or "
        "give a file (.csv, .jsonl, .parquet)."
    )


def _rounds(
    begins: dict[TopicPartition, int], ends: dict[TopicPartition, int], each: int
) -> list[dict[TopicPartition, Span]]:
    """Spans to read, one a partition in each round: all of a short partition, else several places, the newest among them."""
    rounds: list[dict[TopicPartition, Span]] = [{} for _ in range(PLACES)]
    for source, begin in begins.items():
        end = ends[source]
        if end - begin <= each:
            if end > begin:
                rounds[0][source] = Span(begin, end)
            continue
        length = max(1, each // PLACES)
        for place, spans in enumerate(rounds):
            at = begin + (end - begin - length) * place // (PLACES - 1)
            spans[source] = Span(at, at + length)
    return [spans for spans in rounds if spans]
