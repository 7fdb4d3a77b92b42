"""A gateway and a scorer on the real broker: what is answered is what is committed."""

import asyncio
import json
from typing import Any

import grpc
import jsonschema
import pytest

from schemas import codec
from schemas.answer import Answer
from schemas.score import Score
from schemas.topics import ANSWERS, REQUEST_HEADER, SCORES, TRANSACTIONS
from services.kafka.client import plain_producer
from services.settings.processing import RuntimeSettings
from tests.services.gateway.asking import Door
from tests.services.gateway.calling import Caller
from tests.services.harness import ROOT, payment

pytestmark = [pytest.mark.broker, pytest.mark.asyncio(loop_scope="module")]

ALERTING = 900.0


async def scores_of(door: Door, event_id: str) -> list[bytes]:
    """What is committed on `scores` for an event."""
    found = [record.value for record in await door.stream.read(SCORES.name)]
    return [value for value in found if codec.read(Score, value).transaction_id == event_id]


async def test_the_answer_is_the_committed_score_bit_for_bit(door: Door) -> None:
    """Every number of it, and where the event lies in the log."""
    response = await door.post(payment(1, amount=ALERTING))
    assert response.status_code == 200, response.text
    answer = response.json()
    (written,) = await scores_of(door, "tx-000000001")
    (record,) = [record for record in await door.stream.read(ANSWERS.name) if record.key == b"tx-000000001"]
    assert written in record.value  # the same bytes
    committed = codec.read(Score, written)
    assert codec.read(Score, json.dumps(answer["score"]).encode()) == committed
    assert (answer["id"], answer["stand_in"], answer["repeated"]) == ("tx-000000001", False, False)
    assert answer["decision"] == ("alert" if committed.alert else "approve")
    position = answer["position"]
    (record,) = [
        r for r in await door.stream.read(TRANSACTIONS.name) if json.loads(r.value) == payment(1, amount=ALERTING)
    ]
    assert (position["partition"], position["offset"]) == (record.partition, record.offset)


async def test_a_repeated_event_gets_the_same_decision_and_is_not_written_again(door: Door) -> None:
    """From memory."""
    first = (await door.post(payment(2))).json()
    again = (await door.post(payment(2))).json()
    assert again == {**first, "repeated": True}
    assert len(await scores_of(door, "tx-000000002")) == 1
    assert (await door.get("/v1/decisions/tx-000000002")).json() == again


async def test_an_event_that_is_sent_twice_at_once_is_written_once(door: Door) -> None:
    """The second waits with the first."""
    answers = [response.json() for response in await asyncio.gather(*(door.post(payment(3)) for _ in range(5)))]
    assert len({json.dumps({**answer, "repeated": None}) for answer in answers}) == 1
    assert sorted(answer["repeated"] for answer in answers) == [False, True, True, True, True]
    written = [
        r for r in await door.stream.read(TRANSACTIONS.name) if json.loads(r.value)["transaction_id"] == "tx-000000003"
    ]
    assert len(written) == 1


async def test_another_gateway_answers_a_repeated_event_from_the_log(door: Door) -> None:
    """Its memory is read back from `answers` at its start: so the answer outlives the gateway that gave it."""
    first = (await door.post(payment(4))).json()
    other = Door(door.stream)
    await other.ready()
    assert (await other.post(payment(4))).json() == {**first, "repeated": True}
    later = (await other.post(payment(5), **{"Assay-Deadline-Ms": "10000"})).json()  # each reads the other's answers
    assert (await door.post(payment(5))).json() == {**later, "repeated": True}
    assert other.process.terminate() == 0


async def test_an_event_repeated_past_the_gateway_gets_the_first_decision(door: Door) -> None:
    """The scorer makes it a dead letter, and its answer lies behind the decision that it repeats."""
    deaf = Door(door.stream, ASSAY_GATEWAY_MEMORY_EVENTS_MAX="0", ASSAY_GATEWAY_DEADLINE_MS="10000")
    await deaf.ready()
    assert (await deaf.post(payment(6))).json()["stand_in"] is False
    repeated = await deaf.post(payment(6))
    assert (repeated.status_code, repeated.json()["reason"]) == (409, "duplicate")
    assert (await door.post(payment(6))).json()["id"] == "tx-000000006"
    deaf.process.kill()


async def test_another_event_of_the_same_id_is_refused(door: Door) -> None:
    """It must not get the decision on the first."""
    one = payment(7)
    assert (await door.post(one)).status_code == 200
    other = await door.post({**one, "event_time_ms": one["event_time_ms"] + 1})
    assert other.status_code == 409
    assert "another event has this id" in other.json()["detail"]


async def test_a_list_is_answered_in_its_order_and_a_bad_event_is_no_problem_of_its_neighbours(door: Door) -> None:
    """Its problem is in its place."""
    response = await door.post([payment(10), {**payment(11), "amount": "much"}, payment(12)])
    assert response.status_code == 200
    good, bad, last = response.json()
    assert (good["id"], last["id"]) == ("tx-000000010", "tx-000000012")
    assert (bad["status"], bad["reason"], bad["errors"][0]["field"]) == (422, "schema", "amount")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b"null", 422, None),
        ({key: value for key, value in payment(20).items() if key != "card_id"}, 422, "card_id"),
        (payment(20, card="4111111111111111"), 422, "card_id"),
        ({**payment(20), "transaction_id": "4111111111111111"}, 422, "transaction_id"),
        ({**payment(20), "event_time_ms": 4_000_000_000_000}, 422, "event_time_ms"),
        ({**payment(20), "note": [[[[]]] * 9] * 200_000}, 413, None),
        (b'{"a":' * 150 + b"1" + b"}" * 150, 422, None),
    ],
)
async def test_what_the_scorer_would_refuse_is_a_problem_and_is_not_written(
    door: Door, body: Any, status: int, field: str | None
) -> None:
    """Problem details with the field; never a card number in the log."""
    before = len(await door.stream.read(TRANSACTIONS.name))
    response = await door.post(body)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    problem = response.json()
    assert problem["status"] == status
    assert [error["field"] for error in problem["errors"]] == ([field] if field else [])
    assert "4111111111111111" not in response.text
    assert len(await door.stream.read(TRANSACTIONS.name)) == before


async def test_a_body_of_another_type_is_refused(door: Door) -> None:
    """A page in a browser may send plain text anywhere, unasked."""
    assert (await door.post(payment(21), **{"Content-Type": "text/plain"})).status_code == 415


async def test_what_is_on_answers_is_as_the_exported_schema_says(door: Door) -> None:
    """Keyed by the event's id, on its own partition; and a header of anyone else's asks for nothing that harms."""
    await door.post(payment(30))
    producer = plain_producer(door.stream.kafka, RuntimeSettings())
    await producer.start()
    topic = door.stream.prefix + TRANSACTIONS.name
    for number, request in enumerate((b"", b"x" * 65, b"\xff\x00", b"a b", b"someone:1")):
        payload = json.dumps(payment(31 + number)).encode()
        await producer.send_and_wait(topic, payload, partition=0, headers=[(REQUEST_HEADER, request)])
    await producer.send_and_wait(topic, b"{}", partition=0, headers=[(REQUEST_HEADER, b"someone:2")])
    await producer.stop()
    await door.stream.caught_up([door.scorer])
    records = await door.stream.read(ANSWERS.name)
    schema = json.loads((ROOT / "schemas/json/answers.json").read_text())
    by_request = {}
    for record in records:
        jsonschema.validate(json.loads(record.value), schema)
        answer = codec.read(Answer, record.value)
        assert dict(record.headers)[REQUEST_HEADER].decode() == answer.request
        assert answer.source_partition == record.partition
        assert record.key == (answer.score.transaction_id.encode() if answer.score else None)
        by_request[answer.request] = answer
    assert by_request["someone:1"].score is not None
    assert by_request["someone:2"].refused == "schema"
    assert not {"", "x" * 65, "a b"} & by_request.keys()


async def test_the_answer_to_a_repetition_lies_behind_the_decision_also_within_one_batch(door: Door) -> None:
    """Else a gateway that reads on would not know the decision yet."""
    producer = plain_producer(door.stream.kafka, RuntimeSettings())
    await producer.start()
    batch, payload = producer.create_batch(), json.dumps(payment(40)).encode()
    for request in (b"one:1", b"two:1"):
        batch.append(key=None, value=payload, timestamp=None, headers=[(REQUEST_HEADER, request)])
    await (await producer.send_batch(batch, door.stream.prefix + TRANSACTIONS.name, partition=0))
    await producer.stop()
    await door.stream.caught_up([door.scorer])
    answers = [codec.read(Answer, record.value) for record in await door.stream.read(ANSWERS.name)]
    mine = {answer.request: answer.refused for answer in answers if answer.request in ("one:1", "two:1")}
    assert list(mine.items()) == [("one:1", None), ("two:1", "duplicate")]


async def test_the_document_is_openapi_3_1_and_names_the_fields_of_the_source(door: Door) -> None:
    """From the bundle's source spec."""
    document = (await door.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    event = document["components"]["schemas"]["Event"]
    assert set(event["required"]) >= {"transaction_id", "event_time_ms", "card_id", "amount"}


async def test_probes_and_metrics_are_there(door: Door) -> None:
    """As every service has them."""
    assert [(await door.get(path)).status_code for path in ("/livez", "/readyz", "/v2")] == [200, 200, 404]
    assert door.process.metric("assay_gateway_events_total", outcome="decided") > 0


async def test_an_event_gets_one_decision_over_grpc_and_over_http(door: Door) -> None:
    """Asked over gRPC, repeated over HTTP, and looked up: one score, to the bit, and one place in the log."""
    event = payment(60, transaction_id="tx-over-grpc", card="card-over-grpc")

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


async def test_verification_finds_nothing_wrong_with_all_these_answers(door: Door) -> None:
    """Decisions, repetitions and refusals."""
    verdict = await door.stream.verdict()
    assert verdict.clean, verdict.examples
    assert verdict.answers > 0


async def test_a_strangers_record_on_answers_is_counted_and_the_next_are_read(door: Door) -> None:
    """Keys, headers and values that are none of ours, and nothing at all: the process goes on, also for later askers."""
    producer = plain_producer(door.stream.kafka, RuntimeSettings())
    await producer.start()
    topic = door.stream.prefix + ANSWERS.name
    await door.post(payment(60))
    refused = door.process.metric("assay_table_records_refused_total")
    for key, value, headers in (
        (b"\xff\xfe", b"{}", []),
        (None, b"no JSON", []),
        (None, b"no JSON", [(REQUEST_HEADER, b"\xff")]),
    ):
        sent = await producer.send_and_wait(topic, value, key=key, partition=0, headers=headers)
        last = sent.offset
    await producer.stop()
    await asyncio.to_thread(door.process.wait_for_log, f'"offset": {last}')
    answered = await door.post(payment(61))
    assert answered.status_code == 200
    assert door.process.returncode is None
    assert door.process.metric("assay_table_records_refused_total") == refused + 2
