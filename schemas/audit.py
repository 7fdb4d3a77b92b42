"""The audit trail: what people did on the console's pages, and what commands showed them. On `audit`.

Every process that writes is a chain of its own. A record names the SHA-256 of the record before it in its chain; the first one
names the newest record that the topic had when the process started. So what is changed or removed is missed by the next one.
"""

import hashlib
import hmac
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Digest, EventTimeMs, Message, OffsetOrNone, Version
from schemas.person import RoleName

Outcome = Literal["asked", "done", "refused", "failed"]

REASON_CHARS_MIN = 5
"""Of the words with which somebody has hidden things shown."""

SEAL_FIELD = b',"seal":"'

ChainName = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", max_length=16)]
"""Of one process that writes; random."""


class AuditEntry(Message):
    """One thing that somebody did, asked for or was refused. Written before it is done, and again with what came of it."""

    chain: ChainName = Field(description="Which process wrote it. The record's key.")
    number: Version = Field(description="Grows by one within the chain, from 1.")
    before: Digest | None = Field(
        None,
        description="SHA-256 of the record before it: of its chain, or for the first the newest that the topic had then.",
    )
    before_offset: OffsetOrNone = Field(
        -1, description="Of the first of a chain: where that record lies; -1 where the topic was empty."
    )
    at_ms: EventTimeMs = Field(description="Wall-clock time, ms since 1970 UTC.")
    by: Annotated[str, Field(max_length=100)] = Field(description="Who; empty where no one was known.")
    role: RoleName = Field(description="Their role then.")
    action: Annotated[str, Field(max_length=60)] = Field(
        description="What: sign-in, sign-out, unmask, decide and so on."
    )
    what: Annotated[str, Field(max_length=300)] = Field(
        "", description="On what: a path of the console, with its case; or a command."
    )
    details: Annotated[str, Field(max_length=500)] = Field("", description="What the form asked for; or the host.")
    reason: Annotated[str, Field(max_length=500)] = Field("", description="Why, in their words.")
    outcome: Outcome = Field(
        description="asked: about to be done. done, refused, failed: what came of it, by the status of the answer."
    )
    status: Annotated[int, Field(ge=100, le=599)] | None = Field(None, description="Status of the answer.")
    answers: Version | None = Field(None, description="Number of the record that asked for it, in the same chain.")
    seal: Digest | None = Field(
        None,
        description="HMAC-SHA-256 of the record without this field, where ASSAY_AUDIT_KEY is set. Always the last field.",
    )


def link_of(value: bytes) -> str:
    """What the next record names of this one."""
    return hashlib.sha256(value).hexdigest()


def sealed(unsealed: bytes, key: bytes) -> bytes:
    """The record's bytes with its seal as the last field. unsealed: a JSON object without one."""
    mac = hmac.new(key, unsealed, hashlib.sha256).hexdigest()
    return unsealed[:-1] + SEAL_FIELD + mac.encode() + b'"}'


def seal_holds(value: bytes, key: bytes) -> bool:
    """Whether the record's bytes were sealed with this key."""
    body, mark, rest = value.rpartition(SEAL_FIELD)
    return bool(mark) and hmac.compare_digest(sealed(body + b"}", key), body + mark + rest)
