"""Models and policies activated on the pages: asked for, signed elsewhere by two, sent and recorded. No Kafka, real keys."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.bundle.envelopes import prepared, signed
from models.bundle.keys import private_key
from models.bundle.persons import StepRule, read_persons
from schemas import codec
from schemas.audit import AuditEntry
from services import approvals
from services.cli.people.signing_file import sign_prepared
from services.errors import AssayError
from tests.services.console.promoting import Promoting, policy_of, promoting, step_of

NO_FILE = "no DSSE envelope"


@pytest.fixture
def desk(tmp_path: Path, users_file: Path) -> Iterator[Promoting]:
    """Three policies are published, none decides; two persons have to sign."""
    with promoting(tmp_path, users_file) as desk:
        yield desk


def settled(desk: Promoting, path: str, name: str = "risk-officer") -> str:
    """The request's page once nothing is on its way."""
    one, deadline_s = desk.client(name), time.monotonic() + 20
    while (attempt := desk.stand.desk.sender.of(path.rpartition("/")[2])) is None or attempt.runs:  # type: ignore[union-attr]
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return one.get(path).text


def refused(answer: Any) -> str:
    """The one sentence of a refusal; what stands against the request anyway is below it."""
    assert answer.status_code == 409, answer.text
    words, *_ = re.findall(r'<p class="problem" role="alert">(.*?)</p>', answer.text)
    return str(words).replace("&#39;", "'").replace("&gt;", ">")


def test_a_policy_decides_once_two_persons_signed_it_and_not_before(desk: Promoting) -> None:
    """Asked for by one, signed by both with keys that never came here; then sent with both signatures, and recorded."""
    officer = desk.client("risk-officer")
    listed = officer.get("/promotions").text
    assert "fraud/3" in listed
    page = officer.get("/promotions/step", params=step_of(2)).text
    assert "Let fraud/2 decide" in page
    assert policy_of(2).digest() in page
    assert "2 of these have to sign it" in page
    assert "admin" in page
    path = desk.prepare("risk-officer")
    assert desk.sign("risk-officer", path).headers["location"] == f"{path}?did=signed"
    assert (desk.decides(), desk.stand.commanded.orders) == ("None", [])
    assert "1 more has to sign: admin" in desk.client("admin").get(path).text
    assert desk.sign("admin", path).headers["location"] == f"{path}?did=sent"
    page = settled(desk, path)
    assert "Active." in page
    assert "All 4 partitions have it active" in page
    (order,) = desk.stand.commanded.orders
    assert order.signed is not None
    assert (order.channel, str(order.bundle), [one.by for one in order.signed.signatures]) == (
        "policy",
        "fraud/2",
        ["risk-officer", "admin"],
    )
    step = desk.registry.history()[-1]
    assert (step.action, str(step.bundle), step.by, step.why) == ("promote", "fraud/2", "admin", "fewer frauds pass")
    assert "signed by risk-officer and admin" in officer.get("/promotions").text
    kinds = [record.kind for record in desk.stand.writer.records]
    assert kinds == ["request", "sign", "approve", "done"]


def test_what_people_did_about_a_promotion_is_in_the_audit_trail(desk: Promoting) -> None:
    """Who asked for what, who signed, what came of it; no signature, and no payload."""
    path = desk.prepare("risk-officer")
    desk.sign("risk-officer", path)
    desk.sign("admin", path)
    settled(desk, path)
    found = [codec.read(AuditEntry, value) for _, value in desk.stand.writer.noted]
    done = [(e.by, e.action, e.what, e.outcome) for e in found if e.outcome != "asked"]
    assert [one for one in done if one[1] in ("promotions", "sign")] == [
        ("risk-officer", "promotions", "/promotions", "done"),
        ("risk-officer", "sign", f"{path}/sign", "done"),
        ("admin", "sign", f"{path}/sign", "done"),
    ]
    assert ("admin", "activate", path, "done") in done
    (asked,) = [e for e in found if e.action == "promotions" and e.outcome == "asked"]
    assert asked.details == "subject=policy; step=promote; channel=champion; version=2"
    assert asked.reason == "fewer frauds pass"
    assert "payload" not in json.dumps([value.decode() for _, value in desk.stand.writer.noted])


def test_a_signature_that_does_not_count_is_one_sentence_and_changes_nothing(desk: Promoting, tmp_path: Path) -> None:
    """Garbage, unsigned, another request's, changed, a stranger's, another's, of a role that may not, twice."""
    path, other = desk.prepare("risk-officer"), desk.prepare("risk-officer", 3)
    officer, admin = desk.client("risk-officer"), desk.client("admin")
    before = len(desk.stand.writer.records)

    def words(one: Any, signature: str, to: str = path) -> str:
        return refused(one.submit(f"{to}/sign", signature=signature))

    good = desk.signature("risk-officer", path)
    assert NO_FILE in words(officer, "-----BEGIN PRIVATE KEY-----")
    assert NO_FILE in words(officer, '{"payload": 7}')
    assert "without a signature yet" in words(officer, officer.submit(f"{path}/file").text)
    assert f"signature of request {other.rpartition('/')[2]}" in words(officer, desk.signature("risk-officer", other))
    request = json.loads(good)
    text = next(r.statement for r in desk.stand.writer.records if path.endswith(r.request_id)) or ""
    key = private_key(desk.everyone.key_file("risk-officer"))
    assert "says something else than this request" in words(
        officer, signed(text.replace("champion", "challenger"), key)
    )
    assert "no request" in words(officer, signed("{}", key))
    foreign = json.loads(desk.signature("risk-officer", other))["signatures"]
    spoiled = {**request, "signatures": foreign}
    assert "is not risk-officer's over this request" in words(officer, json.dumps(spoiled))
    assert "several signatures" in words(officer, json.dumps({**request, "signatures": request["signatures"] * 2}))
    assert "something else than a step" in words(officer, json.dumps({**request, "payloadType": "application/x"}))
    assert "no known person's" in words(officer, signed(text, desk.policy_key))
    assert "is risk-officer's key, and you are signed in as admin" in words(admin, good)
    lead = desk.client("lead")
    assert "lead (lead) may not sign this: risk-officer or admin may" in words(lead, desk.signature("lead", path))
    assert len(desk.stand.writer.records) == before
    assert officer.submit(f"{path}/sign", signature=good).status_code == 303
    assert "has signed this already: another person has to" in words(officer, good)
    assert desk.client("ana").submit(f"{path}/sign", signature=good).status_code == 403
    assert desk.stand.commanded.orders == []


def test_who_left_signs_nothing_and_who_is_left_is_named(desk: Promoting, tmp_path: Path) -> None:
    """From the day on that the file says; with too few left the page says so before anyone asks."""
    path = desk.prepare("risk-officer")
    signature = desk.signature("risk-officer", path)
    listed = yaml.safe_load(desk.everyone.file.read_text())
    listed["persons"][0]["left"] = "2020-01-01"
    desk.everyone.file.write_text(yaml.safe_dump(listed))
    desk.stand.desk.rule = StepRule(read_persons(desk.everyone.file), 2)
    officer = desk.client("risk-officer")
    said = refused(officer.submit(f"{path}/sign", signature=signature))
    assert said == "risk-officer left (2020-01-01): what they sign no longer counts."
    assert "Your signature would not count here: admin may sign this" in officer.get(path).text
    assert "These are too few: it cannot come into force." in officer.get("/promotions/step", params=step_of(2)).text


def test_a_request_that_the_registry_has_overtaken_is_neither_signed_nor_sent(desk: Promoting) -> None:
    """Also where it had all its signatures; the page says what to do."""
    first, second = desk.prepare("risk-officer"), desk.prepare("risk-officer", 3)
    late = desk.signature("admin", second)
    desk.sign("risk-officer", first)
    desk.sign("risk-officer", second)
    desk.sign("admin", first)
    settled(desk, first)
    assert desk.decides() == "fraud/2"
    admin = desk.client("admin")
    said = refused(admin.submit(f"{second}/sign", signature=late))
    assert said.startswith(
        "The registry has moved on: fraud's champion is fraud/2 now, and this was asked for when it was empty."
    )
    assert "Sign it where your key is" not in admin.get(second).text
    assert refused(admin.submit(f"{second}/send")) == "Others have to agree first."
    assert desk.decides() == "fraud/2"
    assert refused(admin.submit(f"{first}/send")).startswith("This request is done")
    old = desk.client("risk-officer").submit("/promotions", **step_of(3), steps="3", reason="again")
    assert "has a newer step than the page" in refused(old)


def test_a_request_that_is_over_takes_no_signature(desk: Promoting, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time that it says itself; a rejected one neither."""
    path, other = desk.prepare("risk-officer"), desk.prepare("risk-officer", 3)
    signature = desk.signature("admin", path)
    desk.client("admin").submit(other, action="reject")
    assert "This request is rejected" in refused(desk.client("admin").submit(f"{other}/sign", signature=signature))
    for record in list(desk.stand.writer.records):
        said = json.loads(record.statement) if record.statement and path.endswith(record.request_id) else None
        if said:
            text = json.dumps(said | {"expires_at_ms": said["at_ms"] + 1})
            over = record.model_copy(update={"statement": text, "digest": approvals.digest_of(text)})
            desk.stand.writer.records[desk.stand.writer.records.index(record)] = over
    assert "This request is over: prepare it again." in refused(
        desk.client("admin").submit(f"{path}/sign", signature=signature)
    )


def test_what_a_partition_refuses_is_taken_back_said_and_sent_again(desk: Promoting) -> None:
    """The request waits on: with the same signatures it is sent again once the cause is gone."""
    desk.stand.commanded.refusal = "the policy reads what is not there"
    path = desk.prepare("risk-officer")
    desk.sign("risk-officer", path)
    desk.sign("admin", path)
    page = settled(desk, path)
    assert "partition 2 refused it (the policy reads what is not there)" in page
    assert "Send it again" in page
    assert desk.decides() == "None"
    desk.stand.commanded.refusal, desk.stand.commanded.error = None, AssayError("Kafka at broker:9092 does not answer.")
    assert desk.client("risk-officer").submit(f"{path}/send").status_code == 303
    assert "Kafka at broker:9092 does not answer. It may have been taken up" in settled(desk, path)
    desk.stand.commanded.error = None
    desk.client("lead").submit(f"{path}/send")
    assert "Active." in settled(desk, path)
    assert desk.decides() == "fraud/2"
    ids = {order.command_id for order in desk.stand.commanded.orders}
    assert len(ids) == 3, "each try is a command of its own"


def test_two_changes_are_not_on_their_way_at_once(desk: Promoting) -> None:
    """The second one waits, signed as it is; how far the first is can be seen."""
    first, second = desk.prepare("risk-officer"), desk.prepare("risk-officer", 3, channel="challenger")
    for path in (first, second):
        desk.sign("risk-officer", path)
    desk.stand.commanded.hold.clear()
    try:
        desk.sign("admin", first)
        deadline_s = time.monotonic() + 20
        while "1 of 4 partitions have answered" not in desk.client("viewer").get(f"{first}/live").text:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        assert "is on its way: try again" in refused(desk.sign("admin", second))
    finally:
        desk.stand.commanded.hold.set()
    settled(desk, first)
    assert desk.client("admin").submit(f"{second}/send").status_code == 303
    settled(desk, second)
    assert str(desk.registry.holds("fraud", "challenger")) == "fraud/3"


def test_a_rollback_and_a_withdrawal_go_the_same_way(desk: Promoting) -> None:
    """To the policy of before; to none, where there was none; a challenger is withdrawn."""
    for version in (1, 2):
        path = desk.prepare("risk-officer", version)
        desk.sign("risk-officer", path)
        desk.sign("admin", path)
        settled(desk, path)
    for wanted in ("fraud/1", "None"):
        path = desk.prepare("admin", None, step="rollback")
        desk.sign("risk-officer", path)
        desk.sign("admin", path)
        assert "Active." in settled(desk, path)
        assert desk.decides() == wanted
    orders = desk.stand.commanded.orders[-2:]
    assert [(order.rollback, str(order.replaces), str(order.bundle)) for order in orders] == [
        (True, "fraud/2", "fraud/1"),
        (True, "fraud/1", "None"),
    ]
    answer = desk.client("admin").get("/promotions/step", params=step_of(None, step="rollback"))
    assert (answer.status_code, "nothing to take back" in answer.text) == (409, True)


def test_the_consequence_is_shown_as_text_before_anyone_signs(desk: Promoting) -> None:
    """Rules that are new, thresholds that move; what would not be a step is refused with a sentence."""
    path = desk.prepare("risk-officer", 1)
    desk.sign("risk-officer", path)
    desk.sign("admin", path)
    settled(desk, path)
    officer = desk.client("risk-officer")
    page = officer.get("/promotions/step", params=step_of(2)).text
    assert "rule rule_2" in page
    assert "rule rule_1" not in page
    assert '<th scope="row">thresholds probability</th><td class="value">0.51</td><td class="value">0.52</td>' in page
    assert "<script>alert" not in page
    assert "<script>alert" not in officer.get("/promotions").text
    for fields, status in (
        ({"version": "9"}, 409), ({"version": "1"}, 409), ({"version": "-1"}, 400), ({"version": ""}, 409),
        ({"subject": "list"}, 400), ({"step": "enter"}, 400), ({"channel": "thresholds"}, 400),
        ({"step": "withdraw", "channel": "challenger", "version": ""}, 409), ({"version": "1" * 40}, 400),
    ):  # fmt: skip
        answer = officer.get("/promotions/step", params={**step_of(2), **fields})
        assert answer.status_code == status, fields
        assert "Traceback" not in answer.text


def test_without_anyone_who_has_to_agree_the_page_names_the_command(tmp_path: Path, users_file: Path) -> None:
    """And takes no request, also where someone posts it; a second person's click is enough where that is set."""
    with promoting(tmp_path, users_file, signatures_min=0) as desk:
        officer = desk.client("risk-officer")
        page = officer.get("/promotions/step", params=step_of(2)).text
        assert "assay policy promote fraud/2" in page
        assert 'action="/promotions"' not in page
        assert officer.submit("/promotions", **step_of(2), steps="3", reason="x").status_code == 409
        assert desk.stand.writer.records == []


def test_a_second_persons_click_is_enough_where_no_one_has_to_sign(
    tmp_path: Path, users_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never one's own."""
    monkeypatch.setenv("ASSAY_PERSONS_FOUR_EYES", "policies")
    with promoting(tmp_path, users_file, signatures_min=0) as desk:
        path = desk.prepare("lead")
        lead = desk.client("lead")
        assert 'value="approve"' not in lead.get(path).text
        assert refused(lead.submit(f"{path}/send")) == "Others have to agree first."
        assert "No one has to sign here" in refused(lead.submit(f"{path}/sign", signature="{}"))
        assert desk.client("admin").submit(path, action="approve").headers["location"] == path
        assert lead.submit(f"{path}/send").status_code == 303
        assert "Active." in settled(desk, path)
        assert desk.decides() == "fraud/2"


def test_a_console_without_a_registry_says_which_setting_names_it(tmp_path: Path, users_file: Path) -> None:
    """404, with a sentence."""
    from tests.services.console.stand import running
    from tests.services.console.test_gate import client

    with running(tmp_path, users_file, []) as stand:
        answer = client(stand, "lead").get("/promotions")
        assert (answer.status_code, "ASSAY_REGISTRY_URL" in answer.text) == (404, True)


def test_what_is_to_be_signed_is_shown_and_what_is_not_as_it_says_is_not_signed(
    desk: Promoting, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a persons file and without Kafka; signed ones, garbage, stale ones and no key are each a sentence."""
    path = desk.prepare("risk-officer")
    signature = desk.signature("admin", path)
    words = " ".join(capsys.readouterr().err.split())
    assert "promote policy fraud/2" in words
    assert policy_of(2).digest() in words
    file = tmp_path / "file.json"
    for text, why in ((signature, "signed already"), ("{", NO_FILE), (prepared("{}"), "no step"), ("\udcff", NO_FILE)):
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(Exception, match=why):
            sign_prepared(file, desk.everyone.key_file("admin"))
    monkeypatch.delenv("ASSAY_PERSONS_KEY_FILE", raising=False)
    file.write_text(desk.client("admin").submit(f"{path}/file").text)
    with pytest.raises(AssayError, match="No key is named"):
        sign_prepared(file, None)
    with pytest.raises(AssayError, match="cannot be read"):
        sign_prepared(tmp_path / "none.json", None)
    monkeypatch.setenv("ASSAY_PERSONS_FILE", str(desk.everyone.file))
    sign_prepared(file, desk.everyone.key_file("admin"))
    with pytest.raises(AssayError, match="has no person with the key"):
        sign_prepared(file, tmp_path / "policies.key")
