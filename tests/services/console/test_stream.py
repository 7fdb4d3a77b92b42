"""The console on the real broker: two analysts at one queue, a conflict, and the database made again of the topics."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from schemas import codec
from schemas.audit import AuditEntry
from schemas.lists import ListEntry
from schemas.score import Score
from schemas.topics import AUDIT, LABELS, LISTS, SCORES
from services.cli.app import app
from services.console.model import POSITIONS, ReadModel
from tests.services.console.browsing import chromium, needs_chromium, person
from tests.services.console.conftest import Office, wait

pytestmark = pytest.mark.slow


def test_two_analysts_who_take_the_next_case_get_two_cases(office: Office) -> None:
    """Each is the other's assignee of nothing; both are assigned on the topic."""
    ana, ben = office.client("ana"), office.client("ben")
    places = [one.submit("/next").headers["location"] for one in (ana, ben, ana)]
    ids = [re.search(r"/cases/([0-9-]+)\?did=take", place)[1] for place in places]  # type: ignore[index]
    assert len(set(ids)) == 3
    assert [office.cases()[case_id].assignee for case_id in ids] == ["ana", "ben", "ana"]
    taken = ben.submit(f"/cases/{ids[0]}/work", action="take")
    assert taken.status_code == 409
    assert "being worked by ana" in taken.text


def test_a_decision_against_one_that_stands_is_shown_and_changes_nothing(office: Office) -> None:
    """Ben decides on a page that he loaded before ana decided: his note is kept in the form, and labels are ana's alone."""
    ana, ben, case_id = office.client("ana"), office.client("ben"), office.open_case()
    version = re.search(r'name="version" value="(\d+)"', ben.get(f"/cases/{case_id}").text)[1]  # type: ignore[index]
    done = ana.submit(f"/cases/{case_id}/decide", action="confirm", version=version, note="called")
    assert done.headers["location"] == f"/cases/{case_id}?did=confirm"
    refused = ben.submit(f"/cases/{case_id}/decide", action="dismiss", version=version, note="a regular")
    assert refused.status_code == 409
    assert "confirmed by ana" in refused.text
    assert ">a regular</textarea>" in refused.text
    case = office.cases()[case_id]
    assert [(line.action, line.by, line.refused) for line in case.history] == [
        ("confirm", "ana", False),
        ("dismiss", "ben", True),
    ]
    labels = {json.loads(r.value)["verdict"] for r in read(office, LABELS.name) if case.card_id.encode() in r.value}
    assert labels == {"fraud"}
    lead = office.client("lead")
    lead.submit(f"/cases/{case_id}/decide", action="dismiss", overrule="1", version=str(case.version))
    assert office.cases()[case_id].state == "dismissed"


def test_a_note_an_escalation_a_snooze_and_a_list_entry_reach_their_topics(office: Office) -> None:
    """As the command line would have written them."""
    lead, case_id = office.client("lead"), office.open_case()
    lead.submit(f"/cases/{case_id}/work", action="note", note="no answer")
    lead.submit(f"/cases/{case_id}/work", action="escalate", note="")
    lead.submit(f"/cases/{case_id}/snooze", action="mute", hours="24")
    lead.submit(f"/cases/{case_id}/list", list_name="stolen", reason="called", days="30", purpose="deny")
    case = office.cases()[case_id]
    assert (case.state, case.escalated, [line.note for line in case.history]) == ("open", True, ["no answer", None])
    entry = codec.read(ListEntry, read(office, LISTS.name)[-1].value)
    assert (entry.value, entry.by, entry.source) == (case.card_id, "lead", f"console, case {case_id}")
    wait(office.console, lambda: "is snoozed until" in lead.get(f"/cases/{case_id}").text)


def test_a_case_shows_all_payments_of_its_card_that_scores_has_and_not_its_alerts_alone(office: Office) -> None:
    """Of the real topic, while it grows: each payment once, also where an alert says more of it; other cards' stay away."""
    ana, case_id = office.client("ana"), office.open_case()
    case = office.cases()[case_id]
    first = case.listed[0]

    def send(*scores: Score) -> None:
        values = [codec.write(one) for one in scores]
        asyncio.run(office.stream.send(values, [one.card_id.encode() for one in scores], SCORES.name))

    def score(number: int, **changes: Any) -> Score:
        fields = {"transaction_id": f"before-{number}", "event_time_ms": first.event_time_ms - 60_000 * (number + 1)}
        return Score(
            **{**fields, "card_id": case.card_id, **changes},
            probability=0.02,
            anomaly_percentile=20.0,
            reconstruction_error=0.1,
            alert=False,
            model="fraud/1@cpu",
        )

    def shown(payments: int) -> bool:
        return f"Both scores of {payments} payments, {case.alerts} of them alerts" in ana.get(f"/cases/{case_id}").text

    assert shown(case.alerts), "before, alerts alone are known"
    known = {"transaction_id": first.transaction_id, "event_time_ms": first.event_time_ms}
    send(*(score(n) for n in range(5)), score(6, card_id="card-pseudonym-other"), score(7, **known))
    wait(office.console, lambda: shown(case.alerts + 5))
    send(score(8), score(9))
    wait(office.console, lambda: shown(case.alerts + 7))
    page = ana.get(f"/cases/{case_id}").text
    assert "Alerts only" not in page
    assert "before-1" not in page, "no id of a payment that is no alert is on a page"


def test_a_card_number_in_a_note_is_refused_before_anything_is_written(office: Office) -> None:
    """The sentence names the field; the case has no history."""
    ana, case_id = office.client("ana"), office.open_case()
    answer = ana.submit(f"/cases/{case_id}/work", action="note", note="paid with 4111 1111 1111 1111")
    assert (answer.status_code, "holds a card number" in answer.text) == (422, True)
    assert office.cases()[case_id].history == ()


def test_the_database_is_filled_on_from_where_it_stopped_and_from_nothing_where_it_is_of_another_log(
    office: Office,
) -> None:
    """A second console on the same file shows what the first did; a topic id that is not the log's throws it away."""
    before = rows(office.client("ana").get("/queue").text)
    for spoil in (False, True):
        office.console.terminate()
        if spoil:
            model = ReadModel(f"sqlite:///{office.stream.directory}/console.db")
            with model.engine.begin() as connection:
                connection.execute(sa.update(POSITIONS).values(topic_id="former"))
        office.restart()
        assert ("console.rebuilding" in office.console.log()) == spoil
        assert rows(office.client("ana").get("/queue").text) == before


def test_what_people_did_is_a_whole_trail_on_the_topic_over_restarts_and_for_the_command_that_checks_it(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every chain is tied to the one before; a head that is not there any more is named, and ends the command with 1."""
    lead, case_id = office.client("lead"), office.open_case()
    assert lead.submit(f"/cases/{case_id}/unmask", reason="the bank calls").status_code == 200
    office.console.terminate()
    office.restart()
    office.client("ana")
    entries = [codec.read(AuditEntry, record.value) for record in read(office, AUDIT.name)]
    done = [(e.by, e.action, e.outcome, e.reason) for e in entries if e.action == "unmask"]
    assert done == [("lead", "unmask", outcome, "the bank calls") for outcome in ("asked", "done")]
    starts = [e for e in entries if e.action == "start"]
    assert len(starts) >= 2
    assert all(e.before is not None for e in starts[1:])
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", office.stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", office.stream.prefix)
    command = ["verify", "--audit", "--audit-heads", str(tmp_path / "heads.json"), "--json"]
    for _ in range(2):
        found = CliRunner().invoke(app, command)
        assert found.exit_code == 0, found.output
    verdict = json.loads(found.stdout)
    assert (verdict["records"], verdict["damaged"], len(verdict["heads"])) == (len(entries), 0, len(starts))
    heads = json.loads((tmp_path / "heads.json").read_text())
    (tmp_path / "heads.json").write_text(json.dumps(heads | {"0" * 16: [3, 10**6, "0" * 64]}))
    lost = CliRunner().invoke(app, command)
    assert (lost.exit_code, "is not there any more" in lost.stdout) == (1, True)


def rows(page: str) -> list[str]:
    """The cases of a page, in order."""
    return re.findall(r'<td class="id"><a href="/cases/([0-9-]+)"', page)


def read(office: Office, topic: str) -> list[Any]:
    """What a topic holds."""
    return asyncio.run(office.stream.read(topic))


def test_a_batch_is_written_when_its_time_is_over_and_one_that_is_undone_never(office: Office) -> None:
    """On the topics: three decisions with labels, none of the other three."""
    ana = office.client("ana")
    untouched = [one for one in office.cases().values() if one.state == "open" and not one.history][:6]
    done, undone = untouched[:3], untouched[3:]
    for chosen in (done, undone):
        cases = [f"{one.case_id}~{one.version}" for one in chosen]
        answer = ana.submit("/bulk", action="dismiss", case=cases, note="a test of the terminal")
        batch = re.search(r"batch=([\w-]+)", answer.headers["location"])[1]  # type: ignore[index]
        if chosen is undone:
            ana.submit(f"/bulk/{batch}/undo")
        else:
            wait(office.console, lambda batch=batch: "3 of 3 cases dismissed" in ana.get(f"/bulk/{batch}").text)
    after = office.cases()
    assert {after[one.case_id].state for one in done} == {"dismissed"}
    assert {after[one.case_id].version for one in undone} == {one.version for one in undone}
    labelled = {json.loads(record.value)["transaction_id"] for record in read(office, LABELS.name)}
    assert {alert.transaction_id for one in done for alert in one.listed} <= labelled
    assert not {alert.transaction_id for one in undone for alert in one.listed} & labelled


@needs_chromium
@pytest.mark.asyncio(loop_scope="function")
async def test_two_analysts_at_once_in_two_browsers_get_two_cases_and_see_each_other(office: Office) -> None:
    """On the real topics: both press at the same moment; ben then looks at ana's case, and is told of her decision."""
    async with (
        chromium() as browser,
        person(browser, office.url, "ana") as ana,
        person(browser, office.url, "ben") as ben,
    ):
        await asyncio.gather(ana.press("n"), ben.press("n"))
        for one in (ana, ben):
            await one.page.wait_for_url("**did=take")
        paths = [one.page.url.partition("?")[0] for one in (ana, ben)]
        assert paths[0] != paths[1]
        case_id = paths[0].rpartition("/")[2]
        await ben.go(f"/cases/{case_id}")
        assert "with ana" in await ben.text()
        await ana.press("d", "Enter")
        await ana.page.wait_for_url("**did=dismiss")
        await ben.page.wait_for_selector("text=This case has changed: dismissed by ana", timeout=20_000)
    found = await asyncio.to_thread(office.cases)
    assert (found[case_id].state, found[case_id].decided_by) == ("dismissed", "ana")
