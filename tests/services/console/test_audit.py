"""The audit trail: what the console's routes write, and what a check finds in it. Without Kafka but for its end."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import codec
from schemas.audit import AuditEntry, link_of, seal_holds, sealed
from schemas.topics import AUDIT
from services.cases.rules import SecondPerson
from services.console.audit import AuditTrail, Doing, Last, doing_of, newest
from services.console.roles import ROLES, may
from services.console.routes import TABLE
from services.console.writer import UnwrittenError
from services.kafka.client import transactional_producer
from services.settings.processing import RuntimeSettings
from services.verification.audit import Head, TrailCheck
from tests.services.cases.test_stream import alert
from tests.services.console.conftest import HOSTILE, PASSWORD
from tests.services.console.stand import Stand, case_of, running
from tests.services.console.test_gate import ask, client
from tests.services.harness import WAIT_S_MAX, Stream

CARD = "card-pseudonym-0001"
WHOLE = f"<code>{CARD}</code>"
KEY = b"k" * 32


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory, users_file: Path) -> Iterator[Stand]:
    """One case."""
    with running(tmp_path_factory.mktemp("audit"), users_file, [case_of([alert(1, CARD)], 10)]) as stand:
        yield stand


def entries(stand: Stand, begin: int = 0) -> list[AuditEntry]:
    """What the trail holds, from a record on."""
    return [codec.read(AuditEntry, value) for _, value in stand.writer.noted[begin:]]


def test_every_route_that_changes_something_is_in_the_trail_before_it_is_done_and_with_what_came_of_it(
    stand: Stand,
) -> None:
    """Generated of the routes, for every role: what is refused is there once, what was let through twice."""
    for role in ROLES:
        one = client(stand, role)
        token = one.csrf
        for route in (route for route in TABLE if route.method == "POST"):
            before = len(stand.writer.noted)
            answer = ask(one, route, "0-10", csrf=token)
            found = entries(stand, before)
            assert {(entry.by, entry.role) for entry in found} == {(role, role)}, route.path
            if may(role, route.permission):
                assert found[0].outcome == "asked", route.path
                assert (found[1].status, found[1].answers) == (answer.status_code, found[0].number), route.path
                assert len(found) == 2
            else:
                assert [(entry.outcome, entry.status) for entry in found] == [("refused", 403)], route.path
    assert clean(stand.writer.noted)


def test_nothing_is_done_that_the_trail_does_not_take(stand: Stand) -> None:
    """Not an action, not an unmasking, not a login: 503, and the case is as it was."""
    one = client(stand, "lead")
    token, before = one.csrf, stand.desk.queries.case("0-10")
    stand.writer.broken = True
    try:
        for route in TABLE:
            if route.method == "POST":
                answer = ask(one, route, "0-10", csrf=token)
                assert answer.status_code == 503, route.path
                assert CARD not in answer.text
        assert client(stand).login("ana").status_code == 503
    finally:
        stand.writer.broken = False
    assert stand.desk.queries.case("0-10") == before
    one.submit("/cases/0-10/work", action="escalate")
    assert clean(stand.writer.noted), "a chain of its own begins behind what is known to be written"


def test_whole_ids_are_shown_to_a_role_with_a_reason_once_and_every_time_is_in_the_trail(stand: Stand) -> None:
    """A page that was not asked for with a reason never holds the card."""
    one = client(stand, "risk-officer")
    assert WHOLE not in one.get("/cases/0-10").text
    assert WHOLE not in one.get("/cases/0-10/unmask").text
    before = len(stand.writer.noted)
    without = one.submit("/cases/0-10/unmask", reason="  ")
    assert (without.status_code, WHOLE in without.text) == (422, False)
    shown = one.submit("/cases/0-10/unmask", reason="the cardholder's bank calls")
    assert (shown.status_code, WHOLE in shown.text) == (200, True)
    assert "no-store" in shown.headers["cache-control"]
    found = entries(stand, before)
    assert [(e.action, e.outcome, e.reason) for e in found if e.reason] == [
        ("unmask", "asked", "the cardholder's bank calls"),
        ("unmask", "done", "the cardholder's bank calls"),
    ]
    assert {e.what for e in found} == {"/cases/0-10/unmask"}
    assert client(stand, "ana").submit("/cases/0-10/unmask", reason="curious").status_code == 403


def test_sign_ins_are_in_the_trail_and_who_guesses_cannot_fill_it(stand: Stand) -> None:
    """What was typed as a name is there only where someone has it."""
    before = len(stand.writer.noted)
    one = client(stand, "ana")
    one.submit("/logout")
    for number in range(9):
        client(stand).login(f"my-password-{number}")
    client(stand).login("ben", "wrong password")
    found = entries(stand, before)
    assert [(e.by, e.action, e.outcome) for e in found[:2]] == [("ana", "sign-in", "done"), ("ana", "sign-out", "done")]
    assert [(e.by, e.status) for e in found[2:]] == [("", 401)] * 5 + [("ben", 401)]
    text = json.dumps([value.decode() for _, value in stand.writer.noted])
    assert PASSWORD not in text
    assert "my-password" not in text


def test_no_card_number_reaches_the_trail_and_every_text_fits_it() -> None:
    """Neither in a reason, a path nor a field, however long they are."""
    form = {"reason": ["paid with 4111 1111 1111 1111"], "action": ["4111111111111111"], "list_name": ["x" * 4000]}
    doing = doing_of("ana", "analyst", "/cases/4111111111111111/decide", form)
    assert "4111" not in " ".join(doing)
    written: list[bytes] = []
    asyncio.run(trail(written).noted(doing_of("ana", "analyst", "/" + "p" * 9000, {"reason": [HOSTILE * 900]}), "done"))
    codec.read(AuditEntry, written[0])


def trail(written: list[bytes], key: bytes | None = None, last: Last | None = None) -> AuditTrail:
    """One that writes to a list."""

    async def send(_: bytes, value: bytes) -> int:
        written.append(value)
        return len(written) - 1

    return AuditTrail(send, key, last)


async def _fill(written: list[bytes], key: bytes | None) -> None:
    first = trail(written, key)
    for number in range(5):
        await first.noted(Doing("ana", "analyst", "decide", f"/cases/0-{number}"), "done", 303)
    second = trail(written, key, Last(4, link_of(written[4])))
    for number in range(3):
        await second.noted(Doing("ben", "lead", "unmask", f"/cases/0-{number}", reason="asked"), "done", 200)


def filled(key: bytes | None = None) -> list[tuple[int, bytes, bytes]]:
    """Two chains, as the topic has them: offset, key, value."""
    written: list[bytes] = []
    asyncio.run(_fill(written, key))
    return [(offset, json.loads(value)["chain"].encode(), value) for offset, value in enumerate(written)]


def damage(records: Any, key: bytes | None = None, begin: int = 0, kept: Any = None) -> list[str]:
    """What a check finds."""
    check = TrailCheck(begin, key)
    for record in records:
        check.take(*record)
    check.compare(kept or {})
    return check.verdict.damage


def clean(noted: list[tuple[bytes, bytes]]) -> bool:
    """Whether a check finds nothing."""
    return damage([(offset, key, value) for offset, (key, value) in enumerate(noted)]) == []


def test_a_whole_trail_is_clean_also_where_retention_has_deleted_its_beginning() -> None:
    """With seals and without."""
    for key in (None, KEY):
        assert damage(filled(key), key) == []
        assert damage(filled(key)[3:], key, begin=3) == []


@pytest.mark.parametrize("gone", range(7))
def test_every_record_that_is_removed_is_named_whichever_it_is(gone: int) -> None:
    """By the offsets, and without them by the chain: of a topic that was made again without it, too."""
    records = filled()
    left = [record for record in records if record[0] != gone]
    (*_, sentence) = found = damage(left)
    assert f"offsets {gone} to {gone} are not there" in found
    again = [(offset, key, value) for offset, (_, key, value) in enumerate(left)]
    assert damage(again), sentence


@pytest.mark.parametrize("number", range(8))
def test_every_record_that_is_changed_is_named_whichever_it_is(number: int) -> None:
    """The newest of all by the heads of an earlier check, and with a key by its seal."""
    records = filled(KEY)
    heads = {key.decode(): Head(json.loads(v)["number"], at, link_of(v)) for at, key, v in records}
    offset, key, value = records[number]
    spoilt = [*records[:number], (offset, key, value.replace(b'"by":"', b'"by":"x')), *records[number + 1 :]]
    assert any(f"record {number} " in sentence for sentence in damage(spoilt, KEY))
    assert damage(spoilt, None, kept=heads)


def test_a_record_that_is_added_by_who_has_no_key_is_named() -> None:
    """In a chain, and as one of its own."""
    records = filled(KEY)
    entry = codec.read(AuditEntry, records[4][2])
    forged = entry.model_copy(update={"number": 9, "by": "eve", "chain": "f" * 16, "before": None, "seal": None})
    value = forged.model_dump_json(exclude={"seal"}).encode()
    assert any("not sealed" in s for s in damage([*records, (8, b"f" * 16, value)], KEY))
    assert any("not sealed" in s for s in damage([*records, (8, b"f" * 16, sealed(value, b"e" * 32))], KEY))
    again = sealed(entry.model_dump_json(exclude={"seal"}).encode(), KEY)
    assert any("again" in s for s in damage([*records, (8, records[4][1], again)], KEY))


def test_sealed_records_that_are_written_again_once_retention_has_deleted_them_are_named() -> None:
    """No number and no link speaks against them then, but the broker's clock does."""
    records = filled(KEY)
    at_ms = codec.read(AuditEntry, records[0][2]).at_ms
    stamped = [(*record, at_ms + 1_000) for record in records]
    assert damage(stamped, KEY) == []
    later = [(offset + 100, key, value, at_ms + 700 * 86_400_000) for offset, key, value in records]
    assert damage([record[:3] for record in later], KEY, begin=100) == []
    found = damage(later, KEY, begin=100)
    assert len(found) == len(records)
    assert "record 100 was written +16,800.0 hours from when it says" in found[0]


def test_a_seal_is_of_every_byte_before_it() -> None:
    """A field with the mark of a seal in its text changes nothing."""
    value = sealed(b'{"a":"\\",\\"seal\\":\\"x"}', KEY)
    assert seal_holds(value, KEY)
    assert not seal_holds(value.replace(b"x", b"y"), KEY)
    assert not seal_holds(b'{"a":1}', KEY)


async def test_an_answer_that_never_came_begins_a_chain_behind_what_is_known() -> None:
    """The record may lie on the topic or not: neither is damage."""
    written: list[bytes] = []
    fails = False

    async def send(_: bytes, value: bytes) -> int:
        written.append(value)
        if fails:
            raise UnwrittenError("RequestTimedOutError")
        return len(written) - 1

    one = AuditTrail(send, None, None)
    await one.noted(Doing("ana", "analyst", "decide"), "done")
    fails = True
    with pytest.raises(UnwrittenError):
        await one.asked(Doing("ana", "analyst", "unmask"))
    fails = False
    await one.noted(Doing("ana", "analyst", "decide"), "done")
    topic = [(json.loads(value)["chain"].encode(), value) for value in written]
    assert clean(topic)
    assert clean([topic[0], topic[2]])


def test_a_decision_above_the_amount_waits_on_the_page_for_another_who_may_approve(stand: Stand) -> None:
    """Ana asks; she cannot approve, nor can an analyst; a risk officer can. Ana may take it back."""
    stand.writer.second = SecondPerson(0.0, 3_600_000)
    stand.desk.queries.model.take({"0-20": case_of([alert(2, CARD)], 20)}, {}, [], 6)
    ana, lead, officer = (client(stand, name) for name in ("ana", "lead", "risk-officer"))
    try:
        asked = ana.submit("/cases/0-20/decide", action="confirm", note="called")
        assert asked.headers["location"] == "/cases/0-20?did=asked"
        assert "Take it back" in ana.get("/cases/0-20").text
        assert ana.submit("/cases/0-20/withdraw").headers["location"] == "/cases/0-20?did=withdraw"
        lead.submit("/cases/0-20/decide", action="confirm", note="called again")
        case = stand.desk.queries.case("0-20")
        assert case is not None
        assert case.pending is not None
        number = str(case.pending.offset)
        assert ana.submit("/cases/0-20/approve", action="approve", request=number).status_code == 403
        assert lead.submit("/cases/0-20/approve", action="approve", request=number).status_code == 409
        assert "wants to confirm this case" in officer.get("/cases/0-20").text
        done = officer.submit("/cases/0-20/approve", action="approve", request=number)
        assert done.headers["location"] == "/cases/0-20?did=approve"
    finally:
        stand.writer.second = None
    case = stand.desk.queries.case("0-20")
    assert case is not None
    assert (case.state, case.decided_by, case.approved_by) == ("confirmed", "lead", "risk-officer")
    assert "approved by <b>risk-officer</b>" in officer.get("/cases/0-20").text


async def test_the_newest_record_is_found_before_markers_of_transactions_that_were_given_up(stream: Stream) -> None:
    """Anyone who writes there can leave them: a console that waited for a record behind them would never start."""
    assert await newest(stream.kafka, stream.topics) is None
    await stream.send([b"first", b"second"], [b"k", b"k"], AUDIT.name)
    producer = transactional_producer(stream.kafka, RuntimeSettings(), f"{stream.prefix}given-up")
    await producer.start()
    try:
        for _ in range(6):
            await producer.begin_transaction()
            await producer.send_and_wait(AUDIT.full_name(stream.prefix), b"given up")
            await producer.abort_transaction()
    finally:
        await producer.stop()
    async with asyncio.timeout(WAIT_S_MAX):
        assert await newest(stream.kafka, stream.topics) == Last(1, link_of(b"second"))
