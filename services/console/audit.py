"""Writes the audit trail: before something is done on a page, and again with what came of it.

What cannot be written is not done: every page that changes or unmasks something stands behind `asked`.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from schemas.audit import AuditEntry, Outcome, link_of, sealed
from schemas.privacy import card_numbers_in
from schemas.topics import AUDIT
from services.clock import wall_ms
from services.errors import AssayError
from services.kafka.client import reader, records_before
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings

CARD_NUMBER = "(left out: it holds a card number)"
SHOWN_FIELDS = (
    "action", "assignee", "overrule", "hours", "list_name", "purpose", "days", "case", "case_id", "cases", "request",
    "subject", "step", "channel", "version",
)  # fmt: skip
"""Fields of forms that the trail repeats; never a password, nor free text but the reason."""
REASON_FIELDS = ("reason", "note")
VALUES_MAX = 20
CHAIN_BYTES = 8


class Last(NamedTuple):
    """The newest record that is known to be on the topic."""

    offset: int
    link: str


class Doing(NamedTuple):
    """Who does what, on what."""

    by: str
    role: str
    action: str
    what: str = ""
    details: str = ""
    reason: str = ""


Send = Callable[[bytes, bytes], Awaitable[int]]
"""Writes key and value to the topic; the offset once they are acknowledged. Raises UnwrittenError."""


def details_of(form: Mapping[str, Sequence[str]]) -> str:
    """What a form asks for, as the trail repeats it."""
    found = []
    for name in SHOWN_FIELDS:
        values = [value.strip() for value in form.get(name, ()) if value.strip()]
        if values:
            more = f" and {len(values) - VALUES_MAX} more" if len(values) > VALUES_MAX else ""
            found.append(f"{name}={','.join(values[:VALUES_MAX])}{more}")
    return _without_card_number("; ".join(found))


def reason_of(form: Mapping[str, Sequence[str]]) -> str:
    """The words that someone gave with it."""
    words = next((form[name][0].strip() for name in REASON_FIELDS if form.get(name, [""])[0].strip()), "")
    return _without_card_number(words)


def outcome_of(status: int) -> Outcome:
    """What an answer's status says about what was asked."""
    return "done" if status < 400 else "refused" if status < 500 else "failed"


def _without_card_number(text: str) -> str:
    return CARD_NUMBER if card_numbers_in(text) else text


def doing_of(by: str, role: str, path: str, form: Mapping[str, Sequence[str]]) -> Doing:
    """What a form that was posted to a path is about to do."""
    action = path.rstrip("/").rpartition("/")[2]
    return Doing(by, role, action, _without_card_number(path), details_of(form), reason_of(form))


@dataclass(slots=True)
class AuditTrail:
    """One process's chain. Records are written one after the other: each names the one before."""

    send: Send
    key: bytes | None
    last: Last | None
    _chain: str = field(default_factory=lambda: secrets.token_hex(CHAIN_BYTES))
    _number: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def asked(self, doing: Doing) -> int:
        """Before it is done; its number. Raises UnwrittenError, and then it must not be done."""
        return await self._write(doing, "asked")

    async def came_of(self, number: int, doing: Doing, status: int) -> None:
        """What came of it. Raises UnwrittenError."""
        await self._write(doing, outcome_of(status), status=status, answers=number)

    async def noted(self, doing: Doing, outcome: Outcome, status: int | None = None) -> None:
        """What is over when it is noted: a sign-in, a refusal. Raises UnwrittenError."""
        await self._write(doing, outcome, status=status)

    async def _write(self, doing: Doing, outcome: Outcome, **more: Any) -> int:
        async with self._lock:
            number, first = self._number + 1, self._number == 0
            entry = AuditEntry(
                chain=self._chain,
                number=number,
                before=self.last.link if self.last else None,
                before_offset=self.last.offset if first and self.last else -1,
                at_ms=wall_ms(),
                outcome=outcome,
                **{name: value[: _longest(name)] for name, value in doing._asdict().items()},
                **more,
            )
            value = entry.model_dump_json(exclude={"seal"}).encode()
            if self.key is not None:
                value = sealed(value, self.key)
            try:
                offset = await self.send(self._chain.encode(), value)
            except BaseException:
                # it may be on the topic or not: what comes next is a chain of its own, behind what is known to be there
                self._chain, self._number = secrets.token_hex(CHAIN_BYTES), 0
                raise
            self.last, self._number = Last(offset, link_of(value)), number
            return number


def _longest(name: str) -> int:
    """Characters that the schema allows."""
    return next(int(one.max_length) for one in AuditEntry.model_fields[name].metadata if hasattr(one, "max_length"))


async def newest(kafka: KafkaSettings, topics: TopicSettings) -> Last | None:
    """The newest record of the topic; None where it is empty. Raises KafkaError, AssayError."""
    (state,) = await describe_topics(kafka, topics, (AUDIT,))
    if not state.partitions:
        raise AssayError(
            f"Topic {state.name} does not exist or is hidden from us: `assay topics create` makes it, and `assay acls console` "
            "has the rights."
        )
    source = TopicPartition(state.name, 0)
    consumer = reader(kafka)
    await consumer.start()
    try:
        consumer.assign([source])
        begin = (await consumer.beginning_offsets([source]))[source]
        end = (await consumer.end_offsets([source]))[source]
        looked_at = 1
        while True:  # the end of the log may hold markers of transactions, which are no records
            first, last = max(begin, end - looked_at), None
            async for record in records_before(consumer, source, end, first):
                last = Last(record.offset, link_of(record.value or b""))
            if last is not None or first == begin:
                return last
            looked_at *= 10
    finally:
        await consumer.stop()
