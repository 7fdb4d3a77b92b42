"""An input that could not be scored, with the reason, on `dead-letters`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.base import Count, Digest, Message, Offset, Partition, TopicName, Words


class DeadLetterReason(StrEnum):
    """Why an input was not scored."""

    EMPTY = "empty"
    """No payload (a tombstone)."""
    TOO_LARGE = "too_large"
    """Payload above the limit in bytes, or a record batch that unpacks to more than 64 MiB: one letter for all of it."""
    UNDECODABLE = "undecodable"
    """Not JSON or not of the source's format, not UTF-8, cut short, or NaN or infinity in place of a number; or a record batch
    that nothing can parse."""
    TOO_DEEP = "too_deep"
    """Nested deeper than the decoder goes."""
    SCHEMA = "schema"
    """JSON, but a field is missing, of the wrong type or out of its range."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """Avro or Protobuf, written with a schema that the registry does not have, or that cannot be used."""
    ATTRIBUTE = "attribute"
    """An application lacks an attribute that the model reads, or has a value for it that the model does not know."""
    CARD_NUMBER = "card_number"
    """`card_id` or `applicant_id` is a payment card number in clear."""
    FUTURE = "future"
    """`event_time_ms` is far ahead of the record's own timestamp: taken in, it would make the card's next payments late."""
    PAST = "past"
    """`event_time_ms` is before the stated floor: as a rule it is in another unit."""
    TIMESTAMP = "timestamp"
    """The record's own Kafka timestamp is missing or implausible: nothing could be judged by it."""
    DUPLICATE = "duplicate"
    """The transaction's or application's id was seen before, within the duplicate window of its partition."""
    UNSCORABLE = "unscorable"
    """A stage fails on this record and not on its neighbours: a fault of Assay or of the bundle, worth a report."""
    UNDELIVERED = "undelivered"
    """A case that the webhook did not take, after all attempts."""


class DeadLetter(Message):
    """One unusable input. Its payload is not repeated: only its size and a keyed hash, to match it with the source."""

    reason: DeadLetterReason = Field(description="Reason code.")
    detail: Words = Field(description="What was wrong, in words, without a word of the payload.")
    source_topic: TopicName = Field(description="Where it came from.")
    source_partition: Partition = Field(description="Where it came from.")
    source_offset: Offset = Field(description="Where it came from.")
    payload_bytes: Count = Field(description="Size of the payload.")
    payload_hmac_sha256: Digest = Field(description="HMAC-SHA-256 of the payload under the privacy key, hex.")
    key_id: Annotated[str, Field(max_length=100)] = Field(description="Which privacy key made the hash.")
