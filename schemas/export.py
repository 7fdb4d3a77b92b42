"""Writes the JSON Schema of every topic and of the manifests to `schemas/json/`: `python -m schemas.export`.

Those that `assay convert` copies are in `schemas/avro` and `schemas/proto`, too; the gateway's gRPC service is in the latter.

They are for readers that are not Python; a test keeps them equal to the models.
"""

import json
from pathlib import Path

from pydantic import BaseModel

from schemas.calls import CALLS, PACKAGE, SERVICE
from schemas.generator import GeneratorManifest
from schemas.manifest import Manifest
from schemas.policy import Policy
from schemas.topics import CONVERTED, TOPICS
from schemas.typed import avro_text, protobuf_service_text, protobuf_text

JSON_DIR = Path(__file__).with_name("json")
AVRO_DIR = Path(__file__).with_name("avro")
PROTOBUF_DIR = Path(__file__).with_name("proto")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, str]:
    """File name -> text of every exported schema."""
    schemas: dict[str, type[BaseModel]] = {topic.name: topic.schema for topic in TOPICS}
    schemas |= {"manifest": Manifest, "generator": GeneratorManifest, "policy": Policy}
    return {f"{name}.json": _text(schema) for name, schema in schemas.items()}


def typed_documents() -> dict[Path, str]:
    """Path -> text of the Avro and Protobuf schemas."""
    found = {AVRO_DIR / f"{topic.name}.avsc": avro_text(topic.schema) for topic in CONVERTED}
    for topic in CONVERTED:
        path = PROTOBUF_DIR / f"{topic.name}.proto"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        found[path] = protobuf_text(topic.schema, before)
    path = PROTOBUF_DIR / "gateway.proto"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    found[path] = protobuf_service_text(PACKAGE, SERVICE, CALLS, before)
    return found


def _text(schema: type[BaseModel]) -> str:
    # validation, not serialization: it describes what a reader accepts, and so what a producer may leave out
    document = {"$schema": DIALECT, **schema.model_json_schema(mode="validation")}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write them, and remove what no topic has any more."""
    JSON_DIR.mkdir(exist_ok=True)
    wanted = documents()
    for stale in JSON_DIR.glob("*.json"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (JSON_DIR / name).write_text(text, encoding="utf-8")
    for path, text in typed_documents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
