"""What a caller is answered: on `answers`, where the scorer writes it beside the score, and over HTTP."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.alert import Reasons, Triggers
from schemas.base import Count, Digest, Identifier, Message, Offset, Partition, TopicName, Words
from schemas.dead_letter import DeadLetterReason
from schemas.policy import Action
from schemas.score import Score

Request = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$", max_length=64)]
"""Names a request: which gateway asked, and its number there."""

Verdict = Literal[Action, "alert"]
"""A policy's action; without a policy, approve or alert."""


class Answer(Message):
    """The committed score of one event whose record asked for an answer, or why it has none. Written with the score."""

    request: Request = Field(description="The header `assay-request` of the record that is answered.")
    source_topic: TopicName = Field(description="Where that record lies.")
    source_partition: Partition = Field(description="Where that record lies.")
    source_offset: Offset = Field(description="Where that record lies.")
    score: Score | None = Field(None, description="As on `scores`; without one the event was refused.")
    triggers: Triggers = Field((), description="For alerts: which scores crossed their thresholds.")
    reasons: Reasons = Field((), description="For alerts: the strongest factors first.")
    bundle_digest: Digest | None = Field(None, description="SHA-256 over the files of the bundle that scored, hex.")
    refused: DeadLetterReason | None = Field(None, description="Why it became a dead letter.")
    detail: Words | None = Field(None, description="The same in words, without a word of the payload.")


class Position(Message):
    """Where a record lies in the log."""

    topic: TopicName = Field(description="Topic.")
    partition: Partition = Field(description="Partition.")
    offset: Offset = Field(description="Offset.")


class Answered(Message):
    """The answer to one event."""

    id: Identifier = Field(description="Id of the event.")
    decision: Verdict = Field(
        description="The policy's action. Without a policy: alert where a threshold was crossed and the alert is not let "
        "through (`let_through`), else approve."
    )
    stand_in: bool = Field(
        description="The decision was not there in time: `decision` is the gateway's stand-in; the score is not known yet."
    )
    repeated: bool = Field(False, description="The event was sent before: this is the decision on that.")
    score: Score | None = Field(None, description="As committed on `scores`; null for a stand-in.")
    triggers: Triggers = Field((), description="For alerts: which scores crossed their thresholds.")
    reasons: Reasons = Field((), description="For alerts: the strongest factors first.")
    bundle_digest: Digest | None = Field(None, description="SHA-256 over the files of the bundle that scored, hex.")
    position: Position | None = Field(
        None,
        description="Where the event lies in the log. null: not known to be there, so send it again; a repetition is harmless.",
    )


class FieldError(Message):
    """What is wrong with one field."""

    field: Annotated[str, Field(max_length=300)] = Field(description="Path of the field, as the source spec has it.")
    detail: Words = Field(description="What is wrong with it.")


class Problem(Message):
    """Why there is no answer: problem details of RFC 9457."""

    type: Annotated[str, Field(max_length=200)] = Field(description="Names the kind of problem.")
    title: Annotated[str, Field(max_length=200)] = Field(description="The kind of problem in words.")
    status: Count = Field(description="The HTTP status.")
    detail: Words = Field(description="What is wrong, and what to do.")
    reason: DeadLetterReason | None = Field(None, description="The reason that a dead letter of the event has.")
    errors: Annotated[tuple[FieldError, ...], Field(max_length=100)] = Field((), description="The fields at fault.")
