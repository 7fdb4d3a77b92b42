"""Sign-in at an OpenID provider: code flow with PKCE (RFC 7636), a nonce, and an ID token that is checked here."""

import base64
import json
import secrets
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from schemas import codec
from services.clock import monotonic_s, wall_ms
from services.console.roles import ROLES, Role
from services.console.sessions import same
from services.console.users import User
from services.errors import SettingsError
from services.oidc import BOUNDED, AnotherProviderError, answer_of, discovered, is_trusted, tls_context
from services.settings.console import ConsoleSettings

with warnings.catch_warnings(record=True):  # else who starts the console reads which library that one will use one day
    from authlib.common.errors import AuthlibBaseError
    from authlib.integrations.httpx_client import AsyncOAuth2Client

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
TIMEOUT_S = 10.0
METADATA_AGE_S_MAX = 3_600.0
METADATA_AGE_S_MIN = 10.0
"""An answer that does not hold has them read again, but no more often: anyone can bring one."""
PENDING_S_MAX = 600.0
SEAL_NONCE_BYTES = 12
LEEWAY_S = 30
ANSWER_PATH = "/login/oidc/answer"
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class SignInError(Exception):
    """Why no one is signed in, in words for who tries."""


class Begun(NamedTuple):
    """A sign-in under way. url: where the browser goes. secret: for a cookie, which ties the answer to this browser."""

    url: str
    secret: str


class _Pending(NamedTuple):
    """A sign-in under way, as the cookie has it, sealed: who begins many takes nothing from others."""

    state: str
    verifier: str
    nonce: str
    redirect: str
    began_s: float


def roles_of(text: str) -> dict[str, Role]:
    """Values of the claim, and the role of each. text: ROLE=VALUE, comma-separated. Raises SettingsError."""
    if not text.strip():
        return {role: role for role in ROLES}
    found: dict[str, Role] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        role, mark, value = pair.partition("=")
        known = next((one for one in ROLES if one == role.strip()), None)
        if known is None or not mark or not value.strip():
            raise SettingsError(
                f"ASSAY_CONSOLE_OIDC_ROLES has {pair}: write ROLE=VALUE, where a role is one of {', '.join(ROLES)}."
            )
        found[value.strip()] = known
    return found


class Provider:
    """The provider of the settings. Its metadata and keys are read when someone signs in, and kept for an hour."""

    def __init__(self, settings: ConsoleSettings, clock_s: Callable[[], float] = monotonic_s) -> None:
        """Raises SettingsError where the settings cannot be used."""
        assert settings.oidc_issuer is not None, "a provider without an issuer"
        if settings.oidc_client_id is None:
            raise SettingsError(
                "ASSAY_CONSOLE_OIDC_ISSUER needs ASSAY_CONSOLE_OIDC_CLIENT_ID, as the provider knows the console."
            )
        if not is_trusted(settings.oidc_issuer):
            raise SettingsError(
                "ASSAY_CONSOLE_OIDC_ISSUER is not an https:// address: keys and tokens must come over TLS."
            )
        self._issuer, self._client_id = settings.oidc_issuer, settings.oidc_client_id
        self._settings, self._clock_s = settings, clock_s
        self._roles = roles_of(settings.oidc_roles)
        self._tls = tls_context(settings.oidc_ca_file, "ASSAY_CONSOLE_OIDC_CA_FILE")
        self._metadata: tuple[float, Mapping[str, Any], KeySet] | None = None
        self._seal = AESGCM(AESGCM.generate_key(256))

    def _client(self, redirect: str) -> AsyncOAuth2Client:
        secret = self._settings.oidc_client_secret
        return AsyncOAuth2Client(
            client_id=self._client_id,
            client_secret=secret.get_secret_value() if secret else None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=self._settings.oidc_scopes,
            redirect_uri=redirect,
            code_challenge_method="S256",
            verify=self._tls,
            event_hooks=BOUNDED,
            timeout=TIMEOUT_S,
        )

    async def _known(self) -> tuple[Mapping[str, Any], KeySet]:
        """Metadata and keys. Raises SignInError where the provider does not answer as one."""
        if self._metadata is not None and self._clock_s() - self._metadata[0] < METADATA_AGE_S_MAX:
            return self._metadata[1:]
        try:
            async with httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT_S, event_hooks=BOUNDED) as client:
                found = await discovered(client, self._issuer, *NEEDED)
                keys = KeySet.import_key_set(await answer_of(client, found["jwks_uri"]))
        except AnotherProviderError:
            raise SignInError("The identity provider answers as another one: tell who runs this console.") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, JoseError):
            raise SignInError("The identity provider does not answer: try again in a moment.") from None
        self._metadata = self._clock_s(), found, keys
        return found, keys

    async def begin(self, origin: str) -> Begun:
        """Where to send a browser. origin: of this console, as the browser sees it. Raises SignInError."""
        metadata, _ = await self._known()
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        redirect = origin + ANSWER_PATH
        async with self._client(redirect) as client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
        return Begun(url, self._sealed(_Pending(state, verifier, nonce, redirect, self._clock_s())))

    def _sealed(self, pending: _Pending) -> str:
        mark = secrets.token_bytes(SEAL_NONCE_BYTES)
        return base64.urlsafe_b64encode(mark + self._seal.encrypt(mark, json.dumps(pending).encode(), None)).decode()

    def _opened(self, secret: str) -> _Pending | None:
        """What this process sealed, if it did and that is not long ago."""
        try:
            content = base64.urlsafe_b64decode(secret)
            opened = self._seal.decrypt(content[:SEAL_NONCE_BYTES], content[SEAL_NONCE_BYTES:], None)
        except (ValueError, InvalidTag):
            return None
        pending = _Pending(*json.loads(opened))
        return pending if self._clock_s() - pending.began_s <= PENDING_S_MAX else None

    async def user(self, query: Mapping[str, str], secret: str | None) -> User:
        """Who came back. query: of the answer. secret: of the browser's cookie. Raises SignInError."""
        pending = self._opened(secret or "")
        if pending is None or not same(query.get("state", ""), pending.state):
            raise SignInError("This sign-in was not begun in this browser, or too long ago: try again.")
        if "code" not in query or query.get("iss", self._issuer) != self._issuer:
            raise SignInError("The identity provider did not sign you in.")
        metadata, keys = await self._known()
        try:
            async with self._client(pending.redirect) as client:
                token = await client.fetch_token(
                    metadata["token_endpoint"], code=query["code"], code_verifier=pending.verifier
                )
            claims = self._claims(token, keys, pending.nonce)
        except (AuthlibBaseError, JoseError, httpx.HTTPError, ValueError, KeyError, TypeError, RecursionError):
            if self._metadata is not None and self._clock_s() - self._metadata[0] > METADATA_AGE_S_MIN:
                self._metadata = None  # its keys may have changed
            raise SignInError("What the identity provider answered does not hold: try again.") from None
        return self._user(claims)

    def _claims(self, token: Mapping[str, Any], keys: KeySet, nonce: str) -> Mapping[str, Any]:
        """Of the ID token, once its signature, issuer, audience, time and nonce hold. Raises JoseError, KeyError."""
        decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
        registry = jwt.JWTClaimsRegistry(
            now=wall_ms() // 1000,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        registry.validate(decoded.claims)
        party = decoded.claims.get("azp", self._client_id)
        if party != self._client_id:
            raise ValueError("of another client")
        return decoded.claims

    def _user(self, claims: Mapping[str, Any]) -> User:
        """Name and role by the claims: of several roles the one that may most. Raises SignInError."""
        given: Any = claims
        for part in self._settings.oidc_role_claim.split("."):
            given = given.get(part) if isinstance(given, Mapping) else None
        values = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        held = {self._roles[value] for value in values if isinstance(value, str) and value in self._roles}
        if not held:
            raise SignInError("You have no role here: ask who runs this console for one.")
        role = max(held, key=ROLES.index)
        try:
            return codec.checked(
                User, {"name": claims.get(self._settings.oidc_name_claim), "role": role, "password_hash": ""}
            )
        except codec.SchemaError:
            raise SignInError(
                "Your name at the identity provider cannot be used here: letters, digits and . _ @ - can."
            ) from None
