"""Avro and Protobuf say what the models say, and go on saying it as the models grow."""

import json
from typing import Literal

import pytest
from pydantic import Field

from schemas.base import Message
from schemas.export import typed_documents
from schemas.topics import CONVERTED, TYPED_COPIES
from schemas.typed import avro_text, protobuf_text


class Part(Message):
    """A part."""

    word: Literal["a", "b"] = Field(description="One of two.")


class First(Message):
    """A message."""

    name: str = Field(description="A text.")
    share: float = Field(0.5, description="A number.")


class Second(First):
    """A message."""

    count: int = Field(0, description="A later field.")
    part: Part | None = Field(None, description="A later part.")
    parts: tuple[Part, ...] = Field((), description="Later parts.")
    rates: dict[str, float] = Field({}, description="Later numbers.")


Second.__name__ = "First"


def test_the_committed_schemas_are_current() -> None:
    """After a change of a model: `python -m schemas.export`."""
    found = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in typed_documents()}
    assert found == typed_documents(), "run `python -m schemas.export`"
    assert len(found) - 1 == 2 * len(CONVERTED) == len(TYPED_COPIES)  # and the gateway's service


def test_protobufs_numbers_stay_where_they_were() -> None:
    """A field that comes first in the model, or in the model's base, gets the next number all the same."""

    class Moved(Message):
        """A message."""

        early: bool = Field(False, description="Newest, and first.")
        count: int = Field(0, description="A later field.")
        name: str = Field(description="A text.")

    Moved.__name__ = "First"
    before = protobuf_text(First)
    later = protobuf_text(Second, before)
    assert "string name = 1;" in later
    assert "int64 count = 3;" in later
    assert "optional" not in before
    moved = protobuf_text(Moved, later)
    assert "int64 count = 3;" in moved
    assert "bool early = 7;" in moved


def test_a_later_avro_schema_reads_what_an_earlier_one_wrote() -> None:
    """Each later field has its default."""
    fastavro = pytest.importorskip("fastavro")
    from tests.services.formats.documents import avro

    earlier, later = (json.loads(avro_text(schema)) for schema in (First, Second))
    import io

    payload = avro(earlier, {"name": "n", "share": 1})
    made = fastavro.schemaless_reader(io.BytesIO(payload), fastavro.parse_schema(earlier), fastavro.parse_schema(later))
    assert made == {"name": "n", "share": 1.0, "count": 0, "part": None, "parts": [], "rates": {}}


def test_a_type_without_a_translation_is_named() -> None:
    """When the schemas are exported, not when a record is written."""

    class Odd(Message):
        """A message."""

        either: str | int = Field(description="Two types.")

    for derive in (avro_text, protobuf_text):
        with pytest.raises(TypeError, match=r"schemas/typed\.py does not translate"):
            derive(Odd)
