"""Protobuf: plain with the spec's schema, or behind the id of a registered one and the place of its message."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from schemas.codec import UndecodableError, UnknownSchemaError
from services.errors import AssayError
from services.formats.compiled import CompiledSchemas
from services.formats.framing import SchemaId, ids_of, unframed
from services.formats.protobuf_documents import Message
from services.formats.protobuf_schemas import ProtobufSchema, parse
from services.formats.schema_registry import RegisteredSchema, SchemaRegistry

INDEXES_MAX = 32
"""Messages within each other, on the way to a record's own."""


class ProtobufDocuments:
    """Values as JSON documents. registry: None where records are plain. text, message: the spec's schema and message."""

    def __init__(self, registry: SchemaRegistry | None, text: str | None, message: str | None) -> None:
        """Raises AssayError where the spec's schema cannot be used."""
        self._own: Message | None = None
        if text is not None:
            try:
                self._own = parse(text).named(message)
            except UnknownSchemaError as error:
                raise AssayError(
                    f"The source spec's Protobuf schema cannot be used: {error}. Correct the spec."
                ) from None
        self._compiled = None if registry is None else CompiledSchemas(registry, "PROTOBUF", _compiled)

    def missing(self, payloads: Sequence[bytes]) -> set[SchemaId]:
        """Ids that no one has looked up."""
        return set() if self._compiled is None else self._compiled.missing(ids_of(payloads))

    async def look_up(self, missing: set[SchemaId]) -> None:
        """Look them up."""
        if self._compiled is not None:
            await self._compiled.look_up(missing)

    def document(self, payload: bytes) -> Any:
        """The value. Raises RejectedError's kinds."""
        if self._compiled is None:
            assert self._own is not None
            return _read(payload, self._own)
        schema_id, framed = unframed(payload)
        schema = self._compiled.get(schema_id)
        indexes, start = message_indexes(framed)
        return _read(framed[start:], schema.at(indexes))

    async def close(self) -> None:
        """Close connections."""


def _compiled(schema: RegisteredSchema) -> ProtobufSchema:
    return parse(schema.text, schema.references)


def _read(payload: bytes, message: Message) -> Any:
    try:
        return message.document(payload)
    except (DecodeError, UnicodeDecodeError):
        raise UndecodableError("not what its Protobuf schema says, or cut short") from None


def message_indexes(framed: bytes) -> tuple[tuple[int, ...], int]:
    """Which message a value is, by its place at each level of the schema; and where it begins. Raises UndecodableError."""
    count, start = _varint(framed, 0)
    if count == 0:  # short for the first message
        return (0,), start
    if not 0 < count <= INDEXES_MAX:
        raise UndecodableError("the place of its Protobuf message cannot be read")
    indexes = []
    for _ in range(count):
        index, start = _varint(framed, start)
        indexes.append(index)
    return tuple(indexes), start


def _varint(framed: bytes, start: int) -> tuple[int, int]:
    """A zigzag varint, and what is behind it."""
    value = 0
    for place, byte in enumerate(framed[start : start + 5]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), start + place + 1
    raise UndecodableError("cut short: the place of its Protobuf message is missing")
