"""`assay tail`: shows records of an output topic as they are committed."""

import asyncio
import json as json_module
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.masking import masked
from services.cli.output import notes, results

if TYPE_CHECKING:
    from schemas.topics import Topic

EXAMPLE = "Example: assay tail alerts --from-start --count 5 --json"


class Output(StrEnum):
    """What can be watched."""

    ALERTS = "alerts"
    SCORES = "scores"
    DEAD_LETTERS = "dead-letters"
    DECISIONS = "decisions"
    CREDIT_SCORES = "credit-scores"
    CREDIT_DECISIONS = "credit-decisions"


def tail(
    topic: Annotated[Output, typer.Argument(help="What to watch.")],
    json: Annotated[bool, typer.Option("--json", help="One line of JSON for each record.")] = False,
    from_start: Annotated[bool, typer.Option(help="Begin with the oldest record, not with the next.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many.")] = None,
    unmasked: Annotated[bool, typer.Option(help="Show whole card and applicant ids.")] = False,
) -> None:
    """Show committed records until --count or Ctrl-C. Card and applicant ids are masked."""
    from schemas.topics import TOPICS

    declared = next(declared for declared in TOPICS if declared.name == topic)
    asyncio.run(_follow(declared, json=json, from_start=from_start, count=count, unmasked=unmasked))


async def _follow(topic: "Topic", *, json: bool, from_start: bool, count: int | None, unmasked: bool) -> None:
    from aiokafka.errors import KafkaError

    from services.runtime.errors import AssayError
    from services.runtime.kafka import reader
    from services.runtime.settings import KafkaSettings, TopicSettings, load
    from services.runtime.topics_admin import describe_topics

    kafka, topics = load(KafkaSettings), load(TopicSettings)
    (state,) = await describe_topics(kafka, topics, (topic,))
    if not state.partitions:
        raise AssayError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
    consumer = reader(kafka, [state.name], latest=not from_start)
    try:
        await consumer.start()
        shown = 0
        async for record in consumer:
            fields = _fields(topic, record)
            if fields is not None:
                for person in ("card_id", "applicant_id"):
                    if not unmasked and fields.get(person):
                        fields[person] = masked(fields[person])
                results.print(json_module.dumps(fields) if json else line(fields), markup=False)
            shown += 1
            if shown == count:
                return
    except KafkaError as error:
        raise AssayError(f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}).") from None
    finally:
        await consumer.stop()


def _fields(topic: "Topic", record: Any) -> dict[str, Any] | None:
    """The record's fields by its schema; None, with a note, where it has another."""
    from schemas import codec

    try:
        return codec.read(topic.schema, record.value or b"").model_dump(mode="json")
    except codec.RejectedError:
        notes.print(f"{record.topic}-{record.partition}@{record.offset} is not a message of its schema")
        return None


def line(fields: dict[str, Any]) -> str:
    """A score, alert, decision or dead letter in one line (its reasons below it)."""
    if "payload_bytes" in fields:
        source = f"{fields['source_topic']}-{fields['source_partition']}@{fields['source_offset']}"
        return f"{fields['reason']:<12} {source} ({fields['payload_bytes']} bytes): {fields['detail']}"
    amount = f" {fields['amount']:,.2f} {fields['currency'] or ''}" if "amount" in fields else ""
    scores = f"p={fields['probability']:.3f} anomaly={fields['anomaly_percentile']:.1f}"
    outcome = fields.get("outcome") or ("ALERT" if fields["alert"] else "pass")
    reasons = "".join(f"\n    {reason['text']}" for reason in fields.get("reasons") or ())
    if "application_id" in fields:
        what = f"{fields['application_id']} applicant {fields['applicant_id']}"
    else:
        what = f"{fields['transaction_id']} card {fields['card_id']}"
    return f"{outcome:<5} {what}{amount} {scores} {fields['model']}{reasons}"
