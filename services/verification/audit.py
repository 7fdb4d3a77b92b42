"""Checks the audit trail: every record tied to the one before, none missing, changed or added, sealed where a key is set.

What retention has deleted lies before the topic's first record, and is counted, not damage. Heads kept from an earlier check
show whether the newest records of then are still there: the trail's own end is tied by nothing that follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas import codec
from schemas.audit import AuditEntry, link_of, seal_holds
from schemas.topics import AUDIT
from services.errors import AssayError
from services.kafka.client import TopicPartition, reader, records_before
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings

NAMED_MAX = 20
CLOCKS_APART_MS_MAX = 3_600_000
"""Between the console's clock and the broker's, and between them a record that waited for the broker."""


class Head(NamedTuple):
    """The newest record of a chain."""

    number: int
    offset: int
    link: str


@dataclass(slots=True)
class AuditVerdict:
    """What the trail is. damage: sentences, each naming a place; heads: the newest record of each chain, to keep."""

    records: int = 0
    chains: int = 0
    retained_from: int = 0
    """Offset of the first record: retention has deleted those before it."""
    cut: int = 0
    """Chains whose first records retention has deleted."""
    damaged: int = 0
    damage: list[str] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing is missing, changed or added."""
        return not self.damaged

    def found(self, sentence: str) -> None:
        """One more damage; the first ones are kept in words."""
        self.damaged += 1
        if len(self.damage) < NAMED_MAX:
            self.damage.append(sentence)


@dataclass(slots=True)
class TrailCheck:
    """Takes the topic's records in their order."""

    begin: int
    key: bytes | None = None
    verdict: AuditVerdict = field(default_factory=AuditVerdict)
    _links: dict[int, str] = field(default_factory=dict)
    _next: int = -1

    def __post_init__(self) -> None:
        self.verdict.retained_from, self._next = self.begin, self.begin

    def take(self, offset: int, record_key: bytes | None, value: bytes | None, stamp_ms: int | None = None) -> None:
        """The next record. stamp_ms: when the broker wrote it."""
        verdict, where = self.verdict, f"record {offset}"
        if offset > self._next:
            verdict.found(f"offsets {self._next} to {offset - 1} are not there")
        self._next = offset + 1
        verdict.records += 1
        self._links[offset] = link_of(value or b"")
        try:
            entry = codec.read(AuditEntry, value or b"")
        except codec.RejectedError as error:
            verdict.found(f"{where} is no audit record ({error})")
            return
        if record_key != entry.chain.encode():
            verdict.found(f"{where} has another key than its chain {entry.chain}")
        if self.key is not None and not seal_holds(value or b"", self.key):
            verdict.found(f"{where} is not sealed with ASSAY_AUDIT_KEY: it was changed, or someone else wrote it")
        if stamp_ms is not None and abs(entry.at_ms - stamp_ms) > CLOCKS_APART_MS_MAX:
            hours = (stamp_ms - entry.at_ms) / 3_600_000
            verdict.found(
                f"{where} was written {hours:+,.1f} hours from when it says: a clock is wrong, or it was added later"
            )
        known = verdict.heads.get(entry.chain)
        if known is None:
            self._began(entry, offset)
        else:
            self._followed(entry, offset, known)
        verdict.heads[entry.chain] = Head(entry.number, offset, self._links[offset])

    def _began(self, entry: AuditEntry, offset: int) -> None:
        verdict, chain = self.verdict, f"chain {entry.chain}"
        verdict.chains += 1
        if entry.number > 1:
            if self.begin:
                verdict.cut += 1
            else:
                verdict.found(f"{chain}: its first {entry.number - 1} records are not there")
            return
        if entry.before is None:  # the topic was empty when its process began
            return
        if entry.before_offset >= offset:
            verdict.found(f"{chain}: record {offset} names one behind it")
        elif entry.before_offset >= self.begin and self._links.get(entry.before_offset) != entry.before:
            verdict.found(
                f"record {entry.before_offset} is not the one that {chain} began behind: changed, or not there"
            )

    def _followed(self, entry: AuditEntry, offset: int, known: Head) -> None:
        verdict, chain = self.verdict, f"chain {entry.chain}"
        if entry.number > known.number + 1:
            missing = f"{known.number + 1} to {entry.number - 1}"
            verdict.found(f"{chain}: records {missing} are not there (between offsets {known.offset} and {offset})")
        elif entry.number <= known.number:
            verdict.found(f"{chain}: record {offset} has the number {entry.number} again: it was added")
        elif entry.before != known.link:
            verdict.found(
                f"{chain}: record {known.offset} is not the one that record {offset} was tied to: it was changed"
            )

    def compare(self, kept: Mapping[str, Head]) -> None:
        """Heads that an earlier check saw: what is still within retention must be there, unchanged."""
        for chain, head in kept.items():
            if head.offset >= self.begin and self._links.get(head.offset) != head.link:
                self.verdict.found(
                    f"chain {chain}: record {head.offset} (number {head.number}), which an earlier check saw, is not there any "
                    "more, or was changed"
                )


async def check_trail(
    kafka: KafkaSettings, topics: TopicSettings, key: bytes | None, kept: Mapping[str, Head]
) -> AuditVerdict:
    """The verdict on all that the topic holds now. Raises AssayError, KafkaError."""
    (state,) = await describe_topics(kafka, topics, (AUDIT,))
    if not state.partitions:
        raise AssayError(f"Topic {state.name} does not exist: `assay topics create` makes it.")
    source = TopicPartition(state.name, 0)
    consumer = reader(kafka)
    await consumer.start()
    try:
        consumer.assign([source])
        begin = (await consumer.beginning_offsets([source]))[source]
        check = TrailCheck(begin, key)
        end = (await consumer.end_offsets([source]))[source]
        async for record in records_before(consumer, source, end, begin):
            check.take(record.offset, record.key, record.value, record.timestamp)
    finally:
        await consumer.stop()
    check.compare(kept)
    return check.verdict
