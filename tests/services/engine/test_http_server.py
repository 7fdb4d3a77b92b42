"""No client holds up the small HTTP server, and none makes it spin."""

import http.client
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
import structlog

from services.engine.health import HealthServer
from services.engine.http_server import BoundedHTTPServer
from services.settings.processing import RuntimeSettings
from services.web.clients import Clients
from tests.services.secured import Authority


class Answer(BaseHTTPRequestHandler):
    """Says ok."""

    def do_GET(self) -> None:
        """Two letters."""
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def serving(
    connections_max: int = 8, request_s_max: float = 60.0, client_max: int | None = None
) -> Iterator[BoundedHTTPServer]:
    """A server with these limits, in a thread."""
    import threading

    server = BoundedHTTPServer(
        ("127.0.0.1", 0), Answer, Clients(connections_max, client_max or connections_max), request_s_max
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def connect(server: BoundedHTTPServer, said: bytes = b"GET /livez HT", address: str = "127.0.0.1") -> socket.socket:
    """A client that begins a request and does not end it."""
    client = socket.create_connection(server.server_address[:2], 20, (address, 0))
    client.sendall(said)
    return client


def probe(server: BoundedHTTPServer) -> int:
    """What a health check is answered."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    connection.request("GET", "/livez")
    return connection.getresponse().status


def test_a_probe_is_answered_however_many_connections_are_held_open() -> None:
    """Each connection beyond the cap costs the oldest its place."""
    with serving(connections_max=8) as server, ExitStack() as held, structlog.testing.capture_logs() as logs:
        clients = [held.enter_context(connect(server)) for _ in range(40)]
        assert probe(server) == 200
        assert server.connections <= 8
        assert clients[0].recv(1) == b""
    assert {"event": "http.connections_full", "connections_max": 8, "cause": "full", "log_level": "warning"} in logs


def test_who_holds_too_many_connections_loses_its_own_and_no_one_elses() -> None:
    """Another client's request that is slow is not touched by hundreds of one address."""
    with (
        serving(connections_max=8, client_max=3) as server,
        ExitStack() as held,
        structlog.testing.capture_logs() as logs,
    ):
        others = [held.enter_context(connect(server, address=f"127.0.0.{number}")) for number in (2, 3)]
        for _ in range(100):
            held.enter_context(connect(server))
        assert probe(server) == 200
        assert server.connections <= 8
        assert server.clients.held_by("127.0.0.1") <= 3
        for other in others:
            other.sendall(b"TP/1.0\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.0 200")
    assert {line["cause"] for line in logs} == {"client"}


def test_a_client_that_goes_on_byte_by_byte_is_ended_at_the_deadline() -> None:
    """A limit on each read alone would let it stay for ever."""
    with serving(request_s_max=0.6) as server, connect(server) as client:
        client.settimeout(0.05)
        for _ in range(200):  # ten seconds of bytes, were it not ended
            try:
                client.sendall(b"x")
                if client.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the server still listens to it")


def test_without_descriptors_the_server_waits_in_place_of_spinning() -> None:
    """CPU time of a process whose descriptors are used up, while clients queue; afterwards it answers again."""
    code = """
import os, resource, socket, sys, threading, time
from tests.services.engine.test_http_server import probe, serving
with serving(connections_max=1000) as server:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [socket.socket() for _ in range(20)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (clients[-1].fileno() + 4, hard))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for client in clients:
        client.connect(server.server_address)
        client.sendall(b"G")
    before_s = time.process_time()
    time.sleep(2)
    print(time.process_time() - before_s)
    for descriptor in taken:
        os.close(descriptor)
    for client in clients:
        client.close()
    print(probe(server))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    spent_s, status = done.stdout.split()[-2:]
    assert float(spent_s) < 0.5, done  # spinning spends all of the two seconds
    assert status == "200"
    assert done.stdout.count("http.no_descriptors") + done.stderr.count("http.no_descriptors") == 1


def test_a_client_without_tls_or_manners_costs_one_line_and_no_traceback(
    tmp_path: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    """Plain HTTP, rubbish, and a reset, on a TLS port."""
    from prometheus_client import CollectorRegistry

    certificate, key = Authority(tmp_path).issue("scorer")  # type: ignore[arg-type]
    runtime = RuntimeSettings(http_port=0, http_tls_certificate_file=certificate, http_tls_key_file=key)
    with structlog.testing.capture_logs() as logs:
        server = HealthServer(runtime, CollectorRegistry(), lambda: True, lambda: True)
        host, _, port = server.address.partition(":")
        for said in (b"GET /livez HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 100):
            with socket.create_connection((host, int(port)), 5) as client:
                client.sendall(said)
                client.recv(100)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
    assert [line["event"] for line in logs].count("http.request_failed") >= 2
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])  # noqa: S104
def test_listening_beyond_loopback_without_password_or_tls_is_warned_of(host: str, warned: bool) -> None:
    """Anyone who reaches the port reads the metrics."""
    from prometheus_client import CollectorRegistry

    with structlog.testing.capture_logs() as logs:
        HealthServer(RuntimeSettings(http_port=0, http_host=host), CollectorRegistry(), bool, bool).close()
    assert ("http.open" in [line["event"] for line in logs]) is warned
