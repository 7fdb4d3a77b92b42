"""Requests for a second person on the console's pages. No Kafka."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.control import BundleRef
from services.approvals import new_request
from services.cli.people.signing_file import sign_prepared
from services.errors import AssayError
from tests.services.cases.test_stream import alert
from tests.services.console.conftest import HOSTILE
from tests.services.console.promoting import SIGNERS
from tests.services.console.stand import Stand, case_of, running
from tests.services.console.test_gate import client
from tests.services.signing import people

CARD = "card-pseudonym-0001"


@pytest.fixture
def stand(tmp_path: Path, users_file: Path) -> Iterator[Stand]:
    """One case; lists need a second person."""
    with running(tmp_path, users_file, [case_of([alert(1, CARD)], 10)]) as stand:
        stand.desk.request_h = 1.0
        yield stand


def test_a_card_comes_onto_a_list_once_another_approves(stand: Stand) -> None:
    """Nothing before, not by who asked, and once."""
    lead, officer, ana = (client(stand, name) for name in ("lead", "risk-officer", "ana"))
    asked = lead.submit("/cases/0-10/list", list_name="stolen", reason="called", purpose="deny")
    assert asked.headers["location"] == "/cases/0-10?did=asked-list"
    assert stand.writer.entries == []
    (record,) = stand.writer.records
    path = f"/approvals/{record.request_id}"
    page = officer.get("/approvals").text
    assert "1 onto the list stolen" in page
    assert CARD not in page, "a card is masked there too"
    assert ana.submit(path, action="approve").status_code == 403
    own = lead.submit(path, action="approve")
    assert (own.status_code, "another person has to approve" in own.text) == (409, True)
    assert officer.submit(path, action="approve", note="checked").status_code == 303
    (entry,) = stand.writer.entries
    assert (entry.value, entry.by, "approved by risk-officer" in entry.source) == (CARD, "lead", True)
    again = client(stand, "admin").submit(path, action="approve")
    assert (again.status_code, len(stand.writer.entries)) == (409, 1)
    assert [one.kind for one in stand.writer.records] == ["request", "approve", "done"]


def test_a_request_is_rejected_or_taken_back_and_then_nothing_comes_of_it(stand: Stand) -> None:
    """By another, and by who asked."""
    lead, officer = client(stand, "lead"), client(stand, "risk-officer")
    for who in (officer, lead):
        lead.submit("/cases/0-10/list", list_name="stolen", reason="called", purpose="deny")
        path = f"/approvals/{stand.writer.records[-1].request_id}"
        assert who.submit(path, action="reject").status_code == 303
        assert client(stand, "admin").submit(path, action="approve").status_code == 409
    assert stand.writer.entries == []
    assert officer.submit("/approvals/000000000000", action="approve").status_code == 404
    assert officer.submit(path, action="dance").status_code == 400


def test_a_promotion_is_shown_and_approved_and_a_command_does_it(stand: Stand) -> None:
    """What it says is text, whatever it holds; the console itself writes no step."""
    bundle = BundleRef(name="fraud", version=2, digest="2" * 64)
    said = {"action": "promote", "line": "fraud", "channel": "champion", "bundle": bundle, "why": HOSTILE}
    stand.writer.records.append(new_request("rosa", "bundle", 1.0, **said))
    officer = client(stand, "risk-officer")
    page = officer.get("/approvals").text
    assert "promote bundle fraud/2 (222222222222) as champion" in page
    assert "<script>alert" not in page
    officer.submit(f"/approvals/{stand.writer.records[0].request_id}", action="approve")
    assert [one.kind for one in stand.writer.records] == ["request", "approve"]
    assert f"--request {stand.writer.records[0].request_id}" in officer.get("/approvals").text


def test_where_persons_sign_a_list_change_is_prepared_here_and_no_click_approves_it(
    stand: Stand, tmp_path: Path
) -> None:
    """The page names the commands; an approval that no one signed is refused, also where someone posts it anyway."""
    stand.desk.rule = people(tmp_path).rule(2)
    lead, officer = client(stand, "lead"), client(stand, "risk-officer")
    asked = lead.submit("/cases/0-10/list", list_name="stolen", reason="called", purpose="deny")
    assert asked.headers["location"] == "/cases/0-10?did=prepared-list"
    (record,) = stand.writer.records
    path, page = f"/approvals/{record.request_id}", officer.get("/approvals").text
    assert "It lacks 2 signatures" in page
    assert f'href="{path}"' in page
    assert f"assay approvals approve {record.request_id}" in page
    assert 'value="approve"' not in page
    assert f"assay approvals sign {record.request_id}" in lead.get("/approvals").text
    refused = officer.submit(path, action="approve")
    assert (refused.status_code, "has to be signed" in refused.text) == (409, True)
    assert (stand.writer.entries, len(stand.writer.records)) == ([], 1)
    assert officer.submit(path, action="reject").status_code == 303


def test_a_list_change_is_signed_on_its_page_and_its_file_needs_a_reason_where_it_holds_a_card(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who signs sees each entry, which the page masks; an entry that was changed on the way is not signed."""
    everyone = people(tmp_path, SIGNERS)
    stand.desk.rule = everyone.rule(2)
    lead, officer = client(stand, "lead"), client(stand, "risk-officer")
    lead.submit("/cases/0-10/list", list_name="stolen", reason="called", purpose="deny")
    path = f"/approvals/{stand.writer.records[0].request_id}"
    assert CARD not in officer.get(path).text
    without = officer.submit(f"{path}/file")
    assert (without.status_code, CARD in without.text) == (422, False)
    file = tmp_path / "file.json"
    for name, one in (("lead", lead), ("risk-officer", officer)):
        file.write_text(one.submit(f"{path}/file", reason="to sign it").text)
        assert one.submit(f"{path}/sign", signature=sign_prepared(file, everyone.key_file(name))).status_code == 303
    assert "1 onto the list stolen" in " ".join(capsys.readouterr().err.split())
    (entry,) = stand.writer.entries
    assert entry.proof is not None
    assert [one.by for one in entry.proof.signed.signatures] == ["lead", "risk-officer"]
    assert [one.kind for one in stand.writer.records] == ["request", "sign", "approve", "done"]
    file.write_text(file.read_text().replace(CARD, "card-pseudonym-0002"))
    with pytest.raises(AssayError, match="not those that the statement is about"):
        sign_prepared(file, everyone.key_file("lead"))
