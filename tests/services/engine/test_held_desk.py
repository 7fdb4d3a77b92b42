"""/held over HTTP: who may ask, and what a decision must say."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.engine.health import HealthServer
from services.engine.held import Decision, Held
from services.engine.held_desk import HeldDesk
from services.settings.processing import RuntimeSettings

HELD = Held("transactions-3", 7, 9, 3, "too many", {"schema": 1}, ((8, "schema", "amount is missing"),))


class Holding:
    """Holds one partition."""

    def __init__(self) -> None:
        self.decisions: list[tuple[str, Decision]] = []

    def held(self) -> list[Held]:
        """The one."""
        return [HELD]

    def decide(self, partition: str, decision: Decision) -> bool:
        """Where it is held."""
        self.decisions.append((partition, decision))
        return (partition, decision.first_offset) == ("transactions-3", 7)


async def asked(
    server: HealthServer, body: Any = None, kind: str = "application/json", host: str | None = None
) -> tuple[int, bytes]:
    """Status and body."""

    def ask() -> tuple[int, bytes]:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": kind} | ({} if host is None else {"Host": host})
        request = urllib.request.Request(f"http://{server.address}/held", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return await asyncio.to_thread(ask)


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Callable[..., tuple[HealthServer, Holding]]:
    """A server that is closed afterwards."""

    def served(**settings: Any) -> tuple[HealthServer, Holding]:
        holding = Holding()
        runtime = RuntimeSettings(http_port=0, **settings)
        server = HealthServer(runtime, CollectorRegistry(), lambda: str(HELD), lambda: True, HeldDesk(holding))
        request.addfinalizer(server.close)
        return server, holding

    return served


async def test_what_is_held_is_shown_and_decided_about(serve: Callable[..., tuple[HealthServer, Holding]]) -> None:
    """The decision reaches the event loop; one that comes too late changes nothing and says so."""
    server, holding = serve()
    status, body = await asked(server)
    assert status == 200
    assert json.loads(body)[0]["faults"] == [{"offset": 8, "reason": "schema", "detail": "amount is missing"}]
    decision = {"partition": "transactions-3", "first_offset": 7, "let_through_below": 10}
    assert (await asked(server, decision))[0] == 200
    assert holding.decisions == [("transactions-3", Decision(7, 10))]
    assert (await asked(server, decision | {"first_offset": 6}))[0] == 409


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"[]", b"[" * 4000, {}, {"partition": 3, "first_offset": 7, "let_through_below": 1}, b"{" * 5000]
    + [{"partition": "t-1", "first_offset": value, "let_through_below": None} for value in (True, 1.5, "7", None)],
)
async def test_a_decision_that_cannot_be_read_is_refused(
    serve: Callable[..., tuple[HealthServer, Holding]], body: Any
) -> None:
    """Nothing of it reaches the group."""
    server, holding = serve()
    assert (await asked(server, body))[0] == 400
    assert holding.decisions == []


async def test_a_page_in_a_browser_cannot_decide(serve: Callable[..., tuple[HealthServer, Holding]]) -> None:
    """It may send a form's types unasked, and JSON only where the server allows it, which this one never does."""
    server, holding = serve()
    decision = {"partition": "transactions-3", "first_offset": 7, "let_through_below": None}
    assert (await asked(server, decision, "text/plain"))[0] == 400
    assert holding.decisions == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example:9464", 403),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("[::1]:9464", 200),
        ("localhost:9464", 200),
        ("127.0.0.1", 200),
    ],
)
async def test_a_name_that_leads_here_is_not_enough_without_a_password(
    serve: Callable[..., tuple[HealthServer, Holding]], host: str, status: int
) -> None:
    """A page that a browser on this machine shows can have its own name point to 127.0.0.1, and ask as if from here."""
    server, holding = serve()
    assert (await asked(server, host=host))[0] == status
    decision = {"partition": "transactions-3", "first_offset": 7, "let_through_below": 10}
    assert (await asked(server, decision, host=host))[0] == status
    assert bool(holding.decisions) == (status == 200)


async def test_with_a_password_it_is_asked_for(serve: Callable[..., tuple[HealthServer, Holding]]) -> None:
    """The same as for /metrics."""
    server, holding = serve(http_username="u", http_password="secret-secret-secret")
    assert (await asked(server))[0] == 401
    assert (await asked(server, {"partition": "transactions-3", "first_offset": 7, "let_through_below": None}))[
        0
    ] == 401
    assert holding.decisions == []


async def test_without_a_password_others_machines_are_refused(
    serve: Callable[..., tuple[HealthServer, Holding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics may be open in a cluster; who decides about payments is on the machine, or knows the password."""
    server, _ = serve()
    monkeypatch.setattr("services.engine.health.ip_address", lambda _: _Far())
    assert (await asked(server))[0] == 403


class _Far:
    is_loopback = False


async def test_readyz_says_why_not(serve: Callable[..., tuple[HealthServer, Holding]]) -> None:
    """In its body, for those who look with a browser."""
    server, _ = serve()

    def ask() -> tuple[int, bytes]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{server.address}/readyz", timeout=10)
        return refused.value.code, refused.value.read()

    status, body = await asyncio.to_thread(ask)
    assert status == 503
    assert body == b"no: transactions-3 is held at offset 7: too many; of the 3 from there on 1 schema\n"
