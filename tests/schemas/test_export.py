"""The exported JSON Schemas are the models'."""

import json

from schemas.export import JSON_DIR, documents
from schemas.topics import TOPICS, TRANSACTIONS


def test_the_committed_json_schemas_are_current() -> None:
    """After a change of a model: `python -m schemas.export`."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in JSON_DIR.iterdir()}
    assert committed == documents(), "run `python -m schemas.export`"


def test_every_topic_and_the_manifests_have_one() -> None:
    """By the topic's name."""
    assert set(documents()) == {f"{topic.name}.json" for topic in TOPICS} | {
        "manifest.json",
        "generator.json",
        "policy.json",
    }


def test_every_field_of_every_message_is_described() -> None:
    """In the schema that others read."""
    for name, text in documents().items():
        document = json.loads(text)
        for part in (document, *document.get("$defs", {}).values()):
            for field, description in part.get("properties", {}).items():
                assert "description" in description, f"{name}: {field}"


def test_a_field_with_a_default_is_not_required() -> None:
    """A producer may leave it out."""
    document = json.loads(documents()[f"{TRANSACTIONS.name}.json"])
    assert "amount" in document["required"]
    assert "currency" not in document["required"]
