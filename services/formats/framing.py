"""Confluent's wire format: a zero byte, the id of the schema as four bytes, then the value."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from schemas.codec import UndecodableError

SchemaId = int
HEADER = struct.Struct(">BI")


class Unframed(NamedTuple):
    """The id of a value's schema, and the value."""

    schema_id: SchemaId
    payload: bytes


def unframed(payload: bytes) -> Unframed:
    """The parts of a framed value. Raises UndecodableError."""
    if len(payload) < HEADER.size:
        raise UndecodableError("cut short: no room for a zero byte and a schema's id")
    magic, schema_id = HEADER.unpack_from(payload)
    if magic != 0:
        raise UndecodableError("does not begin with the zero byte that comes before a schema's id")
    return Unframed(schema_id, payload[HEADER.size :])


def framed(schema_id: SchemaId, payload: bytes) -> bytes:
    """A value behind its schema's id."""
    return HEADER.pack(0, schema_id) + payload


def ids_of(payloads: Sequence[bytes]) -> set[SchemaId]:
    """The ids that values name, as far as they name one."""
    return {HEADER.unpack_from(value)[1] for value in payloads if len(value) >= HEADER.size and value[0] == 0}
