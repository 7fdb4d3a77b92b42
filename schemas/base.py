"""The base of every message, the field types they share, and the rule by which versions evolve.

Evolution: a field is only ever added, with a default; it is never removed, renamed or given another meaning. A reader
ignores fields that it does not know, and a missing field takes its default. So an old reader reads new messages and a new
reader old ones, on every topic, and what a producer adds for its own use passes through unread.
"""

import itertools
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.times import EVENT_TIME_MS_MAX


class Message(BaseModel):
    """Base of every message: immutable, strictly typed, unknown fields ignored, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Part(Message):
    """A piece of a spec: an unknown field is an error, since what cannot be read in full must not be read in part."""

    model_config = ConfigDict(extra="forbid")


COUNT_MAX = 2**31 - 1
OFFSET_MAX = 2**63 - 1
NUMBER_MAX = 3.4028234663852886e38
"""The largest float32."""

RawIdentifier = Annotated[str, Field(min_length=1, max_length=64)]
"""As a payment has it, where a pattern would cost a tenth of the time: the decoder looks at a whole batch at once."""

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""An id given by a user's system, without control characters. 64 characters hold a UUID, a SHA-256 in hex and every scheme
we know of."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
"""SHA-256, hex."""

Line = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", max_length=32)]
"""Name of a model line."""

ModelName = Annotated[str, Field(max_length=100)]
"""Bundle name, version and execution provider."""

TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$", max_length=249)]
"""As Kafka has them."""

Group = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,100}$", max_length=100)]
"""A consumer group."""

Currency = Annotated[str, Field(max_length=3)]
"""ISO 4217 code."""

DecisionId = Annotated[str, Field(max_length=300)]
"""Topic, partition and offset."""

Words = Annotated[str, Field(max_length=1_000)]
"""A sentence or two."""

EventTimeMs = Annotated[int, Field(ge=0, le=EVENT_TIME_MS_MAX)]
"""When it happened, in milliseconds since 1970-01-01 UTC."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
"""A probability, 0 to 1."""

Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
"""How many."""

SignedCount = Annotated[int, Field(ge=-COUNT_MAX, le=COUNT_MAX)]
"""How many more or fewer."""

LargeCount = Annotated[int, Field(ge=0, le=OFFSET_MAX)]
"""How many, of what is never held in memory."""

Version = Annotated[int, Field(ge=1, le=COUNT_MAX)]
"""Grows by one, or more."""

Offset = Annotated[int, Field(ge=0, le=OFFSET_MAX)]
"""Of a record on its partition."""

OffsetOrNone = Annotated[int, Field(ge=-1, le=OFFSET_MAX)]
"""The same; -1 before the first."""

Partition = Annotated[int, Field(ge=0, le=COUNT_MAX)]
"""Number of a partition."""

Number = Annotated[float, Field(ge=-NUMBER_MAX, le=NUMBER_MAX)]
"""Any number that a feature can have."""

Positive = Annotated[float, Field(ge=0.0, le=NUMBER_MAX)]
"""The same, not below 0."""

FeatureVector = Annotated[tuple[Number, ...], Field(max_length=512)]
"""Values in the order of a feature spec."""

FeatureName = Annotated[str, Field(max_length=64)]
"""As a feature spec has it."""

Bins = Annotated[tuple[Count, ...], Field(max_length=20)]
"""Counts in equal bins over a score's range."""

LargeBins = Annotated[tuple[LargeCount, ...], Field(max_length=20)]
"""The same, of sums."""


def grow(*counts: int) -> bool:
    """Whether no count is above the next: parts first, then what they are parts of."""
    return all(part <= whole for part, whole in itertools.pairwise(counts))


Percentile = Annotated[float, Field(ge=0.0, le=100.0)]
"""A share in percent."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A part of a whole, 0 to 1."""
