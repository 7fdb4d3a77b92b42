"""A topic of Avro with a registry goes through intake to scores; while the registry is down it waits, and loses nothing."""

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.sources.spec_file import parse_source, users_topic
from schemas import codec
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.topics import EVENTS
from services.broker.config import free_port
from services.formats.framing import framed
from services.formats.schema_registry import RegisteredSchema, SchemaRegistry
from services.kafka.topics_admin import create_topics
from services.settings.schema_registry import SchemaRegistrySettings
from tests.services.formats.documents import avro
from tests.services.harness import WAIT_S_MAX, Stream
from tests.services.intake.test_stream import worked
from tests.services.scorer.test_source import SOURCE, bundle_of, event

IN_AVRO = SOURCE.strip() + "\nformat: avro\n"


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


SCHEMA = record(
    "Payment",
    type="string",
    header=record("Header", id="string", at={"type": "long"}),
    card=record("Card", token="string"),
    merchant=["null", record("Merchant", id="string")],
    amount=record("Amount", value="string", currency="string"),
    device=record("Device", id="int"),
)
GOOD = [i for i in range(1, 120) if event(i)["header"]["at"] != "never"]


class Doorway:
    """In front of a real registry: closed at first."""

    def __init__(self, registry: str) -> None:
        self.port = free_port()
        self._registry = registry
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where clients are sent to."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """From here on the registry answers."""
        registry = self._registry

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    with urllib.request.urlopen(registry + self.path) as answer:  # noqa: S310  (loopback)
                        status, body = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    status, body = error.code, error.read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """For good."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


@pytest.fixture
def doorway(schema_registry: str) -> Iterator[Doorway]:
    doorway = Doorway(schema_registry)
    yield doorway
    doorway.close()


@pytest.mark.slow
async def test_a_topic_of_avro_waits_for_its_registry_and_is_then_scored_whole(
    stream: Stream, schema_registry: str, doorway: Doorway, tmp_path: Path
) -> None:
    """The process says why it is not ready and does not end; an unknown schema and garbage are one dead letter each."""
    # a topic of the user's is named whole
    whole, source = replace(stream, prefix="", processes=[]), parse_source(IN_AVRO)
    source = source.model_copy(update={"topic": f"{stream.prefix}payments"})
    await create_topics(stream.kafka, stream.topics, [users_topic(source)])
    registry = SchemaRegistry(SchemaRegistrySettings(url=schema_registry), "a test")
    schema_id = await registry.register(f"{stream.prefix}payments", RegisteredSchema("AVRO", json.dumps(SCHEMA)))
    values = [framed(schema_id, avro(SCHEMA, event(i))) for i in GOOD]
    values += [framed(1 << 30, b"x"), b'{"not": "avro"}']
    await whole.send(values, [b"m-%d" % (i % 7) for i in range(len(values))], source.topic)
    bundle = bundle_of(source, tmp_path / "bundle")
    environment = {"ASSAY_BUNDLE": str(bundle), "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true", "ASSAY_BUNDLE_PUBLIC_KEYS": ""}
    intake = stream.intake(
        **environment,
        ASSAY_SCHEMA_REGISTRY_URL=doorway.url,
        ASSAY_PROGRESS_TIMEOUT_S="1",
        ASSAY_DEAD_LETTER_SHARE_MAX="1",
    )
    await asyncio.to_thread(intake.wait_for_log, "schema_registry.unavailable")
    deadline, text = time.monotonic() + WAIT_S_MAX, ""
    while "no schema registry answers since 4 s" not in text:
        assert intake.returncode is None, intake.log()[-2000:]
        assert time.monotonic() < deadline, text
        status, text = await asyncio.to_thread(intake.get, "/readyz")
        await asyncio.sleep(0.2)
    assert status == 503
    assert await stream.read("dead-letters") == []
    doorway.open()
    await whole.caught_up([intake], group=f"{stream.prefix}intake", name=source.topic)
    letters = [codec.read(DeadLetter, letter.value) for letter in await stream.read("dead-letters")]
    assert sorted(letter.reason for letter in letters) == [
        DeadLetterReason.UNDECODABLE,
        DeadLetterReason.UNKNOWN_SCHEMA,
    ]
    meant = {f"e-{i}" for i in GOOD if event(i)["type"] != "BALANCE"}
    assert {json.loads(made.value)["id"] for made in await stream.read(EVENTS.name)} == meant
    scorer = stream.scorer(**environment)
    assert await worked(stream, scorer) == len(meant)
    assert {json.loads(score.value)["transaction_id"] for score in await stream.read("scores")} == meant
