"""A message of ours as Confluent's wire format has it: the id of its registered schema, then Avro or Protobuf."""

import io
from collections.abc import Callable
from typing import Any, Literal

from models.installation import lacking
from schemas.export import AVRO_DIR, PROTOBUF_DIR
from schemas.topics import Topic
from services.errors import AssayError
from services.formats.framing import framed
from services.formats.schema_registry import RegisteredSchema, SchemaRegistry

Form = Literal["avro", "protobuf"]
Encode = Callable[[dict[str, Any]], bytes]
"""A message's fields, as JSON has them, to a record's value. Raises what the libraries raise for what does not fit."""

FIRST_MESSAGE = b"\x00"


async def registered(registry: SchemaRegistry, topic: Topic, form: Form, subject: str) -> Encode:
    """The encoder of a topic's messages, its schema registered. Waits for the registry. Raises AssayError."""
    path = AVRO_DIR / f"{topic.name}.avsc" if form == "avro" else PROTOBUF_DIR / f"{topic.name}.proto"
    text = path.read_text(encoding="utf-8")
    try:
        encode = _avro(text) if form == "avro" else _protobuf(text)
    except ImportError as error:
        raise AssayError(lacking(f"ASSAY_OUTPUT_FORMAT={form} needs", error, "formats")) from None
    kind = "AVRO" if form == "avro" else "PROTOBUF"
    schema_id = await registry.register(subject, RegisteredSchema(kind, text))
    return lambda fields: framed(schema_id, encode(fields))


def _avro(text: str) -> Encode:
    import json

    import fastavro

    schema = fastavro.parse_schema(json.loads(text))

    def encode(fields: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, schema, fields)
        return buffer.getvalue()

    return encode


def _protobuf(text: str) -> Encode:
    from services.formats.protobuf_schemas import parse

    message = parse(text).first()
    return lambda fields: FIRST_MESSAGE + message.encode(_without_nulls(fields))


def _without_nulls(value: Any) -> Any:
    """A field that is null is absent."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list | tuple) else value
