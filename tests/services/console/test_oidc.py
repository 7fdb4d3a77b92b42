"""Sign-in at a real, small OpenID provider: code flow with PKCE, roles from claims, and what is refused. No Kafka."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from oidc_provider_mock import User as ProviderUser
from oidc_provider_mock import run_server_in_thread

from services.console.oidc import Provider, SignInError, roles_of
from services.errors import SettingsError
from services.oidc import discovered
from services.settings.console import ConsoleSettings
from tests.services.cases.test_stream import alert
from tests.services.console.conftest import Client
from tests.services.console.stand import Stand, case_of, running

PEOPLE = {
    "1": {"name": "olga", "groups": ["Fraud Analysts", "Canteen"]},
    "2": {"name": "rosa", "groups": ["Fraud Analysts", "Fraud Risk"]},
    "3": {"name": "carl", "groups": ["Canteen"]},
    "4": {"name": "ana", "groups": ["Fraud Risk"]},
    "5": {"name": "x y<script>", "groups": ["Fraud Risk"]},
    "6": {"name": "mona", "groups": {"Fraud Risk": True}},
}
"""By subject. Ana is a local user's name."""


def settings(issuer: str, **changes: Any) -> dict[str, Any]:
    """Of a console that trusts the provider."""
    return {
        "oidc_issuer": issuer,
        "oidc_client_id": "console",
        "oidc_client_secret": "a secret of the console",
        "oidc_name_claim": "login",
        "oidc_role_claim": "assay.groups",
        "oidc_roles": "analyst=Fraud Analysts, risk-officer=Fraud Risk",
        **changes,
    }


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The provider's address."""
    people = [
        ProviderUser(sub=sub, claims={"login": one["name"], "assay": {"groups": one["groups"]}})
        for sub, one in PEOPLE.items()
    ]
    with run_server_in_thread(require_nonce=True, user_claims=people) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def stand(issuer: str, tmp_path_factory: pytest.TempPathFactory, users_file: Path) -> Iterator[Stand]:
    """A console beside it."""
    case = case_of([alert(1, "card-pseudonym-0001")], 10)
    with running(tmp_path_factory.mktemp("oidc"), users_file, [case], **settings(issuer)) as stand:
        yield stand


def browser(stand: Stand) -> Client:
    """Someone's."""
    return Client(base_url=stand.url, timeout=30)


def answer(one: Client, sub: str) -> str:
    """The way over the provider's page; where it sends the browser back to, as a path of the console."""
    begun = one.get("/login/oidc")
    assert begun.status_code == 303, begun.text
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert (asked["code_challenge_method"], asked["response_type"]) == (["S256"], ["code"])
    given = httpx.post(begun.headers["location"], data={"sub": sub}, timeout=30)
    assert given.status_code in (302, 303), given.text
    back = urlsplit(given.headers["location"])
    return f"{back.path}?{back.query}"


def test_people_sign_in_with_the_role_that_their_claims_give(stand: Stand) -> None:
    """Of two roles the one that may most; both stand in the trail, and the page leads on."""
    for sub, name, role in (("1", "olga", "analyst"), ("2", "rosa", "risk-officer")):
        one = browser(stand)
        page = one.get(answer(one, sub))
        assert (page.status_code, 'content="0;url=/queue"' in page.text) == (200, True)
        assert f'title="{role}">{name}' in one.get("/queue").text
        entry = json.loads(stand.writer.noted[-1][1])
        assert (entry["by"], entry["role"], entry["action"], entry["outcome"]) == (name, role, "sign-in", "done")
    one = browser(stand)
    one.get(answer(one, "1"))
    assert one.submit("/cases/0-10/work", action="take").status_code == 303
    assert one.submit("/cases/0-10/unmask", reason="curious").status_code == 403
    one.submit("/logout")
    assert one.get("/queue").status_code == 303


@pytest.mark.parametrize(
    ("sub", "words"), [("3", "no role"), ("4", "local user"), ("5", "cannot be used"), ("6", "no role")]
)
def test_who_has_no_role_or_no_name_of_their_own_is_refused(stand: Stand, sub: str, words: str) -> None:
    """No session, and a sentence that says whom to ask."""
    one = browser(stand)
    page = one.get(answer(one, sub))
    assert (page.status_code, words in page.text) == (403, True)
    assert one.get("/queue").status_code == 303


def test_an_answer_counts_once_in_the_browser_that_asked_and_for_the_state_that_was_given(stand: Stand) -> None:
    """Not in another's browser (a login of someone else), not twice, not with another state or code."""
    one, other = browser(stand), browser(stand)
    back = answer(one, "1")
    assert other.get(back).status_code == 403
    assert one.get(back).status_code == 200, "the other's try has used nothing up"
    assert browser(stand).get(back).status_code == 403
    assert one.get(back).status_code == 403
    back = answer(other, "1")
    assert other.get(back.replace("state=", "state=x")).status_code == 403
    back = answer(other, "1")
    assert other.get(back.replace("code=", "code=x")).status_code == 403
    back = answer(other, "1")
    assert other.get(back + "&iss=https%3A%2F%2Fevil.example").status_code == 403
    assert other.get("/login/oidc/answer?error=access_denied").status_code == 403
    assert other.get("/queue").status_code == 303


async def test_sign_ins_that_others_begin_push_out_no_ones(
    issuer: str,
) -> None:
    """Nothing is kept of one that is under way; it is over after its time, and counts in the process that began it alone."""
    now_s = [0.0]
    provider = Provider(ConsoleSettings(**settings(issuer)), lambda: now_s[0])
    first = await provider.begin("http://localhost")
    kept = {name: len(value) for name, value in vars(provider).items() if hasattr(value, "__len__")}
    for _ in range(3):
        await provider.begin("http://localhost")
    assert {name: len(value) for name, value in vars(provider).items() if hasattr(value, "__len__")} == kept
    state = parse_qs(urlsplit(first.url).query)["state"][0]
    query = {"state": state, "code": "x"}
    with pytest.raises(SignInError, match="does not hold"):
        await provider.user(query, first.secret)
    for secret in (None, "", "é", "AAAA", first.secret[:-8], (await provider.begin("http://localhost")).secret):
        with pytest.raises(SignInError, match="not begun"):
            await provider.user(query, secret)
    with pytest.raises(SignInError, match="not begun"):
        await Provider(ConsoleSettings(**settings(issuer))).user(query, first.secret)
    now_s[0] = 601.0
    with pytest.raises(SignInError, match="not begun"):
        await provider.user(query, first.secret)


async def test_answers_that_do_not_hold_have_the_provider_asked_no_more_than_now_and_then(
    issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone can bring one."""
    asked = 0

    async def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await discovered(*arguments)

    monkeypatch.setattr("services.console.oidc.discovered", counted)
    now_s = [0.0]
    provider = Provider(ConsoleSettings(**settings(issuer)), lambda: now_s[0])
    for at_s in (1.0, 2.0, 12.0, 13.0):
        now_s[0] = at_s
        begun = await provider.begin("http://localhost")
        with pytest.raises(SignInError, match="does not hold"):
            await provider.user({"state": parse_qs(urlsplit(begun.url).query)["state"][0], "code": "x"}, begun.secret)
    assert asked == 2


async def test_a_token_that_is_of_another_client_issuer_or_sign_in_is_refused(issuer: str) -> None:
    """The provider's own signature is not enough."""
    provider = Provider(ConsoleSettings(**settings(issuer)))
    key, stranger = ECKey.generate_key("P-256", auto_kid=True), ECKey.generate_key("P-256", auto_kid=True)
    good = {"iss": issuer, "aud": "console", "exp": 4_000_000_000, "nonce": "n", "sub": "1"}

    def token(claims: dict[str, Any], by: ECKey = key) -> dict[str, str]:
        return {"id_token": jwt.encode({"alg": "ES256", "kid": by.kid}, claims, by)}

    keys = KeySet([key])
    assert provider._claims(token(good), keys, "n")["sub"] == "1"
    spoilt: list[dict[str, Any]] = [
        {"iss": "https://evil.example"}, {"aud": "another"}, {"exp": 1}, {"nonce": "m"}, {"azp": "another"},
    ]  # fmt: skip
    for change in spoilt:
        with pytest.raises((ValueError, JoseError)):
            provider._claims(token(good | change), keys, "n")
    for missing in ("iss", "aud", "exp", "nonce"):
        with pytest.raises(JoseError):
            provider._claims(token({k: v for k, v in good.items() if k != missing}), keys, "n")
    with pytest.raises((ValueError, JoseError)):
        provider._claims(token(good, stranger), keys, "n")


def test_settings_that_cannot_work_are_one_sentence() -> None:
    """No client, an address in clear, a role that is none."""
    with pytest.raises(SettingsError, match="OIDC_CLIENT_ID"):
        Provider(ConsoleSettings(oidc_issuer="https://id.example"))
    with pytest.raises(SettingsError, match="https"):
        Provider(ConsoleSettings(oidc_issuer="http://id.example", oidc_client_id="c"))
    with pytest.raises(SettingsError, match="king"):
        roles_of("king=Fraud")
    assert roles_of("lead = A=B ,") == {"A=B": "lead"}


def test_without_a_provider_there_is_no_such_page(tmp_path: Path, users_file: Path) -> None:
    """And a provider that does not answer is one sentence."""
    with running(tmp_path, users_file, []) as stand:
        assert browser(stand).get("/login/oidc").status_code == 404
        assert "organisation" not in browser(stand).get("/login").text
    (tmp_path / "other").mkdir()
    with running(tmp_path / "other", users_file, [], **settings("http://localhost:9")) as stand:
        page = browser(stand).get("/login/oidc")
        assert (page.status_code, "does not answer" in page.text) == (503, True)
