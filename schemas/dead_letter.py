"""An input that could not be scored, with the reason, on `dead-letters`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.base import Count, Message


class DeadLetterReason(StrEnum):
    """Why an input was not scored."""

    EMPTY = "empty"
    """No payload (a tombstone)."""
    TOO_LARGE = "too_large"
    """Payload above the limit in bytes."""
    UNDECODABLE = "undecodable"
    """Not JSON, not UTF-8, cut short, or NaN or infinity in place of a number."""
    TOO_DEEP = "too_deep"
    """Nested deeper than the decoder goes."""
    SCHEMA = "schema"
    """JSON, but a field is missing, of the wrong type or out of its range."""
    ATTRIBUTE = "attribute"
    """An application lacks an attribute that the model reads, or has a value for it that the model does not know."""
    CARD_NUMBER = "card_number"
    """`card_id` or `applicant_id` is a payment card number in clear."""
    FUTURE = "future"
    """`event_time_ms` is far ahead of the record's own timestamp: taken in, it would make all that follows look late."""
    DUPLICATE = "duplicate"
    """The transaction's or application's id was seen before, within the duplicate window of its partition."""
    UNDELIVERED = "undelivered"
    """A case that the webhook did not take, after all attempts."""
    UNHANDLED = "unhandled"
    """It fits its schema, yet a low-rate service failed on it in a way that was not foreseen. Its log says where."""


class DeadLetter(Message):
    """One unusable input. Its payload is not repeated: only its size and a keyed hash, to match it with the source."""

    reason: DeadLetterReason = Field(description="Reason code.")
    detail: str = Field(description="What was wrong, in words, without a word of the payload.")
    source_topic: str = Field(description="Where it came from.")
    source_partition: Count = Field(description="Where it came from.")
    source_offset: Count = Field(description="Where it came from.")
    payload_bytes: Count = Field(description="Size of the payload.")
    payload_hmac_sha256: Annotated[str, Field(min_length=64, max_length=64)] = Field(
        description="HMAC-SHA-256 of the payload under the privacy key, hex."
    )
    key_id: str = Field(description="Which privacy key made the hash.")
