"""A loop that had no time: a deadline counts from when the request came."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from services.clock import monotonic_s
from services.gateway.api import guarded
from services.gateway.server import serve
from services.observability.gateway_metrics import GatewayMetrics
from services.settings.gateway import GatewaySettings
from services.web.lag import TICK_S, TOLERATED_S, LoopLag
from services.web.server import Server, listen
from tests.services.gateway.serving import Written, gateway_of
from tests.services.gateway.stamped import Stamped, posted
from tests.services.harness import payment

STALL_S = 0.3
CLIENTS = 200


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


def test_what_is_read_behind_a_late_tick_may_have_waited_as_long() -> None:
    """Until the next one, which is on time."""
    clock = Clock()
    lag = LoopLag(GatewayMetrics(CollectorRegistry()).loop_lag.observe, clock)
    assert lag.behind_s() == 0.0
    clock.now_s = 100.5
    lag.tick(due_s=100.0)
    assert lag.behind_s() == pytest.approx(0.5 - TICK_S)
    clock.now_s = 100.51
    lag.tick(due_s=100.51)
    assert lag.behind_s() == 0.0


def test_a_late_loop_begins_earlier_and_forgets_it() -> None:
    """Where timers are late, so are those of deadlines; a small lateness is no reason."""
    clock = Clock()
    lag = LoopLag(GatewayMetrics(CollectorRegistry()).loop_lag.observe, clock)
    clock.now_s = 100.0 + TOLERATED_S
    lag.tick(due_s=100.0)
    assert lag.margin_s() == 0.0
    clock.now_s = 100.5
    lag.tick(due_s=100.4)
    assert lag.margin_s() == pytest.approx(0.1 - TOLERATED_S)
    for _ in range(200):
        lag.tick(due_s=clock.now_s)
    assert lag.margin_s() == 0.0


async def test_a_request_that_came_with_its_connection_waited_for_being_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Accepting takes turns of the loop: here none of them is late, and together they are."""
    connect = Server._connect

    async def slowly(*arguments: Any) -> None:
        await asyncio.sleep(STALL_S)
        await connect(*arguments)

    monkeypatch.setattr(Server, "_connect", slowly)
    settings, written = GatewaySettings(port=0, deadline_ms=200), Written()
    listening, stop = listen(settings, "ASSAY_GATEWAY_", backlog=16), asyncio.Event()
    gateway, lag = gateway_of(settings, written)
    serving = asyncio.create_task(serve(guarded(gateway), listening, settings, gateway.metrics, lag, stop))
    try:
        client = await Stamped.open(*listening.getsockname())
        answer = await client.ask(posted("/v1/events", json.dumps(payment(1)).encode(), 200))
        assert b'"stand_in":true' in answer.body
        assert gateway.metrics.late._value.get() == 1
    finally:
        stop.set()
        await serving
        listening.close()


@pytest.mark.parametrize("stalls", [False, True])
async def test_a_request_that_waited_in_its_socket_is_answered_by_when_it_came(stalls: bool) -> None:
    """It is read after its deadline, answered at once with the stand-in, and counted as late."""
    settings, written = GatewaySettings(port=0, deadline_ms=200), Written()
    listening, stop = listen(settings, "ASSAY_GATEWAY_", backlog=16), asyncio.Event()
    gateway, lag = gateway_of(settings, written)
    serving = asyncio.create_task(serve(guarded(gateway), listening, settings, gateway.metrics, lag, stop))
    try:
        client = await Stamped.open(*listening.getsockname())
        warm = await client.ask(posted("/v1/events", json.dumps(payment(1)).encode(), 1))
        asked = asyncio.create_task(client.ask(posted("/v1/events", json.dumps(payment(2)).encode(), 200)))
        await asyncio.sleep(0)  # it is sent
        begun_s = monotonic_s()
        if stalls:
            time.sleep(STALL_S)  # noqa: ASYNC251 # nothing else runs
        answer = await asked
        assert (warm.status, answer.status, len(written)) == (200, 200, 2)
        assert b'"stand_in":true' in answer.body
        if stalls:
            assert gateway.metrics.late._value.get() == 1
        else:
            assert monotonic_s() - begun_s >= 0.1
    finally:
        stop.set()
        await serving
        listening.close()


def test_connections_that_come_at_once_are_accepted_in_a_few_turns_of_the_loop() -> None:
    """One in each turn would keep the last of them waiting, unread, for as many turns: on a busy loop that is seconds."""
    # as it is served; asyncio's own loop accepts without a turn
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(many_at_once())


async def many_at_once() -> None:
    """Fails where they take long."""
    settings = GatewaySettings(port=0)
    listening, stop = listen(settings, "ASSAY_GATEWAY_", backlog=1024), asyncio.Event()
    gateway, lag = gateway_of(settings, Written())
    begun = 0

    async def app(scope: object, receive: object, send: object) -> None:
        nonlocal begun
        begun += 1
        await stop.wait()

    serving = asyncio.create_task(serve(app, listening, settings, gateway.metrics, lag, stop))
    clients = []
    try:
        await asyncio.sleep(0.05)  # it listens
        for _ in range(CLIENTS):
            client = socket.create_connection(listening.getsockname())
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clients.append(client)
        turns = 0
        while begun < CLIENTS:
            await asyncio.sleep(0)
            turns += 1
            assert turns < CLIENTS / 2
    finally:
        stop.set()
        for client in clients:
            client.close()
        await serving
        listening.close()
