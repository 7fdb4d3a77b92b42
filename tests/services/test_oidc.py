"""What the gateway and the console ask of an OpenID provider, of one that means them harm as well."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from services.console.oidc import Provider, SignInError
from services.errors import SettingsError
from services.gateway.bearer import Tokens
from services.oidc import ANSWER_BYTES_MAX, BOUNDED, answer_of, is_trusted
from services.settings.console import ConsoleSettings
from services.settings.gateway import GatewaySettings

PART = b" " * (64 << 10)
SENT_BYTES_MAX = 64 * ANSWER_BYTES_MAX
"""An endless answer ends here, so that a test fails in place of filling the memory."""


class Endless(BaseHTTPRequestHandler):
    """Answers, and does not stop."""

    def do_GET(self) -> None:
        """White space, of which a JSON document may have any amount."""
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(SENT_BYTES_MAX // len(PART)):
                self.wfile.write(PART)
            self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def endless() -> Iterator[str]:
    """The address of a provider that answers without end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_an_answer_without_end_is_read_no_further_than_a_bound(endless: str) -> None:
    """Of the discovery document and of the keys; who signs in is told one sentence."""
    async with httpx.AsyncClient(event_hooks=BOUNDED) as client:
        with pytest.raises(ValueError, match="too large"):
            await answer_of(client, endless)
    tokens = Tokens(GatewaySettings(oidc_issuer=endless, oidc_audience="us"), None)
    with pytest.raises(ValueError, match="too large"):
        await tokens._ask()
    with pytest.raises(SignInError, match="does not answer"):
        await Provider(ConsoleSettings(oidc_issuer=endless, oidc_client_id="c")).begin("http://localhost")


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (gzip.compress(b" " * (8 * ANSWER_BYTES_MAX) + b"{}"), "gzip", "packed"),
        (b"[" * 100_000, "identity", "deep"),
        (b"9" * 5_000, "identity", "digits"),
        (b"\xff", "identity", "decode"),
    ],
)
async def test_an_answer_that_grows_when_it_is_read_is_refused(content: bytes, encoding: str, words: str) -> None:
    """Whatever asks, the token endpoint's client too; and no compression is asked for."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Accept-Encoding"])
        return httpx.Response(200, headers={"Content-Encoding": encoding}, stream=httpx.ByteStream(content))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), event_hooks=BOUNDED) as client:
        with pytest.raises(ValueError, match=words):
            await answer_of(client, "https://id.example")
    provider = Provider(ConsoleSettings(oidc_issuer="https://id.example", oidc_client_id="c"))
    async with provider._client("http://localhost") as client:
        client._transport = httpx.MockTransport(answer)
        with pytest.raises((ValueError, RecursionError)):
            await client.fetch_token("https://id.example/token", code="x")
    assert asked == ["identity"] * 2


@pytest.mark.parametrize("issuer", ["https://[x", "http://id.example", "id.example", ""])
def test_an_issuer_that_is_no_https_address_stops_the_start_with_one_sentence(issuer: str) -> None:
    """Also one that is no address at all."""
    assert not is_trusted(issuer)
    with pytest.raises(SettingsError, match="ASSAY_GATEWAY_OIDC_ISSUER is not an https"):
        Tokens(GatewaySettings(oidc_issuer=issuer, oidc_audience="us"), None)
    with pytest.raises(SettingsError, match="ASSAY_CONSOLE_OIDC_ISSUER is not an https"):
        Provider(ConsoleSettings(oidc_issuer=issuer, oidc_client_id="c"))


def test_a_provider_on_this_machine_may_do_without_tls() -> None:
    """By each of its names, and no other's."""
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert is_trusted(f"http://{host}:8080")
    assert not is_trusted("http://localhost.example")
