"""Avro: plain with the spec's schema, or behind the id of a registered one, read as the spec's where it gives one."""

import io
from collections.abc import Sequence
from typing import Any

import fastavro
from fastavro import _read_py as plain_reader

from schemas.codec import RejectedError, TooDeepError, UndecodableError, UnknownSchemaError
from services.errors import AssayError
from services.formats.avro_schemas import AvroSchema, parse
from services.formats.compiled import CompiledSchemas
from services.formats.framing import SchemaId, ids_of, unframed
from services.formats.schema_registry import RegisteredSchema, SchemaRegistry


class AvroDocuments:
    """Values as JSON documents. registry: None where records are plain. text: the spec's schema."""

    def __init__(self, registry: SchemaRegistry | None, text: str | None) -> None:
        """Raises AssayError where the spec's schema cannot be used."""
        try:
            self._own = None if text is None else parse(text, counted=registry is not None)
        except UnknownSchemaError as error:
            raise AssayError(f"The source spec's Avro schema cannot be used: {error}. Correct schema_file.") from None
        self._compiled = None if registry is None else CompiledSchemas(registry, "AVRO", self._compile)

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
            return _read(payload, self._own, None)
        schema_id, value = unframed(payload)
        return _read(value, self._compiled.get(schema_id), self._own)

    async def close(self) -> None:
        """Close connections."""

    def _compile(self, schema: RegisteredSchema) -> AvroSchema:
        return parse(schema.text, [text for _, text in schema.references], counted=self._own is not None)


def _read(payload: bytes, writer: AvroSchema, reader: AvroSchema | None) -> Any:
    deep = writer.recursive or (reader is not None and reader.recursive)
    read = plain_reader.schemaless_reader if deep else fastavro.schemaless_reader
    buffer = io.BytesIO(payload)
    try:
        document = read(buffer, writer.fits(payload), None if reader is None else reader.parsed)
    except RejectedError:
        raise
    except RecursionError:
        raise TooDeepError("nested too deeply") from None
    except fastavro.read.SchemaResolutionError:
        raise UnknownSchemaError("its schema cannot be read as the source spec's") from None
    except (EOFError, LookupError, ValueError, TypeError, OverflowError, MemoryError):
        raise UndecodableError("not what its Avro schema says, or cut short") from None
    if buffer.tell() != len(payload):
        raise UndecodableError("more bytes than its Avro schema says")
    return document
