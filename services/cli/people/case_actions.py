"""How commands read cases and mutes, write actions, and wait for what the case service makes of them."""

import asyncio
from typing import Any

from aiokafka.errors import KafkaError

from schemas import codec
from schemas.case import Case, CaseAction, Mute, held_card_number
from schemas.topics import CASE_ACTIONS, CASE_MUTES, CASES
from services.cases.desk import case_of, mute_of, partition_of
from services.cli.sending import newest, partitions_of, sending, usable
from services.errors import AssayError
from services.kafka.client import TopicPartition, reader
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load

POLL_MS = 200


async def all_cases() -> dict[str, Case]:
    """The newest record of every case. Raises AssayError."""
    return {case.case_id: case for case in (await newest(CASES, case_of)).values()}


async def all_mutes() -> list[Mute]:
    """Every mute once, though each partition has it. Raises AssayError."""
    once = {(mute.scope, mute.muted_id): mute for mute in (await newest(CASE_MUTES, mute_of)).values()}
    return [once[key] for key in sorted(once)]


def usable_action(fields: dict[str, Any]) -> CaseAction:
    """The action, before anything is written. Raises AssayError where the case service would refuse it."""
    try:
        action = codec.checked(CaseAction, fields)
    except codec.SchemaError as error:
        raise AssayError(f"The action is not usable ({error}): give other values.") from None
    if name := held_card_number(action):
        raise AssayError(f"{name} holds a card number: leave it out, or name the card by its pseudonym.")
    return action


async def write(action: CaseAction) -> None:
    """To all partitions: a terminal's alerts are on each. Raises AssayError."""
    async with sending(CASE_ACTIONS) as send:
        for number in range(await partitions_of(CASE_ACTIONS)):
            await send(None, codec.write(action), number)


async def decide(action: CaseAction, wait_s: float) -> tuple[Case, bool]:
    """Write a decision and wait for it: the case after it, and whether it was refused. Raises AssayError."""
    kafka, case_id = load(KafkaSettings), action.case_id or ""
    partition = partition_of(case_id)
    source = TopicPartition(load(TopicSettings).topic_prefix + CASES.name, partition)
    consumer = reader(kafka)
    try:
        await consumer.start()
        consumer.assign([source])
        consumer.seek(source, (await consumer.end_offsets([source]))[source])
        async with sending(CASE_ACTIONS) as send:
            sent = await send(None, codec.write(action), partition)
        return await asyncio.wait_for(_answer(consumer, case_id, sent.result().offset), wait_s)
    except TimeoutError:
        raise AssayError(
            f"The decision is written, but the case service has not taken it in within {wait_s:g} s: check that"
            f" `assay cases run` runs; `assay cases show {case_id}` shows what came of it."
        ) from None
    except KafkaError as error:
        raise AssayError(f"Kafka at {kafka.bootstrap} cannot be read ({type(error).__name__}).") from None
    finally:
        await consumer.stop()


async def _answer(consumer: Any, case_id: str, offset: int) -> tuple[Case, bool]:
    """The first record of the case that has taken in the action at `offset`."""
    while True:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                if record.key != case_id.encode():
                    continue
                if not record.value:
                    raise AssayError(f"Case {case_id} was forgotten before the decision reached it.")
                case = usable(record, case_of)
                if case is not None and case.action_offset >= offset:
                    return case, any(line.offset == offset and line.refused for line in case.history)
