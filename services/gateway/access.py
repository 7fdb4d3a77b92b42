"""Who may ask: API keys, bearer tokens and client certificates. Without any, loopback alone is served."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

import structlog
from starlette.requests import Request

from services.clock import monotonic_s
from services.engine.health import is_loopback, is_own_name
from services.errors import SettingsError
from services.gateway.bearer import KeysUnknownError, TokenError, Tokens
from services.gateway.keys import PREFIX, SCOPES, ApiKey, KeyFileError, Keys, Scope
from services.gateway.problems import Kind, ProblemError
from services.settings.gateway import GatewaySettings
from services.web.connections import CERTIFICATE

log = structlog.get_logger(__name__)

CLIENTS_MAX = 10_000
BURST_S = 1.0
PATIENCE_S = 1.0
LOCAL = "local"


class Client(NamedTuple):
    """Who asks. name: in the log beside each event that it sends."""

    name: str
    scopes: tuple[Scope, ...]
    events_per_s_max: float | None = None


class Asking(NamedTuple):
    """What a request says of who asks, over HTTP or gRPC. host: the name that it asks us by."""

    host: str
    token: str
    certificate: str | None
    address: str

    @classmethod
    def of(cls, request: Request) -> "Asking":
        """Over HTTP."""
        return cls(
            request.headers.get("Host", ""),
            token_of(request.headers),
            request.scope.get(CERTIFICATE),
            request.client.host if request.client else "",
        )


def token_of(headers: Mapping[str, str]) -> str:
    """The API key or token of a request; empty where there is none. headers: their names in any case."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")


def address_of(host: str) -> str:
    """An address for the log; - where it is none."""
    try:
        return str(ip_address(host))
    except ValueError:
        return "-"


class Access:
    """Judges each request, and meters its client."""

    def __init__(
        self, settings: GatewaySettings, product: str | None = None, clock_s: Callable[[], float] = monotonic_s
    ) -> None:
        """Raises SettingsError where the settings would let everyone in, or cannot be used."""
        self._settings, self._product, self._clock_s = settings, product, clock_s
        self.tokens = Tokens(settings, product) if settings.oidc_issuer else None
        try:
            self._keys = Keys(settings.keys_file) if settings.keys_file else None
        except KeyFileError as error:
            raise SettingsError(f"ASSAY_GATEWAY_KEYS_FILE: {error}") from None
        self._certificates = settings.tls_client_ca_file is not None
        self.asked_for = self._keys is not None or self._certificates or self.tokens is not None
        if not is_loopback(settings.host):
            self._refuse_open_address()
        self._meters: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Of each client: what it may send at once, and when that was so."""

    def _refuse_open_address(self) -> None:
        host = self._settings.host
        if not self.asked_for:
            raise SettingsError(
                f"ASSAY_GATEWAY_HOST={host} can be reached from other machines, and no credentials are set: use 127.0.0.1, or "
                "set ASSAY_GATEWAY_KEYS_FILE (`assay gateway keys add`), ASSAY_GATEWAY_OIDC_ISSUER or "
                "ASSAY_GATEWAY_TLS_CLIENT_CA_FILE."
            )
        if self._settings.tls_certificate_file is None:
            log.warning(
                "gateway.no_tls", next_step="set ASSAY_GATEWAY_TLS_CERTIFICATE_FILE, or end TLS before the gateway"
            )

    def refresh(self) -> None:
        """Look at the key file again: a revoked key opens nothing from now on."""
        if self._keys is None:
            return
        try:
            if self._keys.refresh():
                log.info("gateway.keys_read", keys=len(self._keys))
        except KeyFileError as error:
            log.error("gateway.keys_unreadable", why=str(error))

    async def client(self, asking: Asking, scope: Scope, patience_s: float = PATIENCE_S) -> Client:
        """Who asks, if they may. patience_s: for an identity provider. Raises ProblemError."""
        try:
            found = await self._known(asking, patience_s)
        except TokenError as error:
            raise self._unknown(asking, scope, f"the bearer token opens nothing: {error}") from None
        except KeysUnknownError:
            raise ProblemError(
                Kind.UNAVAILABLE,
                "the identity provider's keys are not known, so tokens cannot be judged: send it again later",
                retry_after_s=1,
            ) from None
        if found is None:
            raise self._unknown(asking, scope, "send Authorization: Bearer with an API key or token that is known here")
        if scope not in found.scopes:
            log.warning(
                "gateway.refused", client=found.name, address=address_of(asking.address), scope=scope, status=403
            )
            here = f" at product {self._product}" if self._product else ""
            raise ProblemError(
                Kind.FORBIDDEN, f"{found.name} has no scope {scope}{here}: ask who runs the gateway for it"
            )
        return found

    @staticmethod
    def _unknown(asking: Asking, scope: Scope, detail: str) -> ProblemError:
        log.warning("gateway.refused", client="-", address=address_of(asking.address), scope=scope, status=401)
        return ProblemError(Kind.UNAUTHENTICATED, detail)

    async def _known(self, asking: Asking, patience_s: float) -> Client | None:
        if not self.asked_for:
            # a web page can point its own host name at this machine; its requests then carry that name
            return Client(LOCAL, SCOPES) if is_own_name(asking.host) else None
        if asking.token:
            if self.tokens is not None and not asking.token.startswith(PREFIX + "_"):
                return Client(*await self.tokens.bearer(asking.token, patience_s))
            key = self._keys.of(asking.token) if self._keys is not None else None
            return Client(key.client, self._scopes_of(key), key.events_per_s_max) if key is not None else None
        name = asking.certificate
        return Client(f"cert.{name}"[:64], SCOPES) if self._certificates and name else None

    def _scopes_of(self, key: ApiKey) -> tuple[Scope, ...]:
        return key.scopes if not key.products or self._product in key.products else ()

    def meter(self, client: Client, events: int) -> None:
        """Count events of a client. Raises ProblemError where they are too many for its rate."""
        rate = client.events_per_s_max or self._settings.client_events_per_s_max
        if rate is None:
            return
        now_s, room = self._clock_s(), max(rate * BURST_S, 1.0)
        left, since_s = self._meters.get(client.name, (room, now_s))
        left = min(room, left + (now_s - since_s) * rate)
        # a list larger than the room is let in when the room is whole, and paid off later
        if left < min(events, room):
            wait_s = (min(events, room) - left) / rate
            raise ProblemError(
                Kind.RATE,
                f"{client.name} may send {rate:g} events a second: send it again later",
                retry_after_s=int(wait_s) + 1,
            )
        self._meters[client.name] = left - events, now_s
        self._meters.move_to_end(client.name)
        if len(self._meters) > CLIENTS_MAX:
            self._meters.popitem(last=False)
