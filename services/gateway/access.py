"""Who may ask: API keys and client certificates. Without any, loopback alone is served."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

import structlog
from starlette.requests import Request

from services.clock import monotonic_s
from services.engine.health import is_loopback, is_own_name
from services.errors import SettingsError
from services.gateway.keys import SCOPES, KeyFileError, Keys, Scope
from services.gateway.problems import Kind, ProblemError
from services.settings.gateway import GatewaySettings

log = structlog.get_logger(__name__)

CLIENTS_MAX = 10_000
BURST_S = 1.0
LOCAL = "local"
CERTIFICATE = "client_certificate"
"""In a request's scope: the name in the client's certificate, which the TLS layer has verified."""


class Client(NamedTuple):
    """Who asks. name: in the log beside each event that it sends."""

    name: str
    scopes: tuple[Scope, ...]
    events_per_s_max: float | None = None


class Access:
    """Judges each request, and meters its client."""

    def __init__(self, settings: GatewaySettings, clock_s: Callable[[], float] = monotonic_s) -> None:
        """Raises SettingsError where the settings would let everyone in, or cannot be used."""
        self._settings, self._clock_s = settings, clock_s
        try:
            self._keys = Keys(settings.keys_file) if settings.keys_file else None
        except KeyFileError as error:
            raise SettingsError(f"ASSAY_GATEWAY_KEYS_FILE: {error}") from None
        self._certificates = settings.tls_client_ca_file is not None
        self.asked_for = self._keys is not None or self._certificates
        if not is_loopback(settings.host):
            self._refuse_open_address()
        self._meters: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Of each client: what it may send at once, and when that was so."""

    def _refuse_open_address(self) -> None:
        host = self._settings.host
        if not self.asked_for:
            raise SettingsError(
                f"ASSAY_GATEWAY_HOST={host} can be reached from other machines, and no credentials are set: use 127.0.0.1, or "
                "set ASSAY_GATEWAY_KEYS_FILE (`assay gateway keys add`) or ASSAY_GATEWAY_TLS_CLIENT_CA_FILE."
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

    def client(self, request: Request, scope: Scope) -> Client:
        """Who asks, if they may. Raises ProblemError."""
        found = self._known(request)
        if found is None:
            log.warning("gateway.refused", client="-", address=_address(request), scope=scope, status=401)
            raise ProblemError(Kind.UNAUTHENTICATED, "send Authorization: Bearer with an API key that is known here")
        if scope not in found.scopes:
            log.warning("gateway.refused", client=found.name, address=_address(request), scope=scope, status=403)
            raise ProblemError(Kind.FORBIDDEN, f"{found.name} has no scope {scope}: ask who runs the gateway for it")
        return found

    def _known(self, request: Request) -> Client | None:
        if not self.asked_for:
            # a web page can point its own host name at this machine; its requests then carry that name
            return Client(LOCAL, SCOPES) if is_own_name(request.headers.get("Host", "")) else None
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip() if kind.lower() == "bearer" else request.headers.get("X-Api-Key", "")
        if token:
            key = self._keys.of(token) if self._keys is not None else None
            return Client(key.client, key.scopes, key.events_per_s_max) if key is not None else None
        name = request.scope.get(CERTIFICATE)
        return Client(f"cert.{name}"[:64], SCOPES) if self._certificates and name else None

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


def _address(request: Request) -> str:
    try:
        return str(ip_address(request.client.host)) if request.client else "-"
    except ValueError:
        return "-"
