"""Over gRPC with a real scorer: the same committed decision as over HTTP."""

import asyncio
import json
from typing import Any

import grpc
import pytest

from tests.services.gateway.asking import Door
from tests.services.gateway.calling import Caller
from tests.services.harness import payment

pytestmark = [pytest.mark.broker, pytest.mark.asyncio(loop_scope="module")]


async def test_an_event_gets_one_decision_over_grpc_and_over_http(door: Door) -> None:
    """Asked over gRPC, repeated over HTTP, and looked up: one score, to the bit, and one place in the log."""
    event = payment(1, transaction_id="tx-over-grpc", card="card-over-grpc")

    def ask() -> list[dict[str, Any]]:
        with grpc.insecure_channel(door.grpc) as channel:
            caller, request = Caller(channel), {"event": json.dumps(event)}
            first = caller.ask("Decide", {**request, "deadline_ms": 10_000}, timeout=60)
            return [
                first,
                caller.ask("Decide", request, timeout=60),
                caller.ask("GetDecision", {"id": event["transaction_id"]}),
            ]

    first, again, found = await asyncio.to_thread(ask)
    over_http = (await door.post(event)).json()
    assert not first["stand_in"]
    assert not first["repeated"]
    assert again == found == {**first, "repeated": True}
    assert over_http["repeated"]
    assert over_http["decision"] == first["decision"]
    assert over_http["score"]["probability"] == first["score"]["probability"]
    assert over_http["score"]["reconstruction_error"] == first["score"]["reconstruction_error"]
    assert over_http["position"]["offset"] == int(first["position"]["offset"])
    assert door.process.metric("assay_gateway_stage_seconds_count", stage="commit") > 0
    verdict = await door.stream.verdict()
    assert verdict.clean, verdict.examples
    assert verdict.answers > 0
