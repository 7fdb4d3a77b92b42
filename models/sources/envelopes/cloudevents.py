"""CloudEvents 1.0 over Kafka: one object of the event's attributes with its `data`, whether structured or binary."""

import base64
from typing import Any

from models.sources.envelopes.base import Headers, NotAnEvent, as_object
from schemas import codec
from schemas.codec import SchemaError

REQUIRED = ("id", "source", "specversion", "type")
_read = codec.native_decoder(Any)


def is_structured(headers: Headers) -> bool:
    """Whether the value is the whole event, in the format that the content type names; else headers hold its attributes."""
    return headers.get("content-type", b"").lower().startswith(b"application/cloudevents")


def is_binary(headers: Headers) -> bool:
    """Whether the headers hold the event's attributes."""
    return "ce_specversion" in headers


def unwrap(document: Any, headers: Headers) -> dict[str, Any] | NotAnEvent:
    """The event as the JSON format has it: attributes beside `data`."""
    if is_binary(headers) and not is_structured(headers):
        event = {name[3:]: _text(value, name) for name, value in headers.items() if name.startswith("ce_")}
        event["data"] = document
    else:
        event = dict(as_object(document, "$"))
    for name in REQUIRED:
        if not isinstance(event.get(name), str):
            raise SchemaError(f"Not a CloudEvent: the attribute `{name}` is missing")
    if "data_base64" in event:
        event["data"] = _unpacked(event.pop("data_base64"))
    return event


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise SchemaError("Not a CloudEvent: an attribute in a header is not UTF-8") from None


def _unpacked(value: Any) -> Any:
    try:
        data = base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        raise SchemaError("Expected `base64` at $.data_base64") from None
    return _read(data)
