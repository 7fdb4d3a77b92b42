"""Bearer tokens of an OpenID provider: real signatures, keys from a real HTTP server."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from services.errors import SettingsError
from services.gateway.access import Access, Asking
from services.gateway.bearer import FETCH_INTERVAL_S_MIN, KEYS_AGE_S_MAX, KeysUnknownError, TokenError, Tokens
from services.gateway.keys import SCOPES, make_key, write_keys
from services.gateway.problems import Kind, ProblemError
from services.settings.gateway import GatewaySettings
from tests.services.gateway.asking import JSON
from tests.services.gateway.serving import Written, served
from tests.services.harness import payment

RSA = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("one", "two")}
EC = ec.generate_private_key(ec.SECP256R1())
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  (to be refused)
AUDIENCE = "assay-gateway"
PATIENCE_S = 5.0


class Provider:
    """Serves a discovery document and a key set, and counts how often it is asked for the latter."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked, self.status, self.says_issuer = 0, 200, ""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = self.says_issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/keys":
                    provider.asked += 1
                    found: Any = {"keys": provider.keys}
                else:
                    found = {"issuer": provider.says_issuer, "jwks_uri": f"{provider.issuer}/keys"}
                body = json.dumps(found).encode()
                self.send_response(provider.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        return Handler

    def publish(self, **keys: Any) -> None:
        """Make these its keys, by id."""
        self.keys = [
            {
                **json.loads(
                    (RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm).to_jwk(key.public_key())
                ),
                "kid": kid,
                "use": "sig",
            }
            for kid, key in keys.items()
        ]

    def token(self, key: Any = None, kid: str | None = "one", algorithm: str = "RS256", **claims: Any) -> str:
        """A good token, but for what is given."""
        made = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "exp": time.time() + 300,
            "client_id": "checkout",
            "scope": "openid assay:decide",
            **claims,
        }
        made = {name: value for name, value in made.items() if value is not None}
        return jwt.encode(made, key or RSA["one"], algorithm, headers={"kid": kid} if kid else None)

    def settings(self, **changes: Any) -> GatewaySettings:
        """Of a gateway that takes its tokens."""
        return GatewaySettings(**{"oidc_issuer": self.issuer, "oidc_audience": AUDIENCE, **changes})


@pytest.fixture
def provider() -> Iterator[Provider]:
    """With one key."""
    made = Provider()
    made.publish(one=RSA["one"])
    yield made
    made.server.shutdown()
    made.server.server_close()


class Clock:
    """Seconds that a test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


async def test_a_good_token_names_its_client_and_opens_what_its_scopes_say(provider: Provider) -> None:
    """RSA and elliptic curve; text or list of scopes; a person's subject is hashed; keys are asked for once."""
    provider.publish(one=RSA["one"], curve=EC)
    tokens = Tokens(provider.settings(), None)
    assert await tokens.bearer(provider.token(), PATIENCE_S) == ("oidc.checkout", ("decide",))
    other = provider.token(
        EC, "curve", "ES256", client_id=None, sub="someone@example.com", scope=None, scp=["assay:read"]
    )
    name, scopes = await tokens.bearer(other, PATIENCE_S)
    assert scopes == ("read",)
    assert name.startswith("oidc.")
    assert "someone" not in name
    assert provider.asked == 1


async def test_a_scope_of_a_product_opens_that_products_gateways_alone(provider: Provider) -> None:
    """And one without a product all of them."""
    token = provider.token(scope="assay:decide:cards assay:read")
    found = {
        product: (await Tokens(provider.settings(), product).bearer(token, PATIENCE_S)).scopes
        for product in ("cards", "loans", None)
    }
    assert found == {"cards": ("decide", "read"), "loans": ("read",), None: ("read",)}


@pytest.mark.filterwarnings("ignore:The RSA key is 1024")
async def test_a_token_that_is_not_for_us_opens_nothing(provider: Provider) -> None:
    """Each with its reason; never by a key that is no signature key of the provider's, or by a shared secret."""
    provider.publish(one=RSA["one"], weak=WEAK)
    secret = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "secret", "alg": "HS256"}
    provider.keys += [{**json.loads(RSAAlgorithm.to_jwk(RSA["two"].public_key())), "kid": "two", "use": "enc"}, secret]
    tokens = Tokens(provider.settings(), None)
    good = provider.token()
    wrong = {
        "expired": provider.token(exp=time.time() - 60),
        "not valid yet": provider.token(nbf=time.time() + 600),
        "another audience": provider.token(aud="another"),
        "another issuer": provider.token(iss="https://another"),
        "lacks": provider.token(exp=None),
        "signature": provider.token(RSA["two"]),
        "its key": provider.token(RSA["two"], "two"),
        "its algorithm": provider.token("x" * 32, "secret", "HS256"),
        "client_id": provider.token(client_id=None),
        "no JWT": "x.y.z",
        "typ": jwt.encode({}, RSA["one"], "RS256", headers={"kid": "one", "typ": "dpop+jwt"}),
    }
    for why, token in wrong.items():
        with pytest.raises(TokenError, match=why):
            await tokens.bearer(token, PATIENCE_S)
    nested = f"{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.e30.x"
    late = provider.token(exp=1e400)
    for token in (
        provider.token(WEAK, "weak"),
        jwt.encode({"iss": "x"}, "", "none"),
        good[:-4] + "AAAA",
        "\ud800",
        "",
        nested,
        late,
    ):
        with pytest.raises(TokenError):
            await tokens.bearer(token, PATIENCE_S)
    assert (await tokens.bearer(good, PATIENCE_S)).name == "oidc.checkout"


async def test_a_new_key_is_found_and_a_withdrawn_one_opens_nothing(provider: Provider) -> None:
    """The provider is asked when a token names an unknown key, and no more often than that is allowed."""
    clock = Clock()
    tokens = Tokens(provider.settings(), None, clock)
    old, new = provider.token(), provider.token(RSA["two"], "two")
    await tokens.bearer(old, PATIENCE_S)
    provider.publish(two=RSA["two"])
    with pytest.raises(TokenError):
        await tokens.bearer(new, PATIENCE_S)
    assert provider.asked == 1
    clock.now_s += FETCH_INTERVAL_S_MIN
    await tokens.bearer(new, PATIENCE_S)
    with pytest.raises(TokenError):
        await tokens.bearer(old, PATIENCE_S)


async def test_while_the_provider_does_not_answer_its_keys_count_for_a_day(provider: Provider) -> None:
    """Afterwards, and before it has ever answered, no token can be judged."""
    clock = Clock()
    tokens = Tokens(provider.settings(), None, clock)
    await tokens.bearer(provider.token(), PATIENCE_S)
    provider.status = 500
    clock.now_s += FETCH_INTERVAL_S_MIN
    await tokens.fetch()
    assert await tokens.bearer(provider.token(jti="another"), PATIENCE_S)
    clock.now_s += KEYS_AGE_S_MAX
    with pytest.raises(KeysUnknownError):
        await tokens.bearer(provider.token(), PATIENCE_S)
    fresh = Tokens(provider.settings(), None, clock)
    with pytest.raises(KeysUnknownError):
        await fresh.bearer(provider.token(), PATIENCE_S)


async def test_a_discovery_document_of_another_issuer_is_not_believed(provider: Provider) -> None:
    """No key of it is taken."""
    provider.says_issuer = "https://another"
    with pytest.raises(KeysUnknownError):
        await Tokens(provider.settings(), None).bearer(provider.token(), PATIENCE_S)
    assert provider.asked == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"oidc_audience": None}, "ASSAY_GATEWAY_OIDC_AUDIENCE"),
        ({"oidc_issuer": "http://provider.example"}, "https"),
        ({"oidc_jwks_url": "http://provider.example/keys"}, "JWKS_URL"),
        ({"oidc_ca_file": "/missing.pem"}, "CA_FILE"),
    ],
)
def test_settings_that_would_take_too_much_stop_the_start(changes: dict[str, Any], said: str) -> None:
    """One sentence that names the variable."""
    with pytest.raises(SettingsError, match=said):
        Access(GatewaySettings(**{"oidc_issuer": "https://provider.example", "oidc_audience": "us", **changes}))


async def test_tokens_and_keys_work_side_by_side_over_http(provider: Provider, tmp_path: Any) -> None:
    """401 with the reason, 403 without the scope, 200; the event's record names who asked."""
    key, api_key = make_key("desk", SCOPES, None, 1, ("cards",))
    write_keys(tmp_path / "keys.json", [key])
    settings = provider.settings(keys_file=tmp_path / "keys.json", port=0, deadline_ms=1000)
    written = Written()
    async with served(settings, written) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answers = [
            await client.post(
                "/v1/events",
                content=json.dumps(payment(1)),
                headers={**JSON, "Assay-Deadline-Ms": deadline, "Authorization": f"Bearer {token}"},
            )
            for token, deadline in (
                (provider.token(), "1000"),
                (provider.token(scope="assay:read"), "1000"),
                (provider.token(exp=1), "1000"),
                (api_key, "1000"),
            )
        ]
    assert [answer.status_code for answer in answers] == [200, 403, 401, 403]
    assert "expired" in answers[2].json()["detail"]
    assert [event.client for event in written] == ["oidc.checkout"]


async def test_a_key_of_one_product_opens_no_gateway_of_another(tmp_path: Any) -> None:
    """Nor one without a product."""
    key, token = make_key("desk", SCOPES, None, 1, ("cards",))
    write_keys(tmp_path / "keys.json", [key])
    asking, settings = Asking("127.0.0.1", token, None, "-"), GatewaySettings(keys_file=tmp_path / "keys.json")
    assert (await Access(settings, "cards").client(asking, "decide")).name == "desk"
    for product in ("loans", None):
        with pytest.raises(ProblemError) as refused:
            await Access(settings, product).client(asking, "decide")
        assert refused.value.kind is Kind.FORBIDDEN
