"""In what form a topic's records are: as its source spec says, or as they show; and the events in them, as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from models.sources.envelopes.lines import LOOKED_AT, SHOWN_SHARE, shown_envelope
from schemas.record_format import Envelope
from schemas.source_spec import SourceSpec
from services.engine.faults import Fault
from services.errors import AssayError
from services.formats.reader import PassedOver, open_reader
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.schema_registry import SchemaRegistrySettings


class Form(NamedTuple):
    """Format and envelope. spec: how records are read, where a source spec says all of it."""

    type: str = "json"
    envelope: str = "none"
    spec: SourceSpec | None = None

    @classmethod
    def of(cls, source: SourceSpec) -> "Form":
        """As a spec has it."""
        return cls(source.format.type, source.envelope, source)


def said(form: str | None, envelope: Envelope | None, values: Sequence[Any], topic: str) -> Form:
    """The form that is given, else the one that the records show. Raises AssayError where only the user can know."""
    some = [value for value in values if isinstance(value, bytes) and value][:LOOKED_AT]
    if form is None and sum(value[:1] == b"\0" for value in some) > SHOWN_SHARE * len(some) > 0:
        raise AssayError(
            f"The records of {topic} begin with a zero byte, as those do whose schema is in a registry: say what they are with "
            "--format avro, protobuf or json_schema, and where the registry is with ASSAY_SCHEMA_REGISTRY_URL."
        )
    return Form(form or "json", envelope or (shown_envelope(some) if form in (None, "json") else "none"))


async def events(records: Sequence[Any], form: Form, topic: str) -> list[Any]:
    """Of each record: the same with its event as JSON, or why there is none. Raises AssayError where no schema can be had."""
    if form.spec is None and (form.type, form.envelope) == ("json", "none"):
        return list(records)
    source = form.spec or _bare(form, topic)
    reader = open_reader(source, load(SchemaRegistrySettings), load(RuntimeSettings).message_bytes_max)
    try:
        await reader.prepare(records)
        return [_with(record, reader.to_json(record)) for record in records]
    finally:
        await reader.close()


def _with(record: Any, found: bytes | Fault | PassedOver) -> Any:
    return dataclasses.replace(record, value=found) if isinstance(found, bytes) else found


def _bare(form: Form, topic: str) -> SourceSpec:
    """A spec of nothing but topic, format and envelope; no field of it is read."""
    event = {name: {"path": name} for name in ("id", "subject", "amount")} | {"time": {"path": "time", "unit": "ms"}}
    bare = {"version": 1, "topic": topic, "format": form.type, "envelope": form.envelope, "event": event}
    return SourceSpec.model_validate_json(json.dumps(bare))
