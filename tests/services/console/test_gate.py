"""Attacks on the pages: every route as every role, forged forms, text of events, other people's sessions. No Kafka."""

import copy
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas import codec
from schemas.alert import Alert
from schemas.case import Case
from services.console.roles import ROLES, may
from services.console.routes import TABLE, Route
from services.console.sessions import FAILURES_MAX, FAILURES_S, Sessions, Throttle
from tests.services.cases.test_stream import alert
from tests.services.console.conftest import HOSTILE, PASSWORD, Client, hostile
from tests.services.console.stand import Stand, case_of, running

FORMS = {
    "decide": {"action": "confirm"},
    "work": {"action": "note", "note": "seen"},
    "snooze": {"action": "mute", "hours": "24"},
    "list": {"list_name": "stolen", "reason": "called"},
    "unmask": {"reason": "the bank calls"},
    "approve": {"action": "approve", "request": "5"},
    "{request_id}": {"action": "reject"},
    "file": {"reason": "the bank calls"},
    "sign": {"signature": "none"},
    "promotions": {
        "subject": "policy",
        "step": "promote",
        "channel": "champion",
        "version": "1",
        "steps": "1",
        "reason": "x",
    },
    "bulk": {"action": "dismiss", "case": "0-50~1"},
}


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory, users_file: Path) -> Iterator[Stand]:
    """Some cases, one of them an attack."""
    cases = [case_of([alert(number, f"card-pseudonym-{number:04d}")], 10 * number) for number in range(30)]
    cases.append(case_of([hostile()], 5000))
    with running(tmp_path_factory.mktemp("stand"), users_file, cases) as stand:
        yield stand


def client(stand: Stand, name: str | None = None) -> Client:
    """Someone; logged in where they have a name."""
    one = Client(base_url=stand.url, timeout=30)
    if name:
        assert one.login(name).status_code == 303
    return one


def ask(one: httpx.Client, route: Route, case_id: str, **fields: str) -> httpx.Response:
    """The route, with a form that it could take."""
    path = route.path.replace("{case_id}", case_id).replace("{batch}", "none").replace("{name}", "none.html")
    if route.method == "GET":
        return one.get(path)
    return one.post(path, data={"csrf": "", **FORMS.get(path.rpartition("/")[2], {}), **fields})


@pytest.mark.parametrize("role", ROLES)
def test_every_route_refuses_every_role_that_its_permission_is_not_of(stand: Stand, role: str) -> None:
    """Generated of the routes: 403 and nothing changed for the wrong role, no 403 for the right one."""
    one, case_id = client(stand, role), "0-10"
    token = one.csrf
    for route in TABLE:
        answer = ask(one, route, case_id, csrf=token)
        allowed = may(role, route.permission)  # type: ignore[arg-type]
        assert (answer.status_code != 403) == allowed, (role, route.path, answer.status_code)
        assert answer.status_code < 500, (route.path, answer.text)


def test_every_route_sends_someone_without_a_session_to_the_login(stand: Stand) -> None:
    """Whatever they post."""
    for route in TABLE:
        answer = ask(client(stand), route, "0-20")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), route.path


def test_no_form_is_taken_without_the_token_of_its_own_session(stand: Stand) -> None:
    """None, another session's, or one sent from another site; in every case nothing is done."""
    one, other = client(stand, "lead"), client(stand, "admin")
    before = stand.desk.queries.case("0-30")
    for route in TABLE:
        if route.method == "POST":
            assert ask(one, route, "0-30").status_code == 403, route.path
            assert ask(one, route, "0-30", csrf=other.csrf).status_code == 403, route.path
            one.headers["origin"] = "https://evil.example"
            assert ask(one, route, "0-30", csrf=one.csrf).status_code == 403, route.path
            del one.headers["origin"]
    assert stand.desk.queries.case("0-30") == before
    assert stand.writer.entries == [] or stand.writer.entries[-1].source != "console, case 0-30"


def test_a_login_form_of_another_site_logs_no_one_in(stand: Stand) -> None:
    """Its token is not the cookie's; the right password does not help."""
    answer = client(stand).post("/login", data={"token": "theirs", "name": "ana", "password": PASSWORD})
    assert answer.status_code == 403
    assert "assay=" not in answer.headers.get("set-cookie", "")


def test_a_session_that_someone_planted_is_not_the_one_after_login(stand: Stand) -> None:
    """A login gives a token of its own, and ends the session that the browser came with."""
    attacker = client(stand, "viewer")
    planted = attacker.cookies["assay"]
    victim = client(stand)
    victim.cookies.set("assay", planted, domain="127.0.0.1")
    victim.login("lead")
    tokens = {cookie.value for cookie in victim.cookies.jar if cookie.name == "assay"}
    assert tokens - {planted}
    assert attacker.get("/queue").status_code == 303


def test_who_logged_out_is_out_on_both_sides(stand: Stand) -> None:
    """The old cookie opens nothing."""
    one = client(stand, "ana")
    token = one.cookies["assay"]
    one.submit("/logout")
    again = client(stand)
    again.cookies.set("assay", token, domain="127.0.0.1")
    assert again.get("/queue").headers["location"] == "/login"


def test_no_text_of_an_event_or_a_person_becomes_markup(stand: Stand) -> None:
    """Every text field of an alert, a note, a search, an error is an attack; the pages hold no tag of theirs."""
    one = client(stand, "lead")
    one.submit("/cases/0-5000/work", action="note", note=HOSTILE)
    one.submit("/cases/0-5000/decide", action="confirm", note=HOSTILE)
    pages = [
        one.get("/cases/0-5000"),
        one.get("/cases/0-5000/live", params={"version": HOSTILE}),
        one.get("/queue"),
        one.get("/search", params={"q": HOSTILE}),
        one.get("/live", params={"seen": HOSTILE}),
        one.submit("/cases/0-5000/list", list_name=HOSTILE, reason=HOSTILE),
    ]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
        assert "49}" not in page.text
        assert not re.search(r"<[^>]*\son\w+=", page.text)
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
    assert "&lt;script&gt;alert(1)" in pages[0].text


def test_a_case_that_is_not_there_and_an_id_that_is_none_are_404(stand: Stand) -> None:
    """Nothing of a path reaches a statement or a file."""
    one = client(stand, "lead")
    for case_id in ("0-999999", "..%2f..%2fetc%2fpasswd", "0-1'%20or%20'1'='1", "%00"):
        assert one.get(f"/cases/{case_id}").status_code == 404
    assert one.get("/static/../app.py").status_code == 404
    assert one.get("/static/%2e%2e/app.py").status_code == 404


def test_hosts_that_are_not_ours_and_large_bodies_are_refused_before_anything_is_read(stand: Stand) -> None:
    """A name that another site has pointed at this machine; a body beyond the limit, or of no said length."""
    one = client(stand, "ana")
    assert one.get("/queue", headers={"host": "evil.example"}).status_code == 421
    for host in ("10.1.2.3:8490", "[2001:db8::1]:8490"):  # so clusters ask, and no page of another lies there
        assert [one.get(path, headers={"host": host}).status_code for path in ("/livez", "/metrics")] == [200, 200]
        assert one.get("/queue", headers={"host": host}).status_code == 421
    assert one.get("/metrics", headers={"host": "evil.example"}).status_code == 421
    assert one.post("/next", content=b"a" * (300 << 10)).status_code == 413
    assert one.post("/next", content=iter([b"csrf=1"])).status_code == 413


def test_an_analyst_cannot_overrule_or_assign_others_by_fields_that_the_page_does_not_show(stand: Stand) -> None:
    """The role counts, not the form."""
    one = client(stand, "ana")
    assert one.submit("/cases/0-40/decide", action="confirm", overrule="1").status_code == 403
    assert one.submit("/cases/0-40/work", action="assign", assignee="ben").status_code == 403
    assert one.submit("/cases/0-40/decide", action="forget").status_code == 400
    assert one.submit("/cases/0-40/work", action="expire").status_code == 400


def test_a_user_who_was_removed_or_has_another_role_is_treated_so_at_the_next_request(
    tmp_path: Path, users_file: Path
) -> None:
    """The file counts, not the session."""
    from services.console.users import read_users, write_users

    path = tmp_path / "users.json"
    users = read_users(users_file)
    write_users(path, users)
    with running(tmp_path, path, [case_of([alert(1, "card-pseudonym-0001")], 0)]) as stand:
        lead, ana = client(stand, "lead"), client(stand, "ana")
        token = lead.csrf
        changed = [user.model_copy(update={"role": "viewer"}) if user.name == "lead" else user for user in users]
        write_users(path, [user for user in changed if user.name != "ana"])
        assert lead.post("/cases/0-0/decide", data={"csrf": token, "action": "confirm"}).status_code == 403
        assert ana.get("/queue").headers["location"] == "/login"


def test_wrong_passwords_shut_a_name_for_a_while() -> None:
    """Five of them, for five minutes; the right one before that forgets them."""
    now_s = 0.0
    throttle = Throttle(lambda: now_s)
    for _ in range(FAILURES_MAX):
        assert not throttle.is_shut("ana")
        throttle.failed("ana")
    assert throttle.is_shut("ana")
    assert not throttle.is_shut("ben")
    now_s = FAILURES_S + 1
    assert not throttle.is_shut("ana")


def test_of_names_that_no_one_has_little_is_remembered() -> None:
    """What is typed there may be as long as a form."""
    throttle = Throttle(lambda: 0.0)
    for number in range(FAILURES_MAX):
        throttle.failed("x" * 200_000 + str(number))
    assert throttle.is_shut("x" * 200_000)
    assert max(map(len, throttle._failures)) <= 65
    throttle.succeeded("x" * 200_000)
    assert not throttle.is_shut("x" * 200_000)


def test_a_session_ends_when_it_is_old_or_idle() -> None:
    """By a clock that never jumps."""
    now_s = 0.0
    sessions = Sessions(100, 30, lambda: now_s)
    used, idle = sessions.begin("ana"), sessions.begin("ben")
    for now_s in (20.0, 45.0, 70.0, 95.0):  # noqa: B007
        assert sessions.of(used) is not None
    assert sessions.of(idle) is None
    now_s = 101.0
    assert sessions.of(used) is None
    assert sessions.of("") is None


def full() -> dict[str, Any]:
    """An alert with every text that one can have, as the schema writes it."""
    shown = [{"name": "device", "words": "Device", "text": "d-1"}]
    ruled = {"policy": "fraud/1@0123456789ab", "rules": ["gift_cards"], "rule_words": ["gift cards at night"]}
    made = alert(1, "card-pseudonym-0001").model_dump(mode="json", exclude_none=True)
    return {**made, **ruled, "action": "review", "attributes": shown}


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document there is a text."""
    if isinstance(value, str):
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from texts(child, (*path, key))


def with_text(document: dict[str, Any], path: tuple[Any, ...], text: str) -> dict[str, Any]:
    """The document with another text there."""
    changed = copy.deepcopy(document)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = text
    return changed


ATTACKS = {
    "tag": HOSTILE,
    "attribute": "' onmouseover='alert(1)",
    "comment": "--><img src=x onerror=alert(1)><!--",
    "address": "javascript:alert(1)",
}


class Dangers(HTMLParser):
    """What of a page could run: scripts without our address, images, handlers, addresses that are scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As a browser reads it."""
        given = {name: value or "" for name, value in attrs}
        if tag in ("img", "iframe", "object") or (tag == "script" and not given.get("src", "").startswith("/static/")):
            self.found.append(tag)
        self.found += [name for name in given if name.startswith("on")]
        addresses = [given.get(name, "") for name in ("href", "src", "action", "formaction", "hx-get")]
        self.found += [one for one in addresses if one.strip().lower().startswith("javascript:")]


def cases_of_attacks() -> dict[str, Case]:
    """A case for each text field of an alert and each attack that its schema lets through."""
    found: dict[str, Case] = {}
    for path in texts(full()):
        for name, attack in ATTACKS.items():
            try:
                attacking = codec.read(Alert, json.dumps(with_text(full(), path, attack)).encode())
                found[f"{'.'.join(map(str, path))}: {name}"] = case_of([attacking], 10_000 + len(found))
            except codec.RejectedError:
                continue  # the schema refuses it: it becomes no case
    return found


@pytest.mark.slow
def test_every_text_field_of_an_event_is_shown_as_text(tmp_path: Path, users_file: Path) -> None:
    """Generated of the alert's schema: what it lets through is text on the case's, the queue's and the search's page."""
    assert Dangers(f"<a href='javascript:1' onclick=x>{HOSTILE}").found == ["onclick", "javascript:1", "script"]
    attacks = cases_of_attacks()
    fields = {name.partition(":")[0] for name in attacks}
    assert fields >= {"transaction_id", "card_id", "terminal_id", "reasons.0.text", "rule_words.0", "attributes.0.text"}
    with running(tmp_path, users_file, list(attacks.values()), page_cases=500) as stand:
        one = client(stand, "lead")
        queue = one.get("/queue").text
        for name, case in attacks.items():
            found = [queue, one.get(f"/cases/{case.case_id}").text, one.get("/search", params={"q": case.card_id}).text]
            for page in found:
                assert Dangers(page).found == [], name
                assert "49}" not in page, name


def test_pages_of_other_programs_are_shown_in_a_sandbox_and_no_path_leads_out_of_their_folder(
    tmp_path: Path, users_file: Path
) -> None:
    """Links, other folders, other endings, names that climb: 404."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "week 1.html").write_text("<h1>What if</h1>")
    (tmp_path / "pages" / "keys.txt").write_text("secret")
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "pages" / "link.html").symlink_to(tmp_path / "secret.html")
    with running(tmp_path, users_file, [], pages_dir=tmp_path / "pages") as stand:
        one = client(stand, "risk-officer")
        assert 'href="/overview/pages/week%201.html"' in one.get("/overview").text
        answer = one.get("/overview/pages/week 1.html")
        assert (answer.status_code, answer.text) == (200, "<h1>What if</h1>")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert len(answer.headers.get_list("content-security-policy")) == 1
        for name in ("link.html", "keys.txt", "..%2fsecret.html", "%2e%2e%2fsecret.html", "nothing.html"):
            assert one.get(f"/overview/pages/{name}").status_code == 404, name
