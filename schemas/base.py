"""The base of every message, the field types they share, and the rule by which versions evolve.

Evolution: a field is only ever added, with a default; it is never removed, renamed or given another meaning. A reader
ignores fields that it does not know, and a missing field takes its default. So an old reader reads new messages and a new
reader old ones, on every topic, and what a producer adds for its own use passes through unread.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.times import EVENT_TIME_MS_MAX


class Message(BaseModel):
    """Base of every message: immutable, strictly typed, unknown fields ignored, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


Identifier = Annotated[str, Field(min_length=1, max_length=64)]
"""An id given by a user's system. 64 characters hold a UUID, a SHA-256 in hex and every scheme we know of."""

EventTimeMs = Annotated[int, Field(ge=0, le=EVENT_TIME_MS_MAX)]
"""When it happened, in milliseconds since 1970-01-01 UTC."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
"""A probability, 0 to 1."""

Count = Annotated[int, Field(ge=0)]
"""How many."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A part of a whole, 0 to 1."""
