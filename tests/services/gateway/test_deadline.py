"""Without a scorer: the stand-in at the deadline, and no growing queue."""

import pytest

from schemas.topics import TRANSACTIONS
from tests.services.gateway.asking import Door
from tests.services.harness import Stream, payment

pytestmark = pytest.mark.broker


async def test_the_stand_in_comes_at_the_deadline_and_the_decision_is_had_later(stream: Stream) -> None:
    """It is in the log: a scorer that starts later decides it, and a repetition gets that."""
    door = Door(
        stream, ASSAY_GATEWAY_DEADLINE_MS="50", ASSAY_GATEWAY_STALLED_S="3600", ASSAY_GATEWAY_PENDING_S_MAX="3600"
    )
    await door.ready()
    answer = (await door.post(payment(1))).json()
    assert (answer["stand_in"], answer["decision"], answer["score"]) == (True, "alert", None)
    assert (await door.get("/v1/decisions/tx-000000001")).status_code == 404
    scorer = stream.scorer()
    await stream.caught_up([scorer])
    decided = (await door.post(payment(1), **{"Assay-Deadline-Ms": "10000"})).json()
    assert (decided["stand_in"], decided["repeated"]) == (False, True)
    assert decided["position"]["offset"] == 0
    assert len(await stream.read(TRANSACTIONS.name)) == 1
    assert (await door.get("/v1/decisions/tx-000000001")).json() == decided


async def test_beyond_the_bound_nothing_is_written(stream: Stream) -> None:
    """429 with a time to come back; what waits already is not refused."""
    door = Door(
        stream,
        ASSAY_GATEWAY_DEADLINE_MS="50",
        ASSAY_GATEWAY_PENDING_EVENTS_MAX="2",
        ASSAY_GATEWAY_STALLED_S="3600",
        ASSAY_GATEWAY_PENDING_S_MAX="3600",
    )
    await door.ready()
    statuses = [(await door.post(payment(i))).status_code for i in (1, 2, 3, 1)]
    assert statuses == [200, 200, 429, 200]
    refused = await door.post(payment(3))
    assert int(refused.headers["retry-after"]) >= 1
    assert len(await stream.read(TRANSACTIONS.name)) == 2


async def test_while_no_scores_come_the_answer_is_503_and_the_gateway_is_not_ready(stream: Stream) -> None:
    """And nothing more is written, until what waits is given up and one event may try again."""
    door = Door(
        stream, ASSAY_GATEWAY_DEADLINE_MS="10", ASSAY_GATEWAY_STALLED_S="0.001", ASSAY_GATEWAY_PENDING_S_MAX="3600"
    )
    await door.ready()
    assert (await door.post(payment(1))).json()["stand_in"] is True
    refused = await door.post(payment(2))
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:assay:problem:unavailable")
    assert (await door.get("/readyz")).status_code == 503
    assert len(await stream.read(TRANSACTIONS.name)) == 1
