"""Clients that hold the console's connections without using them: each has its share, and its time."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from services.console.users import write_users
from services.console.web import LOGINS_WAITING_MAX, RefusedError, _is_within
from tests.services.console.stand import Stand, running
from tests.services.harness import WAIT_S_MAX


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """With little room, and little patience."""
    users = tmp_path / "users.json"
    write_users(users, [])
    (tmp_path / "db").mkdir()
    with running(tmp_path / "db", users, [], connections_max=6, client_connections_max=3, request_s_max=1.0) as found:
        yield found


def connect(stand: Stand, sent: bytes = b"", address: str = "127.0.0.2") -> socket.socket:
    """A connection from another address of this machine than a test's own requests."""
    where = urlsplit(stand.url)
    client = socket.create_connection((where.hostname, where.port), WAIT_S_MAX, (address, 0))
    client.sendall(sent)
    return client


def heard(client: socket.socket) -> bytes:
    """All until it is closed."""
    content = b""
    while data := client.recv(1 << 16):
        content += data
    return content


def test_one_client_cannot_take_all_connections(stand: Stand) -> None:
    """It is answered 503 beyond its share, and others see the page."""
    with ExitStack() as held:
        clients = [held.enter_context(connect(stand)) for _ in range(8)]
        assert [heard(client)[:12] for client in clients[3:]] == [b"HTTP/1.1 503"] * 5
        assert httpx.get(f"{stand.url}/login").status_code == 200


HEAD = b"GET /login HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"), [(b"", b""), (HEAD, b"HTTP/1.1 408"), (HEAD + b"X: " + b"a" * 70_000, b"HTTP/1.1 431")]
)
def test_a_request_that_does_not_end_is_closed(stand: Stand, sent: bytes, answer: bytes) -> None:
    """A client that sends nothing, half a head, or one without end."""
    started_s = time.monotonic()
    with connect(stand) as client:
        try:
            client.sendall(sent)
            assert heard(client).startswith(answer)
        except ConnectionError:
            assert answer.endswith(b"431")
    assert time.monotonic() - started_s < WAIT_S_MAX


def test_a_length_of_thousands_of_digits_is_no_fault_of_ours(stand: Stand) -> None:
    """Python reads no such number."""
    sent = b"POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " + b"9" * 15 + b"\r\n\r\n"
    with connect(stand, sent) as client:
        assert heard(client).startswith(b"HTTP/1.1 413")
    assert not _is_within(b"9" * 5000, 1 << 20)
    assert not _is_within("\u00b2".encode(), 1 << 20)
    assert _is_within(b"1048576", 1 << 20)


async def test_of_many_passwords_at_once_no_more_are_tried_than_one_by_one(stand: Stand) -> None:
    """Of one name five, whatever their order; of one client a few at a time, so that others can log in."""
    gate = stand.gate
    tried: list[str] = []
    gate.users.verified = lambda name, _: tried.append(name)  # type: ignore[method-assign, assignment, func-returns-value]
    guesses = [gate.login("ann", f"guess {number}", f"10.0.0.{number}") for number in range(30)]
    found = await asyncio.gather(*guesses, return_exceptions=True)
    assert len(tried) == 5
    assert sum(isinstance(one, RefusedError) for one in found) == 25
    tried.clear()
    sprayed = [gate.login(f"name-{number}", "guess", "10.0.0.1") for number in range(30)]
    others = [gate.login("bob", "guess", "10.0.0.2")]
    found = await asyncio.gather(*sprayed, *others, return_exceptions=True)
    assert (len(tried), tried[-1]) == (LOGINS_WAITING_MAX + 1, "bob")
    assert found[-1] is None
