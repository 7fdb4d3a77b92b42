"""`assay tail`: shows records of an output topic as they are committed."""

import asyncio
import json as json_module
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.masking import masked
from services.cli.output import notes, results, shown
from services.cli.people.unmasking import Why, audited
from services.errors import AssayError

if TYPE_CHECKING:
    from schemas.topics import Topic
    from services.privacy.sealed_attributes import OpenedAlert
    from services.privacy.sealed_decisions import Opened

EXAMPLE = "Example: assay tail alerts --from-start --count 5 --json"

STAYS_SEALED = {"erased": "its subject was erased", "changed": "it was changed since it was sealed"}


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
    unseal: Annotated[
        bool,
        typer.Option(
            "--open", help="Open sealed decisions and alerts with ASSAY_SUBJECT_KEY; an erased subject's stay sealed."
        ),
    ] = False,
    why: Why = None,
) -> None:
    """Show committed records until --count or Ctrl-C. Card and applicant ids are masked."""
    from schemas.topics import TOPICS

    declared = next(declared for declared in TOPICS if declared.name == topic)
    show = _Show(json, unmasked, _opener(topic) if unseal else None)
    audited(f"assay tail {topic.value}", why, unmasked=unmasked, opened=unseal)
    asyncio.run(_follow(declared, show, from_start=from_start, count=count))


@dataclass(frozen=True, slots=True)
class _Show:
    """How records are shown. open: what opens a decision or an alert."""

    json: bool
    unmasked: bool
    open: "Callable[[Any], Opened | OpenedAlert] | None"


def _opener(topic: Output) -> "Callable[[Any], Opened | OpenedAlert]":
    from services.cli.people.opening import keys_to_open
    from services.privacy.sealed_attributes import opened_alert
    from services.privacy.sealed_decisions import opened

    if topic not in (Output.DECISIONS, Output.ALERTS):
        raise AssayError(f"--open is for sealed decisions and alerts; {topic.value} are not sealed: leave it out.")
    keys = keys_to_open()
    return lambda record: opened_alert(record, keys) if topic is Output.ALERTS else opened(record, keys)


async def _follow(topic: "Topic", show: _Show, *, from_start: bool, count: int | None) -> None:
    from aiokafka.errors import KafkaError

    from services.kafka.client import reader
    from services.kafka.topics_admin import describe_topics
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load

    kafka, topics = load(KafkaSettings), load(TopicSettings)
    (state,) = await describe_topics(kafka, topics, (topic,))
    if not state.partitions:
        raise AssayError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
    consumer = reader(kafka, [state.name], latest=not from_start)
    try:
        await consumer.start()
        shown = 0
        async for record in consumer:
            fields = _fields(topic, record, show)
            if fields is not None:
                for person in ("card_id", "applicant_id"):
                    if not show.unmasked and fields.get(person):
                        fields[person] = masked(fields[person])
                results.print(json_module.dumps(fields) if show.json else line(fields))
            shown += 1
            if shown == count:
                return
    except KafkaError as error:
        raise AssayError(f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}).") from None
    finally:
        await consumer.stop()


def _fields(topic: "Topic", record: Any, show: _Show) -> dict[str, Any] | None:
    """The record's fields by its schema, opened on request; None, with a note, where it has another."""
    from schemas import codec
    from services.privacy.subject_keys import SubjectKeysError

    where = f"{record.topic}-{record.partition}@{record.offset}"
    try:
        message = codec.read(topic.schema, record.value or b"")
        if show.open is not None:
            message, was = show.open(message)
            if was in STAYS_SEALED:
                notes.print(f"{where} stays sealed: {STAYS_SEALED[was]}")
        return message.model_dump(mode="json")
    except SubjectKeysError as error:
        raise AssayError(
            f"{where} cannot be opened: {error}. ASSAY_SUBJECT_SALTS_URL says where the salts are."
        ) from None
    except codec.RejectedError:
        notes.print(f"{where} is not a message of its schema")
        return None


def line(fields: dict[str, Any]) -> str:
    """A score, alert, decision or dead letter in one line (its reasons below it)."""
    fields = {name: shown(value) if isinstance(value, str) else value for name, value in fields.items()}
    if "payload_bytes" in fields:
        source = f"{fields['source_topic']}-{fields['source_partition']}@{fields['source_offset']}"
        return f"{fields['reason']:<12} {source} ({fields['payload_bytes']} bytes): {fields['detail']}"
    money = fields.get("amount")  # none where a decision is sealed
    amount = "" if money is None else f" {money:,.2f} {fields.get('currency') or ''}".rstrip()
    scores = f"p={fields['probability']:.3f} anomaly={fields['anomaly_percentile']:.1f}"
    outcome = fields.get("outcome") or ("ALERT" if fields["alert"] else "pass")
    reasons = "".join(f"\n    {shown(reason['text'])}" for reason in fields.get("reasons") or ())
    reasons += "".join(
        f"\n      {shown(one['words'])}: {shown(one['text'])}"
        for one in fields.get("attributes") or ()
        if "words" in one
    )
    reasons += "".join(f"\n    {shown(words)}" for words in fields.get("rule_words") or ())
    if fields.get("action"):
        outcome = fields["action"]
    if "application_id" in fields:
        what = f"{fields['application_id']} applicant {fields['applicant_id']}"
    else:
        what = f"{fields['transaction_id']} card {fields['card_id']}"
    return f"{outcome:<5} {what}{amount} {scores} {fields['model']}{reasons}"
