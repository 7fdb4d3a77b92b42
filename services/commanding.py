"""Commands to running scorers over `control`, and their answers.

First the scorers are asked, then the registry is written: what they refuse, or do not answer, is withdrawn by a command that
names what held the channel before, and nothing has changed. Where who commands dies between the two, the scorers keep what they
were commanded, also over restarts; the same command again completes it, and `assay registry rollback` takes it back.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.bundle.files import BundleError
from models.sources.spec_file import scorer_input
from schemas import codec
from schemas.control import BundleRef, Channel, Control, command_key
from schemas.person import SignedStep
from schemas.topics import (
    APPLICATIONS,
    CONTROL,
    CONTROL_ANSWERS,
    CREDIT_CONTROL,
    CREDIT_CONTROL_ANSWERS,
    TRANSACTIONS,
    Topic,
)
from services.clock import monotonic_s, wall_ms
from services.errors import AssayError, SettingsError
from services.kafka.client import plain_producer, reader, records_before
from services.kafka.topics_admin import describe_topics
from services.settings.bundles import BundleSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import scoring_bundle

POLL_MS = 100


@dataclass(frozen=True, slots=True)
class Commanded:
    """Whom commands reach: the topic that they work unless a bundle names another, and the two of commands and answers."""

    inputs: Topic
    commands: Topic
    answers: Topic


SCORERS = Commanded(TRANSACTIONS, CONTROL, CONTROL_ANSWERS)
CREDIT = Commanded(APPLICATIONS, CREDIT_CONTROL, CREDIT_CONTROL_ANSWERS)

Heard = Callable[[int, int], None]
"""How many partitions have answered, and how many there are."""


@dataclass(frozen=True, slots=True)
class ControlCommand:
    """The change to make."""

    command_id: str
    channel: Channel
    bundle: BundleRef | None
    replaces: BundleRef | None = None
    rollback: bool = False
    refold: bool = False
    why: str | None = None
    registry_steps: int | None = None
    signed: SignedStep | None = None
    before: BundleRef | None = None
    """What the registry has in the channel, to go back to."""

    def taken_back(self) -> "ControlCommand":
        """The command that undoes it."""
        return replace(
            self,
            command_id=uuid.uuid4().hex,
            bundle=self.before,
            replaces=self.bundle,
            rollback=True,
            refold=True,
            why=f"taken back: {self.why}"[:500] if self.why else "taken back",
        )


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The answers that came, one a partition, and how many partitions there are."""

    answers: list[Control]
    partitions: int
    recorded: bool = False

    @property
    def refused(self) -> list[Control]:
        """Answers of partitions that would not."""
        return [answer for answer in self.answers if answer.outcome == "refused"]

    @property
    def agreed(self) -> bool:
        """Whether every partition has it active."""
        return not self.refused and len(self.answers) == self.partitions


async def change(
    order: ControlCommand,
    group: str,
    by: str,
    wait_s: float,
    record: Callable[[], object],
    whom: Commanded = SCORERS,
    heard: Heard = lambda answered, partitions: None,
) -> CommandResult:
    """Command, and once every partition agrees `record` it; else withdraw the command. Raises AssayError, BundleError.

    wait_s: 0 asks no one: the command is sent, and recorded. heard: told of each answer. record: may block.
    """
    try:
        done = await command(order, group, by, wait_s, whom, heard)
        if done.agreed or not wait_s:
            await asyncio.to_thread(record)
            return replace(done, recorded=True)
    except BaseException:  # Ctrl-C, unreachable brokers, a registry that another process changed meanwhile
        with contextlib.suppress(AssayError):
            await command(order.taken_back(), group, by, 0, whom)
        raise
    await command(order.taken_back(), group, by, wait_s if done.answers else 0, whom)
    return done


async def command(
    order: ControlCommand,
    group: str,
    by: str,
    wait_s: float,
    whom: Commanded = SCORERS,
    heard: Heard = lambda answered, partitions: None,
) -> CommandResult:
    """Send a command and wait for the answers. Raises AssayError where Kafka does not work."""
    kafka, topics, runtime = load(KafkaSettings), load(TopicSettings), load(RuntimeSettings)
    control = Control(
        kind="command",
        group=group,
        channel=order.channel,
        command_id=order.command_id,
        at_ms=wall_ms(),
        by=by,
        bundle=order.bundle,
        replaces=order.replaces,
        rollback=order.rollback,
        refold=order.refold,
        why=order.why,
        registry_steps=order.registry_steps,
        signed=order.signed,
    )
    # to the champion without a bundle: there is nothing to go back to, so the command is deleted
    value = codec.write(control) if order.bundle or order.channel != "champion" else None
    read = await asyncio.to_thread(_inputs_of, whom)
    states = await describe_topics(kafka, topics, [read, whom.commands, whom.answers])
    if missing := [state.name for state in states if not state.partitions]:
        raise AssayError(f"Topic {missing[0]} does not exist: run `assay topics create`.")
    inputs, controls, told = states
    consumer, producer = reader(kafka), plain_producer(kafka, runtime)
    try:
        await consumer.start()
        source = TopicPartition(told.name, 0)
        consumer.assign([source])
        await consumer.seek_to_end(source)
        await consumer.position(source)
        await producer.start()
        await producer.send_and_wait(controls.name, value, key=command_key(group, order.channel))
        found = await _collect(consumer, order, group, inputs.partitions, wait_s, heard)
        return CommandResult(found, inputs.partitions)
    except KafkaError as error:
        raise _silent(kafka, error) from None
    finally:
        await consumer.stop()
        await producer.stop()


def _inputs_of(whom: Commanded) -> Topic:
    """The topic whose partitions answer: for scorers, the one that the bundle that scores makes them read."""
    if whom is not SCORERS:
        return whom.inputs
    try:
        manifest = scoring_bundle(load(ScorerSettings), load(BundleSettings)).bundle.manifest
    except (BundleError, SettingsError):  # whoever reads a topic of their own has a bundle that says so
        return whom.inputs
    return scorer_input(manifest.source, manifest.feature_spec)


async def answers(group: str, whom: Commanded = SCORERS) -> list[Control]:
    """The last answer of every partition and channel."""
    last = {
        (control.channel, control.source_partition): control
        for control in await _whole(whom.answers)
        if control.group == group and control.source_partition is not None
    }
    return [last[key] for key in sorted(last)]


async def last_command(group: str, channel: Channel, whom: Commanded = SCORERS) -> Control | None:
    """What a group was commanded last."""
    commands = [
        c for c in await _whole(whom.commands) if c.kind == "command" and (c.group, c.channel) == (group, channel)
    ]
    return commands[-1] if commands else None


async def _whole(topic: Topic) -> list[Control]:
    """All records of a topic. Raises AssayError."""
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    source, found = TopicPartition(topics.topic_prefix + topic.name, 0), list[Control]()
    consumer = reader(kafka)
    try:
        await consumer.start()
        consumer.assign([source])
        end = (await consumer.end_offsets([source]))[source]
        found += _read([record async for record in records_before(consumer, source, end)])
    except KafkaError as error:
        raise _silent(kafka, error) from None
    finally:
        await consumer.stop()
    return found


async def _collect(
    consumer: AIOKafkaConsumer, order: ControlCommand, group: str, partitions: int, wait_s: float, heard: Heard
) -> list[Control]:
    found: dict[int, Control] = {}
    deadline_s = monotonic_s() + wait_s
    while len(found) < partitions and monotonic_s() < deadline_s:
        for control in await _poll(consumer):
            mine = control.kind == "acknowledgement" and control.group == group
            if mine and control.command_id == order.command_id and control.source_partition is not None:
                found[control.source_partition] = control
        heard(len(found), partitions)
    return [found[partition] for partition in sorted(found)]


async def _poll(consumer: AIOKafkaConsumer) -> list[Control]:
    fetched = await consumer.getmany(timeout_ms=POLL_MS)
    return _read(record for records in fetched.values() for record in records)


def _read(records: Iterable[Any]) -> list[Control]:
    found = []
    for record in records:
        try:
            found.append(codec.read(Control, record.value or b""))
        except codec.RejectedError:
            continue  # the scorers report it; here it just does not count as an answer
    return found


def _silent(kafka: KafkaSettings, error: KafkaError) -> AssayError:
    return AssayError(f"Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}): check ASSAY_KAFKA_*.")
