"""Writes what people do to the topics, as the command line does, and waits for what the case service makes of it."""

import asyncio
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from models.bundle.persons import StepRule
from schemas import codec
from schemas.approval import ApprovalRecord
from schemas.base import Message
from schemas.case import Case, CaseAction, held_card_number
from schemas.lists import ListEntry, entry_key, entry_problem
from schemas.topics import APPROVALS, AUDIT, CASE_ACTIONS, LISTS
from services.approvals import Request, approved_entries, read_requests
from services.cases.desk import partition_of
from services.console.follower import ModelFollower
from services.console.listed import has_newer
from services.console.queries import Queries
from services.errors import AssayError
from services.kafka import client as connections
from services.observability.console_metrics import ConsoleMetrics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.processing import RuntimeSettings

END_S = 5.0

M = TypeVar("M", bound=Message)


class UnusableError(ValueError):
    """What was entered cannot be taken; its words say what to change."""


class UnwrittenError(Exception):
    """Kafka did not take it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an action. case: None where the case service has not taken it in yet."""

    case: Case | None
    refused: bool = False


def usable_action(fields: dict[str, Any]) -> CaseAction:
    """Raises UnusableError where the case service would not take it."""
    action = _checked(CaseAction, fields)
    if name := held_card_number(action):
        raise UnusableError(f"The {name} holds a card number: leave it out.")
    return action


def usable_entry(fields: dict[str, Any]) -> ListEntry:
    """Raises UnusableError where the table of lists would not take it."""
    entry = _checked(ListEntry, fields)
    if problem := entry_problem(entry):
        raise UnusableError(f"This cannot be taken: {problem}.")
    return entry


def _checked(kind: type[M], fields: dict[str, Any]) -> M:
    try:
        return codec.checked(kind, fields)
    except codec.SchemaError as error:
        raise UnusableError(f"This cannot be taken ({error}).") from None


class ActionWriter:
    """The console's one producer."""

    def __init__(
        self,
        kafka: KafkaSettings,
        runtime: RuntimeSettings,
        topics: TopicSettings,
        follower: ModelFollower,
        queries: Queries,
        metrics: ConsoleMetrics,
        wait_s: float,
    ) -> None:
        self._kafka, self._topics = kafka, topics
        self._prefix, self._follower, self._queries = topics.topic_prefix, follower, queries
        self._metrics, self._wait_s = metrics, wait_s
        self._producer: AIOKafkaProducer = connections.plain_producer(kafka, runtime)

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        await self._producer.start()

    async def stop(self) -> None:
        """What is being written is written, within a bound."""
        await connections.discard(self._producer, END_S)

    async def act(self, action: CaseAction) -> Result:
        """Write an action for one case, and wait for it. Raises UnwrittenError."""
        assert action.case_id is not None
        offset = await self._send(action, partition_of(action.case_id))
        try:
            return await asyncio.wait_for(self._answer(action.case_id, offset), self._wait_s)
        except TimeoutError:
            return Result(None)

    async def mute(self, action: CaseAction) -> None:
        """To all partitions: a terminal's alerts are on each. Raises UnwrittenError."""
        for number in range(self._follower.partitions):
            await self._send(action, number)

    async def enter(self, entry: ListEntry) -> None:
        """Put something on a list. Raises UnwrittenError."""
        await self._write(LISTS.full_name(self._prefix), entry_key(entry), codec.write(entry), None)

    async def request(self, record: ApprovalRecord) -> None:
        """A request for a second person, or an answer to one. Raises UnwrittenError."""
        topic = APPROVALS.full_name(self._prefix)
        await self._write(topic, record.request_id.encode(), codec.write(record), 0)

    async def requests(self) -> dict[str, Request]:
        """What waits for a second person, and what did. Raises UnwrittenError."""
        try:
            return await read_requests(self._kafka, self._topics)
        except (KafkaError, AssayError) as error:
            raise UnwrittenError(type(error).__name__) from None

    async def carry_out(self, request: Request, rule: StepRule | None = None) -> None:
        """Write the list entries of an approved request. rule: with signatures, as it counts them. Raises UnwrittenError."""
        for key, value in approved_entries(request, rule):
            await self._write(LISTS.full_name(self._prefix), key, value, None)

    async def has_newer(self, request: Request, rule: StepRule) -> bool:
        """Whether the list says something of its entries already that is as new. Reads the whole topic.

        Raises UnwrittenError; AssayError where we may not read it.
        """
        try:
            return await has_newer(self._kafka, self._topics, request.record.entries, rule)
        except KafkaError as error:
            raise UnwrittenError(type(error).__name__) from None

    async def note(self, key: bytes, value: bytes) -> int:
        """A record of the audit trail; its offset. Raises UnwrittenError."""
        return int((await self._write(AUDIT.full_name(self._prefix), key, value, 0)).offset)

    async def _send(self, action: CaseAction, partition: int) -> int:
        sent = await self._write(CASE_ACTIONS.full_name(self._prefix), None, codec.write(action), partition)
        self._metrics.actions.labels(action.action).inc()
        return int(sent.offset)

    async def _write(self, topic: str, key: bytes | None, value: bytes, partition: int | None) -> Any:
        try:
            return await self._producer.send_and_wait(topic, value, key=key, partition=partition)
        except KafkaError as error:
            raise UnwrittenError(type(error).__name__) from None

    async def _answer(self, case_id: str, offset: int) -> Result:
        """The case as the action at `offset` left it."""
        while True:
            case = await asyncio.to_thread(self._queries.case, case_id)
            if case is not None and case.action_offset >= offset:
                return Result(case, any(line.offset == offset and line.refused for line in case.history))
            async with self._follower.changed:
                try:
                    await asyncio.wait_for(self._follower.changed.wait(), 1.0)
                except TimeoutError:
                    continue
