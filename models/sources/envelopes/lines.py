"""Lines of a file that are still in their envelope, as a topic's records are when someone has only copied them."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from models.sources.envelopes import UNWRAP, NotAnEvent
from schemas.codec import SchemaError
from schemas.record_format import Envelope

SHOWN_SHARE = 0.9
LOOKED_AT = 50
"""Records from which the form is read off."""

_encode = msgspec.json.Encoder().encode


def shown_envelope(values: Sequence[bytes]) -> Envelope:
    """The envelope that nearly all of some records of JSON are in."""
    found = [document for value in values if isinstance(document := _document(value), dict)]
    for name in ("debezium", "cloudevents", "connect"):
        if found and sum(_is_in(document, name) for document in found) >= SHOWN_SHARE * len(found):
            return name
    return "none"


def event_of(line: bytes, envelope: Envelope) -> bytes | None:
    """The event as JSON: the line itself where it is in no envelope; None where the envelope says that none happened."""
    document = None if envelope in ("none", "cloudevents") else _document(line)
    if not isinstance(document, dict) or not _is_in(document, envelope):
        return line
    try:
        event = UNWRAP[envelope](document, {})
    except SchemaError:
        return line  # the parser says what it lacks
    return None if isinstance(event, NotAnEvent) else _encode(event)


def _is_in(document: dict[str, Any], envelope: Envelope) -> bool:
    if envelope == "debezium":
        inner = document.get("payload", document)
        return isinstance(inner, dict) and {"op", "source"} <= inner.keys() and bool({"after", "before"} & inner.keys())
    if envelope == "cloudevents":
        return "specversion" in document and "data" in document
    return document.keys() == {"schema", "payload"}


def _document(value: bytes) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
