"""Cases by HTTP against a real server: the signature, the attempts, and what is given up."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from pydantic import SecretStr

from schemas import codec
from schemas.case import Case
from services.cases.grouping import Source, joined, opened
from services.cases.service import _webhook
from services.cases.webhook import DELIVERY_HEADER, SIGNATURE_HEADER, Webhook, is_usable, worth_telling
from services.errors import SettingsError
from services.settings.cases import CasesSettings
from tests.services.cases.test_stream import HOUR_MS, alert

SECRET = b"a secret of the receiver's"
CASE: Case = opened(alert(0, "a"), Source(3, 1042, 1_700_000_000_000, 1_700_000_000_000), 24 * HOUR_MS)
BODY = codec.write(CASE)

Serve = Callable[[list[int]], Awaitable[tuple[str, list[web.BaseRequest]]]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A server that answers with these statuses, the last one again and again; and what it was asked."""
    runners: list[web.ServerRunner] = []

    async def start(statuses: list[int]) -> tuple[str, list[web.BaseRequest]]:
        asked: list[web.BaseRequest] = []

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            await request.read()
            asked.append(request)
            return web.Response(status=statuses[min(len(asked), len(statuses)) - 1])

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}/cases", asked

    yield start
    for runner in runners:
        await runner.cleanup()


def webhook(url: str, waits: list[float]) -> Webhook:
    """Four attempts, without the waits between them."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return Webhook(url, SECRET, attempts_max=4, timeout_s=5.0, sleep=sleep)


async def test_a_delivery_is_signed_and_names_itself(serve: Serve) -> None:
    """The receiver can check who sent it, when, and whether it came before."""
    url, asked = await serve([204])
    assert await webhook(url, []).deliver(CASE, BODY) is None
    (request,) = asked
    assert request._read_bytes == BODY
    time_part, _, digest = request.headers[SIGNATURE_HEADER].partition(",")
    signed = time_part.removeprefix("t=").encode() + b"." + BODY
    assert digest == "v1=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    assert request.headers[DELIVERY_HEADER] == "3-1042-1"


async def test_a_server_that_fails_is_asked_again_with_growing_waits(serve: Serve) -> None:
    """The delivery's name stays the same."""
    url, asked = await serve([500, 429, 200])
    waits: list[float] = []
    assert await webhook(url, waits).deliver(CASE, BODY) is None
    assert waits == [1.0, 2.0]
    assert {request.headers[DELIVERY_HEADER] for request in asked} == {"3-1042-1"}


async def test_a_refusal_is_not_repeated_and_a_failure_is_given_up(serve: Serve) -> None:
    """Why is said, for the dead letter."""
    url, asked = await serve([400])
    assert await webhook(url, []).deliver(CASE, BODY) == "the webhook answered 400"
    assert len(asked) == 1
    url, asked = await serve([503])
    assert await webhook(url, []).deliver(CASE, BODY) == "the webhook answered 503"
    assert len(asked) == 4


async def test_a_server_that_is_not_there_is_a_sentence(serve: Serve) -> None:
    """Nothing is raised."""
    why = await webhook("http://127.0.0.1:1/cases", []).deliver(CASE, BODY)
    assert why == "the webhook did not answer (ClientConnectorError)"


async def test_a_redirect_is_not_followed_and_an_answer_without_end_is_not_read() -> None:
    """What is signed for one receiver goes to no other; the status is enough."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        endless = web.StreamResponse()
        await endless.prepare(request)
        while True:
            await endless.write(bytes(1 << 16))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        assert await webhook(f"{url}/moved", []).deliver(CASE, BODY) == "the webhook answered 302"
        assert set(asked) == {"/moved"}
        assert await webhook(f"{url}/endless", []).deliver(CASE, BODY) is None
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no address",
        "ftp://host/x",
        "file:///etc/passwd",
        "http://host:99999/",
        "http://[::1/",
        "http:///x",
        "http://\u2025.x/",
    ],
)
def test_an_address_that_no_request_can_reach_is_one_sentence_at_the_start(url: str) -> None:
    """Each case was tried and dead-lettered, for ever; its password is not shown."""
    settings = CasesSettings(webhook_url=url, webhook_secret=SecretStr("a secret of 16 bytes"))
    with pytest.raises(SettingsError, match="is no address of a web server"):
        _webhook(settings)
    assert is_usable("https://user:pass@host.example:8443/hook?token=x")
    assert is_usable("http://127.0.0.1:8080/")


def test_one_alert_more_is_not_told() -> None:
    """Else a burst would be a burst of requests."""
    assert worth_telling(CASE)
    assert not worth_telling(joined(CASE, alert(1, "a"), Source(3, 1043, 1_700_000_000_001, 1_700_000_000_001)))
