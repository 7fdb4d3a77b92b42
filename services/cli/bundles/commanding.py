"""Commands to running scorers over `control`, and their answers."""

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.table import Table

from schemas import codec
from schemas.control import BundleRef, Channel, Control, command_key
from schemas.topics import CONTROL, TRANSACTIONS
from services.cli.output import results
from services.clock import monotonic_s, wall_ms
from services.errors import AssayError
from services.kafka.client import plain_producer, reader
from services.kafka.topics_admin import describe_topics
from services.settings.stream import KafkaSettings, RuntimeSettings, TopicSettings, load

POLL_MS = 100


@dataclass(frozen=True, slots=True)
class Order:
    """What is to happen."""

    command_id: str
    channel: Channel
    bundle: BundleRef | None
    replaces: BundleRef | None = None
    rollback: bool = False
    refold: bool = False
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The answers that came, one a partition, and how many partitions there are."""

    answers: list[Control]
    partitions: int


async def command(order: Order, group: str, by: str, wait_s: float) -> Done:
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
    )
    inputs, controls = await describe_topics(kafka, topics, [TRANSACTIONS, CONTROL])
    if not inputs.partitions or not controls.partitions:
        missing = inputs if not inputs.partitions else controls
        raise AssayError(f"Topic {missing.name} does not exist: run `assay topics create`.")
    consumer, producer = reader(kafka), plain_producer(kafka, runtime)
    try:
        await consumer.start()
        source = TopicPartition(controls.name, 0)
        consumer.assign([source])
        await consumer.seek_to_end(source)
        await consumer.position(source)
        await producer.start()
        await producer.send_and_wait(controls.name, codec.write(control), key=command_key(group, order.channel))
        return Done(await _collect(consumer, order, group, inputs.partitions, wait_s), inputs.partitions)
    except KafkaError as error:
        raise _silent(kafka, error) from None
    finally:
        await consumer.stop()
        await producer.stop()


async def answers(group: str) -> list[Control]:
    """The last answer of every partition and channel."""
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    source, last = TopicPartition(topics.topic_prefix + CONTROL.name, 0), dict[tuple[Channel, int], Control]()
    consumer = reader(kafka)
    try:
        await consumer.start()
        consumer.assign([source])
        await consumer.seek_to_beginning(source)
        end = (await consumer.end_offsets([source]))[source]
        while await consumer.position(source) < end:
            for control in await _poll(consumer):
                if control.group == group and control.source_partition is not None:
                    last[control.channel, control.source_partition] = control
    except KafkaError as error:
        raise _silent(kafka, error) from None
    finally:
        await consumer.stop()
    return [last[key] for key in sorted(last)]


def show_answers(found: list[Control]) -> None:
    """As a table."""
    table = Table("channel", "partition", "in force", "from offset", "answer", "by")
    for answer in found:
        what = answer.outcome if answer.why is None else f"{answer.outcome}: {answer.why}"
        offset = "next" if answer.from_offset is None else str(answer.from_offset)
        table.add_row(
            answer.channel, str(answer.source_partition), str(answer.bundle or "none"), offset, what, answer.by
        )
    results.print(table)


async def _collect(
    consumer: AIOKafkaConsumer, order: Order, group: str, partitions: int, wait_s: float
) -> list[Control]:
    found: dict[int, Control] = {}
    deadline_s = monotonic_s() + wait_s
    while len(found) < partitions and monotonic_s() < deadline_s:
        for control in await _poll(consumer):
            mine = control.kind == "acknowledgement" and control.group == group
            if mine and control.command_id == order.command_id and control.source_partition is not None:
                found[control.source_partition] = control
    return [found[partition] for partition in sorted(found)]


async def _poll(consumer: AIOKafkaConsumer) -> list[Control]:
    fetched = await consumer.getmany(timeout_ms=POLL_MS)
    found = []
    for record in (record for records in fetched.values() for record in records):
        try:
            found.append(codec.read(Control, record.value or b""))
        except codec.RejectedError:
            continue  # the scorers say so; here it is only not an answer
    return found


def _silent(kafka: KafkaSettings, error: KafkaError) -> AssayError:
    return AssayError(f"Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}): check ASSAY_KAFKA_*.")
