"""What stands before a source spec's parser: a record's bytes and headers become the JSON document that the spec speaks of."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from models.installation import lacking
from models.sources.envelopes import UNWRAP, NotAnEvent
from models.sources.envelopes.cloudevents import is_structured
from schemas import codec
from schemas.record_format import Envelope, RecordFormat
from schemas.source_spec import SourceSpec
from services.engine.batches import Record
from services.engine.faults import Fault, parsed
from services.errors import AssayError
from services.formats import budget
from services.formats.framing import SchemaId, unframed
from services.formats.json_documents import JsonDocuments, read_json
from services.formats.schema_registry import SchemaRegistry
from services.settings.schema_registry import SchemaRegistrySettings

EXPANSION_MAX = 16
"""A document may have so many times the bytes that a record may: names of fields are not in the record."""


class PassedOver(NamedTuple):
    """A record that is no event, and no fault either: a deletion, a tombstone. why: a word, bounded, for a metric's label."""

    record: Record
    why: str


class Documents(Protocol):
    """One format: values to documents."""

    def missing(self, payloads: Sequence[bytes]) -> set[SchemaId]:
        """Ids of schemas that these values name and that no one has looked up yet."""

    async def look_up(self, missing: set[SchemaId]) -> None:
        """Look them up; waits for a registry that does not answer."""

    def document(self, payload: bytes) -> Any:
        """The value as Python has JSON. Raises RejectedError's kinds."""

    async def close(self) -> None:
        """Close connections."""


class RecordReader:
    """Turns the records of one source into JSON documents. Shared by all partitions of a process."""

    def __init__(
        self, source: SourceSpec, documents: Documents, bytes_max: int, registry: SchemaRegistry | None = None
    ) -> None:
        self._documents, self._registry = documents, registry
        self._envelope: Envelope = source.envelope
        self._unwrap = UNWRAP.get(source.envelope)
        self._bytes_max = bytes_max
        self.json_bytes_max = bytes_max if source.is_json else bytes_max * EXPANSION_MAX
        """No document is larger."""
        self._as_it_is = source.is_json
        self._only_framed = source.format.type == "json_schema" and self._unwrap is None

    async def prepare(self, records: Sequence[Record]) -> None:
        """Look up the schemas that the records name, once for each id.

        Waits, and tries again, for as long as no registry answers: no record is refused for that. May be cancelled.
        """
        missing = self._documents.missing([value for record in records if (value := record.value)])
        if missing:
            await self._documents.look_up(missing)

    def waits_for(self) -> str | None:
        """What `prepare` waits for, in a sentence; None where it does not."""
        return None if self._registry is None else self._registry.outage()

    def to_json(self, record: Record) -> bytes | Fault | PassedOver:
        """The event as JSON in UTF-8, behind `prepare`. Raises nothing but MemoryError."""
        if record.value is None and self._unwrap is not None and self._envelope != "cloudevents":
            return PassedOver(record, "tombstone")
        found = parsed(record, lambda payload: self._event(payload, record.headers), self._bytes_max)
        return PassedOver(record, found.why) if isinstance(found, NotAnEvent) else found

    async def close(self) -> None:
        """Close connections."""
        await self._documents.close()

    def _event(self, payload: bytes, headers: Sequence[tuple[str, bytes | None]] | None) -> bytes | NotAnEvent:
        if self._as_it_is:
            return payload
        if self._only_framed:
            return unframed(payload).payload
        budget.begin(self.json_bytes_max)
        if self._unwrap is None:
            return self._written(self._documents.document(payload))
        named = {name.lower(): value for name, value in headers or () if value is not None}
        structured = self._envelope == "cloudevents" and is_structured(named)
        found = self._unwrap(read_json(payload) if structured else self._documents.document(payload), named)
        return found if isinstance(found, NotAnEvent) else self._written(found)

    def _written(self, document: Any) -> bytes:
        try:
            made = msgspec.json.encode(document)
        except RecursionError:
            raise codec.TooDeepError("nested too deeply") from None
        if len(made) > self.json_bytes_max:
            raise codec.SchemaError(f"more than {self.json_bytes_max} bytes as JSON")
        return made


def open_reader(source: SourceSpec, registry: SchemaRegistrySettings, bytes_max: int) -> RecordReader:
    """The reader of a source. bytes_max: a larger record is a fault. Raises AssayError: what is missing, and the fix."""
    form, topic = source.format, source.topic
    client = SchemaRegistry(registry, f"the source spec of {topic}") if form.from_registry else None
    return RecordReader(source, _documents(form, topic, client), bytes_max, client)


def _documents(form: RecordFormat, topic: str, registry: SchemaRegistry | None) -> Documents:
    if form.type in ("json", "json_schema"):
        return JsonDocuments(framed=form.type == "json_schema" and form.framing == "confluent")
    try:
        if form.type == "avro":
            from services.formats.avro import AvroDocuments

            return AvroDocuments(registry, form.schema_text)
        from services.formats.protobuf import ProtobufDocuments

        return ProtobufDocuments(registry, form.schema_text, form.message)
    except ImportError as error:
        raise AssayError(
            lacking(f"The source spec of {topic} reads {form.type}, which needs", error, "formats")
        ) from None
