"""What goes over gRPC: requests and answers of the service `assay.gateway.v1.Gateway`, whose .proto file is made of these."""

from typing import Annotated

from pydantic import Field

from schemas.answer import Answered, Problem
from schemas.base import Identifier, Message

Event = Annotated[str, Field(max_length=64 << 20)]
"""JSON, as the source spec reads it. Text, since a number of Protobuf's JSON could lose digits."""


class DecideRequest(Message):
    """One event."""

    event: Event = Field(description="The event as JSON, as the source spec of the bundle reads it.")
    deadline_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = Field(
        None, description="Answer within so many ms. The call's own deadline counts too, the earlier of the two."
    )


class DecideManyRequest(Message):
    """Several events."""

    events: Annotated[tuple[Event, ...], Field(max_length=10_000)] = Field(description="Each as JSON.")
    deadline_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = Field(None, description="As of one event.")


class Decided(Message):
    """What became of one event of several: one of the two."""

    answer: Answered | None = Field(None, description="Its answer.")
    problem: Problem | None = Field(None, description="Why there is none.")


class DecideManyReply(Message):
    """One for each event, in their order."""

    decided: Annotated[tuple[Decided, ...], Field(max_length=10_000)] = Field(description="Answers and problems.")


class GetDecisionRequest(Message):
    """Asks for the decision on an event that was sent before."""

    id: Identifier = Field(description="Id of the event.")
    subject: Identifier | None = Field(None, description="Whose event, where several have events of that id.")


PACKAGE = "assay.gateway.v1"
"""Apart from that of the topics' messages: some are in both, and a program may use both."""
SERVICE = "Gateway"
CALLS: tuple[tuple[str, str, type[Message], type[Message]], ...] = (
    ("Decide", "The committed decision on one event, or the stand-in at the deadline.", DecideRequest, Answered),
    (
        "DecideMany",
        "The same for several: a problem with one is none of the others.",
        DecideManyRequest,
        DecideManyReply,
    ),
    (
        "GetDecision",
        "The decision on an event that was sent before, as long as it is remembered.",
        GetDecisionRequest,
        Answered,
    ),
)
"""Name, meaning, request and answer of each."""
