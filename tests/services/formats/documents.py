"""Records, and registries that answer as they are asked to, for tests that want neither a network nor Java."""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import fastavro

from models.sources.spec_file import parse_source
from schemas.source_spec import SourceSpec

SPEC = """
version: 1
topic: payments
format: {format}
envelope: {envelope}
event:
  id: {{path: id}}
  time: {{path: at, unit: ms}}
  subject: {{path: card}}
  amount: {{path: amount}}
"""
BYTES_MAX = 64 << 10


def source(form: str, envelope: str = "none") -> SourceSpec:
    """A spec that reads payments in a format."""
    return parse_source(SPEC.format(format=form, envelope=envelope))


@dataclass
class Record:
    """As aiokafka has them."""

    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    topic: str = "payments"
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_767_225_600_000
    key: bytes | None = None


def avro(schema: dict[str, Any], value: Any) -> bytes:
    """A value written with a schema."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), value)
    return buffer.getvalue()


def long(number: int) -> bytes:
    """A number as Avro and Protobuf's zigzag varints have it."""
    number, made = (number << 1) ^ (number >> 63), b""
    while number & ~0x7F:
        made, number = made + bytes([number & 0x7F | 0x80]), number >> 7
    return made + bytes([number])


def plain(kind: str, text: str, message: str | None = None) -> str:
    """A format block for plain records, as YAML in one line."""
    block = {"type": kind, "framing": "plain", "schema_text": text, **({"message": message} if message else {})}
    return json.dumps(block)
