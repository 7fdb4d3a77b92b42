"""The client for Python and `assay gateway ask`, at a real gateway."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.gateway.client import AsyncGatewayClient, GatewayClient, GatewayProblemError
from tests.services.gateway.asking import Door
from tests.services.harness import payment

pytestmark = [pytest.mark.broker, pytest.mark.asyncio(loop_scope="module")]


async def test_both_clients_and_the_command_get_the_same_decision(door: Door) -> None:
    """One event, sent three times, is decided once."""
    async with AsyncGatewayClient(door.url) as gateway:
        first = await gateway.decide(payment(100), deadline_ms=10_000)
        later = await gateway.decision(first.id, first.score.card_id if first.score else None)
    with GatewayClient(door.url) as gateway:
        again = gateway.decide(payment(100), deadline_ms=10_000)
    assert not first.stand_in
    assert again == later == first.model_copy(update={"repeated": True})
    arguments = ["gateway", "ask", "-", "--url", door.url, "--deadline-ms", "10000"]
    asked = await asyncio.to_thread(CliRunner().invoke, app, arguments, json.dumps(payment(100)))
    assert asked.exit_code == 0, (asked.output, asked.exception)
    assert json.loads(asked.stdout) == json.loads(again.model_dump_json())


async def test_a_decision_is_found_by_an_id_that_a_path_would_not_take(door: Door) -> None:
    """Ids may hold any printable character."""
    event = {**payment(102), "transaction_id": "ü/b?c=d#e%2Ff g"}
    with GatewayClient(door.url) as gateway:
        decided = gateway.decide(event, deadline_ms=10_000)
        assert gateway.decision(str(event["transaction_id"])).score == decided.score is not None


async def test_a_problem_is_an_error_that_says_what_is_wrong(door: Door) -> None:
    """With its details."""
    with GatewayClient(door.url) as gateway, pytest.raises(GatewayProblemError, match="amount") as refused:
        gateway.decide({**payment(101), "amount": "much"})
    assert refused.value.problem.status == 422
