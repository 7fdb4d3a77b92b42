"""The registry's client: what counts as its word, what is waited for, and who may see the password."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.errors import SettingsError
from services.formats import schema_registry as client
from services.formats.schema_registry import RegistryUnavailableError, SchemaRegistry
from services.settings.schema_registry import SchemaRegistrySettings

SCHEMA = {"schema": '"string"'}


class Scripted(ThreadingHTTPServer):
    """Answers with what it is given, the last one for ever, and keeps what it was asked with."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Of a Scripted server."""

    server: Scripted

    def do_GET(self) -> None:
        """One answer."""
        self.server.asked.append((self.path, dict(self.headers)))
        status, body = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", body)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts servers, which end with the test; nothing waits long."""
    monkeypatch.setattr(client, "UNKNOWN_PAUSE_S", 0.0)
    monkeypatch.setattr(client, "BACKOFF_S_MIN", 0.01)
    started: list[Scripted] = []

    def start(*answers: tuple[int, Any]) -> Scripted:
        server = Scripted(*answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def registry(url: str, **settings: Any) -> SchemaRegistry:
    return SchemaRegistry(SchemaRegistrySettings(url=url, **settings), "a test")


async def test_avro_is_what_an_answer_without_a_kind_means(serve: Any) -> None:
    """Confluent's registry leaves it out."""
    found = await registry(serve((200, SCHEMA)).url).schema(7)
    assert found == ("AVRO", '"string"', ())


@pytest.mark.parametrize(
    "outage",
    [
        (503, {}),
        (500, {"error_code": 50001}),
        (404, b"<html>"),
        (404, {"error_code": 404}),
        (200, b"<html>"),
        (401, {}),
    ],
)
async def test_only_the_registrys_own_word_says_that_a_schema_is_unknown(serve: Any, outage: tuple[int, Any]) -> None:
    """Whatever else comes is an outage, which passes; no record is refused for it."""
    server = serve(outage, outage, (200, SCHEMA))
    found = registry(server.url)
    assert (await found.schema(7)) is not None
    assert (found.requests, found.unavailable_since_s) == (3, None)


async def test_an_outage_is_seen_while_it_lasts(serve: Any) -> None:
    """And the wait can be ended from outside, as a rebalance does."""
    found = registry(serve((503, {})).url)
    waiting = asyncio.create_task(found.schema(7))
    async with asyncio.timeout(30):
        while found.unavailable_since_s is None:  # noqa: ASYNC110  (what is shown outside)
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_schema_that_is_not_there_is_asked_for_a_few_times(serve: Any) -> None:
    """A follower may be behind by a moment."""
    late = serve((404, {"error_code": 40403}), (404, {"error_code": 40403}), (200, SCHEMA))
    assert await registry(late.url).schema(7) is not None
    never = serve((404, {"error_code": 40403}))
    assert await registry(never.url).schema(7) is None
    assert len(never.asked) == client.UNKNOWN_ATTEMPTS


async def test_the_next_registry_is_asked_where_one_does_not_answer(serve: Any) -> None:
    """And first from then on."""
    down, up = serve((503, {})), serve((200, SCHEMA))
    found = registry(f"{down.url}, {up.url}/")
    assert await found.schema(1) is not None
    assert await found.schema(2) is not None
    assert (len(down.asked), len(up.asked)) == (1, 2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({"token": "t-1"}, "Bearer t-1"),
        ({}, "Basic YTpiQGM="),
    ],
)
async def test_the_login_is_sent_to_the_registry_and_not_where_it_redirects(
    serve: Any, settings: dict[str, str], expected: str
) -> None:
    """From the settings, or from the address."""
    other = serve((200, SCHEMA))
    server = serve((302, f"{other.url}/elsewhere"))
    url = server.url if settings else server.url.replace("://", "://a:b%40c@")
    assert await registry(url, **settings).schema(1) is not None
    assert server.asked[0][1]["Authorization"] == expected
    assert "Authorization" not in other.asked[0][1]


async def test_a_token_in_a_file_is_read_at_each_request(serve: Any, tmp_path: Path) -> None:
    """So something else may renew it."""
    server, file = serve((200, SCHEMA)), tmp_path / "token"
    found = registry(server.url, token_file=file)
    with pytest.raises(RegistryUnavailableError, match="ASSAY_SCHEMA_REGISTRY_TOKEN_FILE"):
        await found.check()
    for token in ("one", "two"):
        file.write_text(token + "\n")
        await found.schema(1)
    assert [headers["Authorization"] for _, headers in server.asked] == ["Bearer one", "Bearer two"]


async def test_what_is_wrong_is_said_without_the_password(serve: Any) -> None:
    """One sentence with the next step."""
    server = serve((401, {}))
    with pytest.raises(RegistryUnavailableError, match="status 401: check user, password or token") as found:
        await registry(server.url.replace("://", "://me:secret@")).check()
    assert "secret" not in str(found.value)
    with pytest.raises(RegistryUnavailableError, match=r"does not answer .*: check the address"):
        await registry("http://127.0.0.1:1").check()


async def test_references_are_followed_once_each_even_in_a_circle(serve: Any) -> None:
    """What a schema needs comes before it."""
    reference = {"name": "a", "subject": "s", "version": 1}
    server = serve((200, {**SCHEMA, "references": [reference]}))
    found = await registry(server.url).schema(1)
    assert found == ("AVRO", '"string"', (("a", '"string"'),))


def test_settings_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    """Each with its name."""
    with pytest.raises(SettingsError, match="a test needs a schema registry: set ASSAY_SCHEMA_REGISTRY_URL"):
        SchemaRegistry(SchemaRegistrySettings(url=None), "a test")
    with pytest.raises(SettingsError, match="ASSAY_SCHEMA_REGISTRY_SSL_"):
        registry("https://127.0.0.1:1", ssl_ca_file=tmp_path / "none.pem")
