"""Changes that need a second person: a request, and what another says to it. On `approvals`; nothing on it is ever replaced."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Digest, EventTimeMs, Message, Words
from schemas.control import REGISTRY_STEPS_MAX, BundleRef, RegistryChannel
from schemas.lists import ListEntry
from schemas.person import PersonName, PersonSignature, Text

Subject = Literal["bundle", "credit_bundle", "policy", "credit_policy", "list"]
"""Of bundles and policies, apart by what they judge: a signature about one product is none about the other."""

StepAction = Literal["promote", "rollback", "withdraw", "enter"]

ENTRIES_MAX = 1_000
"""Entries of lists in one request: more do not fit a record."""

RequestId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$", max_length=12)]
"""Random."""


class StepStatement(Message):
    """What is to be done: what persons approve and sign. It allows the step, and to take it back before it is recorded."""

    subject: Subject = Field(
        description="Of which history: of bundles or policies, of payments or of credit; or lists."
    )
    action: StepAction = Field(description="What is to be done.")
    bundle: BundleRef | None = Field(
        None, description="The bundle or policy that is to hold the channel; none to empty it."
    )
    line: Annotated[str, Field(max_length=32)] = Field("", description="The line of bundles or policies, or the list.")
    channel: RegistryChannel | None = Field(None, description="Which channel.")
    before: BundleRef | None = Field(None, description="What holds the channel, and would again if it is taken back.")
    registry_steps: Annotated[int, Field(ge=0, le=REGISTRY_STEPS_MAX)] = Field(
        0,
        description="Steps of the history then: once it has a later one about the channel, this may no longer be done.",
    )
    entries: Digest | None = Field(None, description="Of a list: root of the tree of the entries.")
    request_id: RequestId = Field(description="The request's.")
    by: PersonName = Field(description="Who asks.")
    why: Words = Field("", description="Why.")
    at_ms: EventTimeMs = Field(description="When, ms since 1970 UTC.")
    expires_at_ms: EventTimeMs = Field(description="From then on it may no longer be done.")


class ApprovalRecord(Message):
    """A request, or an answer to one."""

    request_id: RequestId = Field(description="Which request. The record's key.")
    kind: Literal["request", "approve", "reject", "done", "sign"] = Field(
        description="done: it was carried out. reject: by another, or taken back by who asked. sign: by who asked, later."
    )
    by: PersonName = Field(description="Who.")
    at_ms: EventTimeMs = Field(description="Wall-clock time, ms since 1970 UTC.")
    digest: Digest = Field(description="SHA-256 of the statement: what is approved is what was asked for.")
    statement: Text | None = Field(None, description="Of a request: a StepStatement as JSON.")
    entries: Annotated[tuple[ListEntry, ...], Field(max_length=ENTRIES_MAX)] = Field(
        (), description="Of a request about a list: what would be written."
    )
    note: Words = Field("", description="Their words.")
    signature: PersonSignature | None = Field(None, description="Over the statement, where they signed.")
