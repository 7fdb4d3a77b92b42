"""In what form a source's records come: the format of their values, its framing, and the envelope around an event."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.base import Part

SCHEMA_CHARACTERS_MAX = 1_000_000

FormatName = Literal["json", "avro", "protobuf", "json_schema"]
Framing = Literal["confluent", "plain"]
Envelope = Literal["none", "debezium", "connect", "cloudevents"]


class RecordFormat(Part):
    """The format of the records' values. A name alone stands for the format with all else at its default."""

    type: FormatName = Field("json", description="Of the records' values.")
    framing: Framing = Field(
        "confluent",
        description="confluent: a zero byte and the id of a schema in the registry come first. plain: the bytes alone.",
    )
    schema_file: Annotated[str, Field(min_length=1, max_length=1_000)] | None = Field(
        None, description="File with the schema, beside the spec's; its text is taken into the spec as it is read."
    )
    schema_text: Annotated[str, Field(min_length=1, max_length=SCHEMA_CHARACTERS_MAX)] | None = Field(
        None,
        description="The schema that plain records are written with; for Avro behind a registry, the one to read them as.",
    )
    message: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="Protobuf: the message's full name, where plain records' schema has several."
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @property
    def from_registry(self) -> bool:
        """Whether schemas are looked up: JSON behind an id is read without its schema."""
        return self.type in ("avro", "protobuf") and self.framing == "confluent"

    def problems(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Where something is wrong beyond types, and the fix."""
        given = self.schema_file is not None or self.schema_text is not None
        if self.schema_file is not None and self.schema_text is not None:
            yield ("schema_file",), "the schema is given as a file and as text; remove one"
        elif self.type in ("avro", "protobuf") and self.framing == "plain" and not given:
            yield (), f"plain {self.type} does not say its schema; add schema_file"
        elif given and (self.type in ("json", "json_schema") or (self.type == "protobuf" and self.from_registry)):
            yield (), f"{self.type} takes no schema here; remove it"
        if self.message is not None and (self.type != "protobuf" or self.from_registry):
            yield ("message",), "only plain protobuf takes the name of a message; remove it"
        if self.type == "json" and self.framing != "confluent":
            yield ("framing",), "json has no framing; remove it, or write json_schema"
