"""The case service on the real broker: a burst, a kill in the middle, aborted alerts, an analyst, a webhook."""

import asyncio
from collections.abc import Callable
from typing import Any

from schemas import codec
from schemas.alert import Alert, Reason
from schemas.case import Case
from schemas.topics import ALERTS, CASES
from tests.services.harness import BASE_TIME_MS, WAIT_S_MAX, Scorer, Stream

HOUR_MS = 3_600_000


def alert(number: int, card: str, **changes: Any) -> Alert:
    """The number-th alert of a card, a minute after the one before."""
    reason = Reason(feature="amount", value=900.0, contribution=0.5, score="probability", text="a large amount")
    return Alert(
        transaction_id=f"tx-{card}-{number}",
        event_time_ms=BASE_TIME_MS + number * 60_000,
        card_id=card,
        probability=0.75,
        reconstruction_error=1.0,
        anomaly_percentile=99.0,
        alert=True,
        model="fraud/1@cpu",
        terminal_id=f"terminal-{number % 3}",
        amount=100.0,
        currency="EUR",
        triggers=("probability",),
        reasons=(reason,),
    ).model_copy(update=changes)


async def send_alerts(stream: Stream, alerts: list[Alert]) -> None:
    """Keyed by card, as the scorer does."""
    await stream.send([codec.write(a) for a in alerts], [a.card_id.encode() for a in alerts], ALERTS.name)


async def cases(stream: Stream) -> dict[str, Case]:
    """The newest record of each case."""
    newest: dict[str, Case] = {}
    for record in await stream.read(CASES.name):
        if record.value:
            newest[record.key.decode()] = codec.read(Case, record.value)
        else:
            newest.pop(record.key.decode(), None)
    return newest


async def until(stream: Stream, done: Callable[[dict[str, Case]], bool], service: Scorer) -> dict[str, Case]:
    """Wait until the cases are as they should be."""
    deadline = asyncio.get_running_loop().time() + WAIT_S_MAX
    while not done(found := await cases(stream)):
        assert service.returncode is None, service.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, (len(found), service.log()[-3000:])
        await asyncio.sleep(0.2)
    return found


async def test_a_burst_of_ten_thousand_alerts_on_fifty_cards_is_fifty_cases_once_each_across_a_kill(
    stream: Stream,
) -> None:
    """The service is killed in the middle; the next process takes over its tables, and no alert counts twice."""
    burst = [alert(n, f"card-{c:02d}") for n in range(200) for c in range(50)]
    first = stream.service("services.cases")
    await send_alerts(stream, burst[:6000])
    await until(stream, lambda found: sum(case.alerts for case in found.values()) > 1000, first)
    first.kill()
    before = sum(case.alerts for case in (await cases(stream)).values())
    assert before < 10_000
    second = stream.service("services.cases")
    await send_alerts(stream, burst[6000:])
    found = await until(stream, lambda found: sum(case.alerts for case in found.values()) >= 10_000, second)
    assert second.terminate() == 0
    found = await cases(stream)
    assert len(found) == 50
    assert {case.card_id for case in found.values()} == {f"card-{c:02d}" for c in range(50)}
    assert all(case.alerts == 200 and abs(case.priority - 200 * 75.0) < 1e-6 for case in found.values())
    assert all(
        [a.transaction_id for a in c.listed] == [f"tx-{c.card_id}-{n}" for n in range(50)] for c in found.values()
    )
    opened = [r for r in await stream.read(CASES.name) if r.value and codec.read(Case, r.value).change == "opened"]
    assert {record.key.decode() for record in opened} == set(found)
