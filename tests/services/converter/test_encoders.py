"""What the converter writes reads back as the message that it was made of; what is no message of the topic is refused."""

import json
from typing import Any

import msgspec
import pytest

from schemas import codec
from schemas.export import AVRO_DIR, PROTOBUF_DIR
from schemas.topics import ALERTS, CONVERTED, TOPICS, Topic
from services.cli.operating.topics import wanted_topics
from services.converter.encoders import registered
from services.converter.processor import Copied
from services.formats.avro import AvroDocuments
from services.formats.framing import unframed
from services.formats.protobuf import ProtobufDocuments
from services.formats.schema_registry import RegisteredSchema
from tests.services.converter.test_stream import message, without_nulls


class Registry:
    """Gives every schema one id."""

    async def register(self, subject: str, schema: RegisteredSchema) -> int:
        """It."""
        return 7


async def copied(topic: Topic, form: Any) -> Copied:
    return Copied(topic, "copy", await registered(Registry(), topic, form, "subject"))  # type: ignore[arg-type]


@pytest.mark.parametrize("topic", CONVERTED, ids=lambda topic: topic.name)
async def test_a_message_reads_back_as_it_was(topic: Topic) -> None:
    """Every field, by the committed schemas alone; a null is null, or absent."""
    given = message(topic, 1)
    payload = msgspec.json.encode(given)
    for_avro = unframed((await copied(topic, "avro")).converted(payload))
    text = (AVRO_DIR / f"{topic.name}.avsc").read_text(encoding="utf-8")
    assert for_avro.schema_id == 7
    assert AvroDocuments(None, text).document(for_avro.payload) == given
    for_protobuf = unframed((await copied(topic, "protobuf")).converted(payload))
    text = (PROTOBUF_DIR / f"{topic.name}.proto").read_text(encoding="utf-8")
    documents = ProtobufDocuments(None, text, f"assay.{topic.schema.__name__}")
    assert documents.document(for_protobuf.payload.removeprefix(b"\x00")) == without_nulls(given)


@pytest.mark.parametrize("form", ["avro", "protobuf"])
async def test_a_message_of_an_earlier_version_has_its_defaults(form: Any) -> None:
    """And a field of a later one is left out: no old message becomes a dead letter."""
    fields = {name: value for name, value in message(ALERTS, 1).items() if name not in ("late", "currency")}
    made = (await copied(ALERTS, form)).converted(json.dumps({**fields, "newer": 1}).encode())
    full = (await copied(ALERTS, form)).converted(json.dumps(message(ALERTS, 1)).encode())
    assert made == full


async def test_what_is_no_message_is_refused_as_every_reader_does() -> None:
    """In words of the codec's."""
    with pytest.raises(codec.SchemaError):
        (await copied(ALERTS, "avro")).converted(b'{"probability": 7}')


def test_the_setting_adds_the_copies_to_the_topics_that_are_created(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide, and as long kept, as their originals; without it nothing is added."""
    assert wanted_topics() == TOPICS
    monkeypatch.setenv("ASSAY_OUTPUT_FORMAT", "avro")
    added = wanted_topics()[len(TOPICS) :]
    assert [topic.name for topic in added] == ["scores.avro", "alerts.avro", "decisions.avro"]
    assert [(topic.partitions, topic.retention_ms) for topic in added] == [
        (topic.partitions, topic.retention_ms) for topic in CONVERTED
    ]
