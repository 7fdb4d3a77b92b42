"""While no broker answers: callers get the stand-in at their deadline, and what becomes of their event is not said."""

import asyncio
import json

import httpx

from schemas.answer import Position
from services.gateway.events import Event
from services.settings.gateway import GatewaySettings
from tests.services.gateway.asking import JSON
from tests.services.gateway.serving import Written, served
from tests.services.harness import payment


class Unanswered(Written):
    """Brokers that take an event and say nothing."""

    async def __call__(self, event: Event, request: str) -> Position:
        """Never."""
        self.append(event)
        return await asyncio.Future()


async def test_the_stand_in_does_not_wait_for_brokers_and_names_no_position() -> None:
    """Nor is the event written again when it is asked for again; a third has no room and is refused at once."""
    written = Unanswered()
    settings = GatewaySettings(port=0, deadline_ms=20, pending_events_max=1)
    async with served(settings, written) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answers = [
            await client.post("/v1/events", content=json.dumps(payment(i)), headers=JSON, timeout=60) for i in (1, 1, 2)
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    first, again = (answer.json() for answer in answers[:2])
    assert (first["stand_in"], first["position"], first["repeated"]) == (True, None, False)
    assert (again["stand_in"], again["position"], again["repeated"]) == (True, None, True)
    assert len(written) == 1
