"""Requests for changes that need a second person: what is on `approvals`, and what may be made of it.

Pure but for `read_requests`. A request is open until another rejects it, it is carried out, or its time is over; approvals of
who asked, and of anything but what was asked for, count for nothing.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiokafka import TopicPartition

from models.bundle.persons import StepRule, signers_of
from models.lists.proofs import paths_of, root_of
from schemas import codec
from schemas.approval import ENTRIES_MAX, ApprovalRecord, StepStatement, Subject
from schemas.lists import EntryProof, ListEntry, entry_key, entry_problem
from schemas.person import SIGNATURES_MAX, PersonSignature, SignedStep, same_person
from schemas.privacy import card_numbers_in
from schemas.topics import APPROVALS
from services.clock import wall_ms
from services.errors import AssayError
from services.kafka.client import reader, records_before
from services.kafka.topics_admin import describe_topics
from services.settings.kafka import KafkaSettings, TopicSettings

HOUR_MS = 3_600_000

State = Literal["open", "approved", "rejected", "done", "over"]


class NotAllowedError(AssayError):
    """An answer that is not this person's to give, or comes too late: one sentence."""


@dataclass(slots=True)
class Request:
    """What somebody asked for, and what others said to it."""

    record: ApprovalRecord
    statement: StepStatement
    approvals: list[ApprovalRecord] = field(default_factory=list)
    signings: list[ApprovalRecord] = field(default_factory=list)
    ended: ApprovalRecord | None = None

    @property
    def request_id(self) -> str:
        """Its name."""
        return self.record.request_id

    @property
    def text(self) -> str:
        """The statement as it was written: what is signed."""
        return self.record.statement or ""

    def state(self, now_ms: int) -> State:
        """Where it stands."""
        if self.ended is not None:
            return "done" if self.ended.kind == "done" else "rejected"
        if now_ms >= self.statement.expires_at_ms:
            return "over"
        return "approved" if self.approvals else "open"

    def waits(self, now_ms: int) -> bool:
        """Whether it may still be answered or carried out."""
        return self.state(now_ms) in ("open", "approved")

    @property
    def approvers(self) -> list[str]:
        """Who approved it, each once."""
        return list(dict.fromkeys(one.by for one in self.approvals))

    def words(self) -> str:
        """What it would do, for people."""
        said = self.statement
        if said.subject == "list":
            entries = self.record.entries
            off = sum(entry.removed for entry in entries)
            moves = [
                f"{n:,} {way} the list {said.line}" for n, way in ((len(entries) - off, "onto"), (off, "off")) if n
            ]
            return " and ".join(moves) or f"nothing on the list {said.line}"
        target = f"{said.bundle} ({said.bundle.digest[:12]})" if said.bundle else "nothing"
        subject = said.subject.replace("_", " ")
        return f"{said.action} {subject} {target} as {said.channel}, in place of {said.before or 'nothing'}"

    def signed(self, rule: StepRule | None = None) -> SignedStep:
        """The statement with the signatures that came with it. rule: only those that count by it."""
        given = (self.record, *self.signings, *self.approvals)
        found = tuple(one.signature for one in given if one.signature is not None)
        if rule is None:
            return SignedStep(statement=self.text, signatures=found[:SIGNATURES_MAX])
        # more than fit: what is not a person's must not push out what is
        whole = SignedStep.model_construct(statement=self.text, signatures=found)
        at_ms = wall_ms() if self.ended is None else self.ended.at_ms
        return rule.holding(whole, at_ms, signers_of(self.statement.subject))

    def lacks(self, rule: StepRule | None) -> int:
        """How many signatures it still needs."""
        return 0 if rule is None else max(0, rule.signatures_min - len(self.signed(rule).signatures))


def digest_of(statement: str) -> str:
    """What an answer names of a request."""
    return hashlib.sha256(statement.encode()).hexdigest()


def command_words(said: StepStatement) -> str:
    """The command that does a step which was approved, without its request."""
    beside, promotes = said.channel == "challenger", said.action == "promote"
    of_credit = ["--product credit"] if said.subject in ("credit_bundle", "credit_policy") else []
    if said.subject in ("bundle", "credit_bundle"):
        words = ["assay registry", said.action, str(said.bundle) if promotes else said.line]
        return " ".join([*words, *(["--challenger"] if promotes and beside else []), *of_credit])
    if beside:
        words = ["assay policy shadow", str(said.bundle) if promotes else "--off"]
    else:
        words = ["assay policy", f"promote {said.bundle}" if promotes else f"rollback {said.line}"]
    return " ".join([*words, *of_credit])


def entering(entries: Sequence[ListEntry]) -> dict[str, str]:
    """What a request says that would write these to their list."""
    return {"action": "enter", "line": entries[0].list_name, "why": entries[0].reason}


def new_request(
    by: str, subject: Subject, keep_h: float, entries: Sequence[ListEntry] = (), **said: Any
) -> ApprovalRecord:
    """A request, without a signature. Raises AssayError where it cannot be made."""
    if len(entries) > ENTRIES_MAX:
        raise AssayError(
            f"{len(entries):,} entries need a second person, who can look at {ENTRIES_MAX:,} at a time: split them."
        )
    now_ms, number = wall_ms(), secrets.token_hex(6)
    fields = {
        "subject": subject,
        "request_id": number,
        "by": by,
        "at_ms": now_ms,
        "expires_at_ms": now_ms + int(keep_h * HOUR_MS),
        "entries": root_of(entries) if entries else None,
        **said,
    }
    statement = codec.checked(StepStatement, fields).model_dump_json()
    if card_numbers_in(f"{by} {said.get('why', '')}"):
        raise AssayError("The reason holds a card number: leave it out.")
    return ApprovalRecord(
        request_id=number,
        kind="request",
        by=by,
        at_ms=now_ms,
        digest=digest_of(statement),
        statement=statement,
        entries=tuple(entries),
    )


def answer(
    request: Request,
    kind: Literal["approve", "reject", "done", "sign"],
    by: str,
    note: str = "",
    signature: PersonSignature | None = None,
    *,
    alone: bool = False,
) -> ApprovalRecord:
    """Somebody's answer to a request. alone: it needs no second person. Raises NotAllowedError where it may not be given."""
    now_ms = wall_ms()
    state = request.state(now_ms)
    if not request.waits(now_ms):
        raise NotAllowedError(f"Request {request.request_id} is {state}: ask again.")
    if kind == "approve" and same_person(by, request.record.by):
        raise NotAllowedError(f"{by} asked for {request.request_id}: another person has to approve it.")
    if kind == "sign" and not same_person(by, request.record.by):
        raise NotAllowedError(
            f"{request.record.by} asked for {request.request_id}: `assay approvals approve` is for others, and signs."
        )
    if kind == "done" and state != "approved" and not alone:
        raise NotAllowedError(
            f"Request {request.request_id} waits for a second person: `assay approvals approve` is theirs."
        )
    if card_numbers_in(f"{by} {note}"):
        raise NotAllowedError("The note holds a card number: leave it out.")
    return ApprovalRecord(
        request_id=request.request_id,
        kind=kind,
        by=by,
        at_ms=now_ms,
        digest=request.record.digest,
        note=note,
        signature=signature,
    )


def requests_of(records: Iterable[ApprovalRecord]) -> dict[str, Request]:
    """The requests that the topic's records make, the oldest first. What does not fit is passed over."""
    found: dict[str, Request] = {}
    for record in records:
        request = found.get(record.request_id)
        if record.kind == "request":
            made = _request(record)
            if request is None and made is not None:
                found[record.request_id] = made
        elif request is not None and record.digest == request.record.digest and request.ended is None:
            own, in_time = same_person(record.by, request.record.by), record.at_ms < request.statement.expires_at_ms
            if record.kind in ("reject", "done"):
                request.ended = record
            elif own == (record.kind == "sign") and in_time:
                (request.signings if own else request.approvals).append(record)
    return found


def _request(record: ApprovalRecord) -> Request | None:
    """None where the statement is not what the record is of, or its entries are not those of the statement."""
    try:
        said = codec.read(StepStatement, (record.statement or "").encode())
    except codec.RejectedError:
        return None
    digest = root_of(record.entries) if record.entries else None
    fits = (said.request_id, said.by, said.entries) == (record.request_id, record.by, digest)
    entries_fit = all(entry_problem(one) is None and one.list_name == said.line for one in record.entries)
    return (
        Request(record, said) if fits and entries_fit and digest_of(record.statement or "") == record.digest else None
    )


def approved_entries(request: Request, rule: StepRule | None = None) -> list[tuple[bytes, bytes]]:
    """Keys and values of the list entries that an approved request writes, with who approved them.

    rule: they carry signatures, and are written as they were signed.
    """
    if rule is not None:
        proven = with_proofs(request.record.entries, request.signed(rule))
        return [(entry_key(entry), codec.write(entry)) for entry in proven]
    names = ", ".join(request.approvers)
    written = []
    for entry in request.record.entries:
        source = f"{entry.source}; request {request.request_id}, approved by {names}"[:200]
        changed = entry.model_copy(update={"source": source, "written_at_ms": wall_ms()})
        written.append((entry_key(changed), codec.write(changed)))
    return written


def with_proofs(entries: Sequence[ListEntry], signed: SignedStep) -> list[ListEntry]:
    """Entries as they count where persons have to sign. entries: all of those whose root the statement names."""
    paths, count = paths_of(entries), len(entries)
    return [
        entry.model_copy(update={"proof": EntryProof(signed=signed, place=place, count=count, path=path)})
        for place, (entry, path) in enumerate(zip(entries, paths, strict=True))
    ]


async def read_requests(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, Request]:
    """All that the topic holds now. Raises AssayError, KafkaError."""
    (state,) = await describe_topics(kafka, topics, (APPROVALS,))
    if not state.partitions:
        raise AssayError(f"Topic {state.name} does not exist or is hidden from us: `assay topics create` makes it.")
    source, found = TopicPartition(state.name, 0), list[ApprovalRecord]()
    consumer = reader(kafka)
    await consumer.start()
    try:
        consumer.assign([source])
        end = (await consumer.end_offsets([source]))[source]
        async for record in records_before(consumer, source, end):
            try:
                found.append(codec.read(ApprovalRecord, record.value or b""))
            except codec.RejectedError:
                continue  # a writer of one record must not stop its readers
    finally:
        await consumer.stop()
    return requests_of(found)
