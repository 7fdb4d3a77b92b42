"""Actions on many cases: what waits can be taken back, is written once, and survives the process. Without Kafka."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from schemas.case import CaseAction
from services.cases.rules import SecondPerson
from services.console.bulk import Batch, Bulk, _insert
from services.console.model import WAITING, ReadModel
from services.console.queries import Queries
from services.console.writer import Result, UnwrittenError
from tests.services.cases.test_stream import alert
from tests.services.console.conftest import Client
from tests.services.console.stand import LocalWriter, Stand, case_of, running

CASES = [case_of([alert(number, f"card-pseudonym-{number:04d}")], 10 * number) for number in range(12)]


@pytest.fixture
def stand(tmp_path: Path, users_file: Path) -> Iterator[Stand]:
    """Twelve cases, and a minute to undo."""
    with running(tmp_path, users_file, CASES, undo_s=60.0) as stand:
        yield stand


def client(stand: Stand, name: str) -> Client:
    """Someone who is logged in."""
    one = Client(base_url=stand.url, timeout=30)
    assert one.login(name).status_code == 303
    return one


def begun(one: Client, action: str, *case_ids: str, **fields: str) -> str:
    """Begin a batch on the newest versions; its name."""
    page = one.get("/queue").text
    chosen = [re.search(rf'value="({case_id}~\d+)"', page)[1] for case_id in case_ids]  # type: ignore[index]
    answer = one.submit("/bulk", action=action, case=chosen, **fields)
    return re.search(r"batch=([\w-]+)", answer.headers["location"])[1]  # type: ignore[index]


def until(done: Callable[[], bool]) -> None:
    """Wait for what the console is about to do."""
    deadline_s = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def waiting(stand: Stand) -> int:
    """Actions in the table."""
    with stand.desk.queries.model.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(WAITING)).scalar_one()


def test_what_is_undone_was_never_written(stand: Stand) -> None:
    """No case has a history; the table is empty; the page says so."""
    ana = client(stand, "ana")
    name = begun(ana, "dismiss", "0-0", "0-10", "0-20")
    assert waiting(stand) == 3
    assert "3 cases will be dismissed in" in ana.get("/queue", params={"batch": name}).text
    back = ana.submit(f"/bulk/{name}/undo")
    assert "nothing was written" in ana.get(back.headers["location"]).text
    assert waiting(stand) == 0
    ana.submit(f"/bulk/{name}/now")
    assert all(stand.desk.queries.case(one).history == () for one in ("0-0", "0-10", "0-20"))  # type: ignore[union-attr]


def test_what_is_written_at_once_is_decided_and_cannot_be_taken_back(stand: Stand) -> None:
    """With its note, by who chose it."""
    ana = client(stand, "ana")
    name = begun(ana, "dismiss", "0-0", "0-10", note="a merchant's test")
    ana.submit(f"/bulk/{name}/now")
    found = [stand.desk.queries.case(one) for one in ("0-0", "0-10")]
    assert [(case.state, case.decided_by, case.note) for case in found if case] == [
        ("dismissed", "ana", "a merchant's test")
    ] * 2
    ana.submit(f"/bulk/{name}/undo")
    assert "2 of 2 cases dismissed" in ana.get(f"/bulk/{name}").text


def test_a_case_that_another_decided_meanwhile_is_left_as_it_is_and_named(stand: Stand) -> None:
    """The rest is done."""
    ana, ben = client(stand, "ana"), client(stand, "ben")
    name = begun(ana, "dismiss", "0-0", "0-10")
    ben.submit("/cases/0-10/decide", action="confirm", version="1")
    ana.submit(f"/bulk/{name}/now")
    said = ana.get(f"/bulk/{name}").text
    assert "1 of 2 cases dismissed" in said
    assert "0-10</a> confirmed by ben" in said
    assert stand.desk.queries.case("0-10").state == "confirmed"  # type: ignore[union-attr]


def test_what_waits_is_no_ones_next_case_and_is_marked_for_others(stand: Stand) -> None:
    """Ben gets the first case that ana did not choose."""
    ana, ben = client(stand, "ana"), client(stand, "ben")
    first = re.findall(r'<a href="/cases/([0-9-]+)"', ben.get("/queue").text)[:4]
    begun(ana, "confirm", *first[:3])
    assert ben.submit("/next").headers["location"].startswith(f"/cases/{first[3]}?")
    assert "ana: about to confirm" in ben.get("/queue").text
    assert "ana is about to confirm" in ben.get(f"/cases/{first[0]}").text


def test_no_one_sees_takes_back_or_hurries_the_batch_of_another(stand: Stand) -> None:
    """Not a lead either: it is not theirs."""
    ana, lead = client(stand, "ana"), client(stand, "lead")
    name = begun(ana, "dismiss", "0-0")
    assert lead.get(f"/bulk/{name}").status_code == 404
    assert lead.submit(f"/bulk/{name}/undo").status_code == 404
    assert lead.submit(f"/bulk/{name}/now").status_code == 404
    assert waiting(stand) == 1
    assert stand.desk.queries.case("0-0").history == ()  # type: ignore[union-attr]


def test_an_analyst_assigns_no_others_and_no_form_names_what_is_no_case(stand: Stand) -> None:
    """By fields that the page does not show."""
    ana = client(stand, "ana")
    chosen = {"case": "0-0~1"}
    assert ana.submit("/bulk", action="assign", assignee="ben", **chosen).status_code == 403
    assert ana.submit("/bulk", action="expire", **chosen).status_code == 400
    assert ana.submit("/bulk", action="dismiss", case="0-0~x").status_code == 400
    assert ana.submit("/bulk", action="dismiss", case="../x~1").status_code == 422
    assert ana.submit("/bulk", action="dismiss", note="4111 1111 1111 1111", **chosen).status_code == 422
    assert ana.submit("/bulk", action="dismiss", case=[f"0-{n}~1" for n in range(201)]).status_code == 400
    assert "unchosen" in ana.submit("/bulk", action="dismiss").headers["location"]
    assert "unchosen" in ana.submit("/bulk", action="dismiss", case="0-9999~1").headers["location"]
    assert waiting(stand) == 0


def test_a_console_that_ends_in_order_writes_what_waits(tmp_path: Path, users_file: Path) -> None:
    """Who closes it has not taken it back."""
    with running(tmp_path, users_file, CASES, undo_s=60.0) as stand:
        begun(client(stand, "ana"), "dismiss", "0-0", "0-10")
    found = Queries(ReadModel(f"sqlite:///{tmp_path}/console.db"))
    assert [found.case(one).state for one in ("0-0", "0-10")] == ["dismissed"] * 2  # type: ignore[union-attr]


def actions(*case_ids: str) -> list[CaseAction]:
    """Dismissals by ana of the first version."""
    fields = {"action": "dismiss", "by": "ana", "case_version": 1}
    return [CaseAction.model_validate({**fields, "case_id": one}) for one in case_ids]


class Dying(LocalWriter):
    """Writes one action; then Kafka is gone."""

    async def act(self, action: CaseAction) -> Result:
        """The first one only."""
        if next(self.offsets):
            raise UnwrittenError("gone")
        return await super().act(action)


async def test_what_waited_when_the_process_died_is_written_once_by_the_next(tmp_path: Path) -> None:
    """One of three was written, and its row is put back, as after a death between writing and forgetting."""
    model = ReadModel(f"sqlite:///{tmp_path}/console.db")
    model.take({case.case_id: case for case in CASES}, {}, [], 5)
    queries = Queries(model)
    first = Bulk(model, queries, Dying(model, queries), 0.0)
    batch = await first.add("ana", "dismiss", actions("0-0", "0-10", "0-20"))
    await first.write_now(batch)
    assert (len(batch.done), batch.is_over, batch.is_retried) == (1, False, True)

    repeated = Batch(batch.name, "ana", "dismiss", 0, actions(batch.done[0]))
    _insert(model, repeated)
    known = {case.case_id: queries.case(case.case_id) for case in CASES}
    model.clear()  # what waits is of no topic, and stays
    model.take(known, {}, [], 5)
    second = Bulk(model, queries, LocalWriter(model, queries), 0.0)
    await second.start()
    await second.finish()
    found = [queries.case(one) for one in ("0-0", "0-10", "0-20")]
    assert [[line.action for line in case.history] for case in found if case] == [["dismiss"]] * 3
    assert second.waiting() == {}


def test_decisions_that_need_a_second_person_are_asked_for_and_named(tmp_path: Path, users_file: Path) -> None:
    """Those below the amount are done; the others wait, and another approves them together, and never who asked."""
    cases = [case_of([alert(n, f"card-pseudonym-{n:04d}", amount=50.0 + 100.0 * n)], 10 * n) for n in range(4)]
    with running(tmp_path, users_file, cases, undo_s=60.0) as stand:
        stand.writer.second = SecondPerson(200.0, 3_600_000)
        lead, officer = client(stand, "lead"), client(stand, "risk-officer")
        name = begun(lead, "confirm", "0-0", "0-10", "0-20", "0-30")
        lead.submit(f"/bulk/{name}/now")
        assert "2 of 4 cases confirmed as fraud; 2 wait for a" in lead.get(f"/bulk/{name}").text
        waits = lead.get("/queue?who=second").text
        assert re.findall(r'<a href="/cases/(0-[0-9]+)">', waits) == ["0-30", "0-20"]
        assert "lead: confirm?" in waits
        assert "2 decisions on cases wait for a second person" in officer.get("/approvals").text

        def second(one: Client, action: str, *ids: str) -> str:
            page = one.get("/queue?who=second").text
            chosen = [re.search(rf'value="({case_id}~\d+)"', page)[1] for case_id in ids]  # type: ignore[index]
            answer = one.submit("/bulk/second", action=action, case=chosen, back="who=second")
            assert "who=second" in answer.headers["location"]
            batch = re.search(r"batch=([\w-]+)", answer.headers["location"])[1]  # type: ignore[index]
            one.submit(f"/bulk/{batch}/now")
            return one.get(f"/bulk/{batch}").text

        own = second(lead, "approve", "0-20")
        assert "0 of 1 case" in own
        assert "another person has to approve it" in own
        assert client(stand, "ana").submit("/bulk/second", action="approve", case=["0-20~3"]).status_code == 403
        assert officer.submit("/bulk", action="confirm", case=["0-20~3"]).status_code == 403
        assert officer.submit("/bulk/second", action="confirm", case=["0-20~3"]).status_code == 400
        assert (
            officer.submit("/bulk/second", action="approve", case=["0-20~1"]).headers["location"].endswith("unchosen")
        )
        assert "1 of 1 case decided as another asked" in second(officer, "approve", "0-20")
        assert "1 of 1 case left as they were" in second(officer, "reject", "0-30")
        found = {one: stand.desk.queries.case(one) for one in ("0-0", "0-10", "0-20", "0-30")}
        assert [case.state for case in found.values() if case] == ["confirmed", "confirmed", "confirmed", "open"]
        assert found["0-20"].history[-1].approved_by == "risk-officer"  # type: ignore[union-attr]
        assert "No case here" in officer.get("/queue?who=second").text


async def test_a_database_that_fails_for_a_moment_leaves_nothing_stuck_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is known by the case's history; whatever else ends the writing ends the console, in a sentence."""
    model = ReadModel(f"sqlite:///{tmp_path}/console.db")
    model.take({case.case_id: case for case in CASES}, {}, [], 5)
    queries = Queries(model)
    bulk = Bulk(model, queries, LocalWriter(model, queries), 0.0)
    batch = await bulk.add("ana", "dismiss", actions("0-0", "0-10"))

    def fails(*_: object) -> None:
        raise sa.exc.OperationalError("DELETE", {}, Exception("the connection is gone"))

    with monkeypatch.context() as patch:
        patch.setattr("services.console.bulk._delete", fails)
        await bulk.write_now(batch)
    assert (batch.is_over, batch.is_writing, bulk.ended) == (True, False, None)
    again = Bulk(model, queries, LocalWriter(model, queries), 0.0)
    await again.start()
    await again.finish()
    found = [queries.case(one) for one in ("0-0", "0-10")]
    assert [[line.action for line in case.history] for case in found if case] == [["dismiss"]] * 2
    with model.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(WAITING)).scalar_one() == 0

    ending = Bulk(model, queries, LocalWriter(model, queries), 0.0)
    monkeypatch.setattr(ending, "_write", fails)
    await ending.add("ana", "dismiss", actions("0-20"))
    await ending.start()
    async with asyncio.timeout(20):
        while ending.ended is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert "ended (OperationalError" in ending.ended
