"""The API over gRPC, asked by what its reflection says, as grpcurl does."""

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.errors import AssayError
from services.gateway.calls import CODES, NAME, Calls
from services.gateway.keys import make_key, write_keys
from services.gateway.problems import Kind
from services.settings.gateway import GatewaySettings
from tests.services.gateway.calling import LATE_S_MAX, Caller
from tests.services.gateway.serving import Written, called, gateway_of
from tests.services.harness import payment
from tests.services.secured import Authority


@pytest.mark.parametrize(
    ("asked_ms", "left_s", "allowed_s"),
    [
        (None, None, 0.1),
        (30, None, 0.03),
        (None, 1.0, 0.95),
        (None, 0.1, 0.09),
        (30, 1.0, 0.03),
        (None, 3600.0, 10.0),
        (5, 0.0, 0),
    ],
)
def test_the_stand_in_comes_before_the_calls_own_deadline(
    asked_ms: int | None, left_s: float | None, allowed_s: float
) -> None:
    """The earlier of the call's, less what the answer needs to get back, and the request's; within the settings."""
    request = {"event": "{}"} if asked_ms is None else {"event": "{}", "deadline_ms": asked_ms}
    now_s = 100.0
    gateway, _ = gateway_of(GatewaySettings(), Written())
    calls = Calls(gateway, lambda: now_s)
    found = calls.deadline_s(request, SimpleNamespace(time_remaining=lambda: left_s))
    assert found - now_s == pytest.approx(allowed_s)


async def test_an_event_is_written_as_it_came_and_answered_at_the_deadline() -> None:
    """One, and several of which one is wrong."""
    written, event = Written(), json.dumps(payment(1))

    def ask(address: str) -> list[dict[str, Any]]:
        with grpc.insecure_channel(address) as channel:
            caller = Caller(channel)
            one = caller.ask("Decide", {"event": event, "deadline_ms": 20})
            many = caller.ask("DecideMany", {"events": [json.dumps(payment(3)), "{}"], "deadline_ms": 20})
            return [one, many]

    async with called(GatewaySettings(grpc_port=0), written) as address:
        one, many = await asyncio.to_thread(ask, address)
    assert (one["stand_in"], one["decision"]) == (True, "alert")
    assert one["position"] == {"topic": "transactions", "partition": str(written[0].place.partition), "offset": "0"}
    assert written[0].payload == event.encode()
    good, bad = many["decided"]
    assert good["answer"]["id"] == payment(3)["transaction_id"]
    assert bad["problem"]["status"] == "422"
    assert bad["problem"]["errors"][0]["field"]


async def test_problems_are_statuses_with_the_details_that_grpc_clients_read() -> None:
    """The field at fault, when to try again, and the kind of problem."""
    settings = GatewaySettings(grpc_port=0, pending_events_max=1, deadline_ms=5)

    def ask(address: str) -> list[tuple[grpc.StatusCode, list[Any]]]:
        with grpc.insecure_channel(address) as channel:
            caller = Caller(channel)
            caller.ask("Decide", {"event": json.dumps(payment(1)), "deadline_ms": 5})
            return [
                caller.refused("Decide", {"event": json.dumps(payment(2, amount=-1e9))}),
                caller.refused("Decide", {"event": "{"}),
                caller.refused("Decide", {"event": json.dumps(payment(3))}),
                caller.refused("GetDecision", {"id": "unknown"}),
                caller.refused("DecideMany", {"events": []}),
                caller.refused("Decide", {"event": "{}", "deadline_ms": -1}),
            ]

    async with called(settings, Written()) as address:
        found = await asyncio.to_thread(ask, address)
    codes = grpc.StatusCode
    assert [code for code, _ in found] == [
        codes.INVALID_ARGUMENT,
        codes.INVALID_ARGUMENT,
        codes.RESOURCE_EXHAUSTED,
        codes.NOT_FOUND,
        codes.INVALID_ARGUMENT,
        codes.INVALID_ARGUMENT,
    ]
    bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    assert found[0][1][1].Unpack(bad)
    assert bad.field_violations[0].field == "amount"
    assert found[2][1][1].Unpack(retry)
    assert retry.retry_delay.seconds == 1
    assert set(CODES) == set(Kind)


async def test_bytes_that_are_no_message_are_a_problem_of_the_caller() -> None:
    """Not a fault of the gateway's."""

    def ask(address: str) -> grpc.StatusCode:
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(f"/{NAME}/Decide")(b"\xff\xff\xff", timeout=LATE_S_MAX)
        return error.value.code()  # type: ignore[no-any-return]

    async with called(GatewaySettings(grpc_port=0), Written()) as address:
        assert await asyncio.to_thread(ask, address) is grpc.StatusCode.INVALID_ARGUMENT


async def test_keys_certificates_and_health_are_as_over_http(tmp_path: Path) -> None:
    """No key, a key without the scope, a good one, over TLS with a certificate of the authority; health needs no key."""
    authority = Authority(tmp_path)
    (certificate, key), (own, own_key) = authority.issue("gateway"), authority.issue("checkout")
    made, tokens = [], {}
    for client, scope in (("checkout", "decide"), ("desk", "read")):
        entry, tokens[client] = make_key(client, (scope,), None, 1)  # type: ignore[arg-type]
        made.append(entry)
    write_keys(tmp_path / "keys.json", made)
    settings = GatewaySettings(
        grpc_port=0,
        keys_file=tmp_path / "keys.json",
        tls_certificate_file=certificate,
        tls_key_file=key,
        tls_client_ca_file=authority.ca_file,
    )
    written, event = Written(), {"event": json.dumps(payment(1)), "deadline_ms": 5}

    def ask(address: str) -> tuple[list[Any], int]:
        root = authority.ca_file.read_bytes()
        credentials = grpc.ssl_channel_credentials(root, own_key.read_bytes(), own.read_bytes())
        with grpc.secure_channel(address, credentials) as channel:
            caller, bearer = Caller(channel), "authorization"
            found: list[Any] = [
                caller.refused("Decide", event, metadata=[(bearer, "Bearer assay_x_y")])[0],
                caller.refused("Decide", event, metadata=[(bearer, f"Bearer {tokens['desk']}")])[0],
                caller.ask("Decide", event, metadata=[(bearer, f"Bearer {tokens['checkout']}")])["stand_in"],
                caller.ask("Decide", {**event, "event": json.dumps(payment(2))})["stand_in"],
            ]
            stub = health_pb2_grpc.HealthStub(channel)
            deadline = time.monotonic() + LATE_S_MAX
            while (status := stub.Check(health_pb2.HealthCheckRequest(service=NAME)).status) != 1:
                assert time.monotonic() < deadline
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(root)) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary(f"/{NAME}/Decide")(b"", timeout=LATE_S_MAX)
        return found, status

    async with called(settings, written) as address:
        found, status = await asyncio.to_thread(ask, address)
    assert found == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, True, True]
    assert [event.client for event in written] == ["checkout", "cert.checkout"]
    assert status == health_pb2.HealthCheckResponse.SERVING


async def test_a_port_that_is_taken_stops_the_start_in_one_sentence() -> None:
    """And names the setting."""
    async with called(GatewaySettings(grpc_port=0), Written()) as address:
        settings = GatewaySettings(grpc_port=int(address.rpartition(":")[2]))
        with pytest.raises(AssayError, match="ASSAY_GATEWAY_GRPC_PORT"):
            async with called(settings, Written()):
                pass
