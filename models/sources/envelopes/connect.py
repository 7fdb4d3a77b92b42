"""Kafka Connect's JSON with schemas: `{"schema": ..., "payload": ...}`, whose decimals are bytes without their scale."""

import base64
from decimal import Decimal
from typing import Any

from models.sources.envelopes.base import Headers, NotAnEvent, as_object
from schemas.codec import SchemaError

DECIMAL = "org.apache.kafka.connect.data.Decimal"
VARIABLE_DECIMAL = "io.debezium.data.VariableScaleDecimal"
DECIMAL_BYTES_MAX = 64
SCALE_MAX = 1_000
LEVELS_MAX = 64


def unwrap(document: Any, headers: Headers) -> dict[str, Any] | NotAnEvent:
    """The payload, its decimals as text; a payload of null is a deletion."""
    fields = as_object(document, "$")
    if "payload" not in fields:
        raise SchemaError("Object missing required field `payload`")
    payload = fields["payload"]
    if payload is None:
        return NotAnEvent("tombstone")
    return as_object(with_decimals(payload, fields.get("schema")), "$.payload")


def with_decimals(value: Any, schema: Any, level: int = 0, known: dict[int, dict[str, Any]] | None = None) -> Any:
    """A value with its decimals as text, as its Connect schema says. What the schema does not describe stays as it is.

    known: fields of the schema's structs by name, made once for each: a list may have a struct's schema thousands of times.
    """
    known = {} if known is None else known
    if not isinstance(schema, dict) or value is None:
        return value
    if level > LEVELS_MAX:
        raise SchemaError("the Connect schema is nested too deeply")
    name, kind = schema.get("name"), schema.get("type")
    if name == DECIMAL and isinstance(value, str):
        parameters = schema.get("parameters")
        return decimal_text(_bytes(value), _scale(parameters.get("scale") if isinstance(parameters, dict) else None))
    if name == VARIABLE_DECIMAL and isinstance(value, dict) and isinstance(value.get("value"), str):
        return decimal_text(_bytes(value["value"]), _scale(value.get("scale")))
    if kind == "struct" and isinstance(value, dict) and isinstance(schema.get("fields"), list):
        inner = known.get(id(schema))
        if inner is None:
            described = (field for field in schema["fields"] if isinstance(field, dict))
            inner = known[id(schema)] = {
                field["field"]: field for field in described if isinstance(field.get("field"), str)
            }
        return {name: with_decimals(found, inner.get(name), level + 1, known) for name, found in value.items()}
    if kind == "array" and isinstance(value, list):
        return [with_decimals(found, schema.get("items"), level + 1, known) for found in value]
    if kind == "map" and isinstance(value, dict):
        return {key: with_decimals(found, schema.get("values"), level + 1, known) for key, found in value.items()}
    return value


def decimal_text(unscaled: bytes, scale: int) -> str:
    """A decimal number as text from its unscaled big-endian two's complement. Raises SchemaError."""
    if len(unscaled) > DECIMAL_BYTES_MAX or not -SCALE_MAX <= scale <= SCALE_MAX:
        raise SchemaError("a decimal of too many digits")
    number = int.from_bytes(unscaled, "big", signed=True)
    digits = tuple(map(int, str(abs(number))))
    return format(Decimal((int(number < 0), digits, -scale)), "f")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SchemaError("a decimal that is not base64") from None


def _scale(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise SchemaError("a decimal without its scale") from None
