"""Bearer tokens of an OpenID provider (JWT, RFC 9068), verified here by the provider's published keys (JWKS, RFC 7517)."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from services.clock import monotonic_s, wall_ms
from services.errors import SettingsError
from services.gateway.keys import SCOPES, Scope
from services.oidc import BOUNDED, AnotherProviderError, answer_of, discovered, is_trusted, tls_context
from services.settings.gateway import GatewaySettings

log = structlog.get_logger(__name__)

FETCH_TIMEOUT_S = 5.0
FETCH_INTERVAL_S_MIN = 10.0
"""Tokens that name unknown keys have the provider asked no more often."""
KEYS_AGE_S_MAX = 86_400.0
"""A provider that does not answer for so long: its tokens are taken no more."""
LEEWAY_S = 30.0
RSA_BITS_MIN = 2048
CACHED_MAX = 10_000
TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
NAME = re.compile(r"[A-Za-z0-9._-]{1,59}")
NAME_CLAIMS = ("client_id", "azp", "sub")

UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What the library raises for whatever a caller may send: not all of it is its own."""


class TokenError(Exception):
    """A token that opens nothing, and why."""


class KeysUnknownError(Exception):
    """The provider's keys are not known, so no token can be judged."""


class Bearer(NamedTuple):
    """Whom a token speaks for. scopes: for this gateway's product."""

    name: str
    scopes: tuple[Scope, ...]


class Tokens:
    """Judges tokens of one issuer. Its keys are read at the start, every so often, and when a token names an unknown one."""

    def __init__(
        self, settings: GatewaySettings, product: str | None, clock_s: Callable[[], float] = monotonic_s
    ) -> None:
        """Raises SettingsError where the settings cannot be used."""
        assert settings.oidc_issuer is not None, "tokens without an issuer"
        self._issuer, self._settings, self._product, self._clock_s = settings.oidc_issuer, settings, product, clock_s
        if not settings.oidc_audience:
            raise SettingsError(
                "ASSAY_GATEWAY_OIDC_ISSUER needs ASSAY_GATEWAY_OIDC_AUDIENCE: without it tokens made for other services would "
                "be taken."
            )
        for name, url in (("ISSUER", self._issuer), ("JWKS_URL", settings.oidc_jwks_url)):
            if url is not None and not is_trusted(url):
                raise SettingsError(f"ASSAY_GATEWAY_OIDC_{name} is not an https:// address: keys must come over TLS.")
        self._tls = tls_context(settings.oidc_ca_file, "ASSAY_GATEWAY_OIDC_CA_FILE")
        self._algorithms = settings.oidc_algorithms.split(",")
        self._keys: dict[tuple[str | None, str], jwt.PyJWK] = {}
        self._began_s = clock_s()
        self._read_s: float | None = None
        self._asked_s: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self._cache: OrderedDict[bytes, tuple[Bearer, float]] = OrderedDict()

    async def follow(self) -> None:
        """Read the keys now and every so often."""
        while True:
            await asyncio.wait([self._fetching()])
            await asyncio.sleep(self._settings.oidc_refresh_s)

    def _fetching(self) -> "asyncio.Task[None]":
        """The one that is under way, or another: those who wait for keys wait for the same answer."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self.fetch())
        return self._asking

    async def fetch(self) -> None:
        """Read the keys. Those of before stay where that fails, for KEYS_AGE_S_MAX."""
        if self._asked_s is not None and self._clock_s() - self._asked_s < FETCH_INTERVAL_S_MIN:
            return
        self._asked_s = self._clock_s()
        try:
            found = usable_keys(await self._ask(), self._algorithms)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = str(error) if type(error) in (ValueError, AnotherProviderError) else type(error).__name__
            log.error("gateway.oidc_keys_unreadable", why=why)
            return
        if found.keys() != self._keys.keys():
            log.info("gateway.oidc_keys_read", keys=len({kid for kid, _ in found}))
        self._keys, self._read_s = found, self._clock_s()
        self._cache.clear()  # whatever a withdrawn key has signed

    async def _ask(self) -> Any:
        """The provider's key set. Raises httpx.HTTPError, ValueError."""
        async with httpx.AsyncClient(verify=self._tls, timeout=FETCH_TIMEOUT_S, event_hooks=BOUNDED) as client:
            url = self._settings.oidc_jwks_url
            if url is None:
                url = str((await discovered(client, self._issuer, "jwks_uri"))["jwks_uri"])
            return await answer_of(client, url)

    @property
    def age_s(self) -> float:
        """Since the keys were read; since the start where they never were."""
        return self._clock_s() - (self._began_s if self._read_s is None else self._read_s)

    async def bearer(self, token: str, patience_s: float) -> Bearer:
        """Whom it speaks for; the provider is waited for no longer than that. Raises TokenError, KeysUnknownError."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._cache.get(digest)
        if known is not None and self._fresh and wall_ms() / 1000 < known[1] + LEEWAY_S:
            return known[0]
        key = await self._key_of(token, patience_s)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._settings.oidc_audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except UNREADABLE as error:
            raise TokenError(WHY.get(type(error), "it is no token for this gateway")) from None
        found = Bearer(_name(claims), _scopes(claims, self._settings.oidc_scope_prefix, self._product))
        self._cache[digest] = found, float(claims["exp"])
        if len(self._cache) > CACHED_MAX:
            self._cache.popitem(last=False)
        return found

    @property
    def _fresh(self) -> bool:
        return self._read_s is not None and self._clock_s() - self._read_s < KEYS_AGE_S_MAX

    async def _key_of(self, token: str, patience_s: float) -> jwt.PyJWK:
        try:
            header = jwt.get_unverified_header(token)
        except UNREADABLE:
            raise TokenError("it is no JWT") from None
        kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ")
        if algorithm not in self._algorithms:
            raise TokenError("its algorithm is not taken here (ASSAY_GATEWAY_OIDC_ALGORITHMS)")
        if not isinstance(kind, str | None) or (kind and kind.lower()) not in TYPES:
            raise TokenError("it is no access token by its typ")
        if self._find(kid, algorithm) is None or not self._fresh:
            fetching = self._fetching()
            await asyncio.wait([fetching], timeout=max(0.0, patience_s))
            if not fetching.done() or not self._fresh:
                raise KeysUnknownError
        key = self._find(kid, algorithm)
        if key is None:
            raise TokenError("its key is none of the provider's")
        return key

    def _find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        if kid is not None:
            return self._keys.get((kid, algorithm))
        found = [key for (_, made_for), key in self._keys.items() if made_for == algorithm]
        return found[0] if len(found) == 1 else None


WHY: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it was made for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.MissingRequiredClaimError: "it lacks exp, iss or aud",
}


def usable_keys(document: Any, algorithms: list[str]) -> dict[tuple[str | None, str], jwt.PyJWK]:
    """The public signature keys of a key set, by id and algorithm. Raises ValueError where there is none."""
    entries = document.get("keys") if isinstance(document, dict) else None
    found: dict[tuple[str | None, str], jwt.PyJWK] = {}
    for entry in entries if isinstance(entries, list) else ():
        # never a secret: anyone who reads the key set could sign with it
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        for algorithm in algorithms:
            if entry.get("alg", algorithm) != algorithm:
                continue
            try:
                key = jwt.PyJWK(entry, algorithm)
            except (jwt.PyJWTError, ValueError, TypeError, KeyError):
                continue
            if not _is_weak(key.key):
                found[entry.get("kid"), algorithm] = key
    if not found:
        raise ValueError("the provider's key set holds no key of the algorithms that are taken here")
    return found


def _is_weak(key: Any) -> bool:
    return isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN


def _name(claims: Mapping[str, Any]) -> str:
    """Who asks, as the log names it: the client's id, or a hash where that is no name, or names a person."""
    for claim in NAME_CLAIMS:
        value = claims.get(claim)
        if isinstance(value, str) and value:
            plain = claim != "sub" and NAME.fullmatch(value)
            return f"oidc.{value if plain else hashlib.sha256(value.encode()).hexdigest()[:16]}"
    raise TokenError("it says neither client_id, azp nor sub")


def _scopes(claims: Mapping[str, Any], prefix: str, product: str | None) -> tuple[Scope, ...]:
    said: set[str] = set()
    for claim in ("scope", "scp"):
        value = claims.get(claim)
        said |= set(
            value.split() if isinstance(value, str) else filter(_is_text, value or ()) if _is_list(value) else ()
        )
    return tuple(
        scope for scope in SCOPES if prefix + scope in said or (product and f"{prefix}{scope}:{product}" in said)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)
