"""Between a request and its handler: hosts, sessions, roles, tokens, headers. Nothing reaches a handler past it."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.audit import AuditTrail, Doing, doing_of
from services.console.roles import Permission, may
from services.console.sessions import Session, Sessions, Throttle, same
from services.console.users import User, UserFileError, Users
from services.console.writer import UnwrittenError
from services.observability.console_metrics import ConsoleMetrics
from services.settings.console import ConsoleSettings
from services.web.clients import Clients, networks

log = structlog.get_logger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
BY_ADDRESS = ("/livez", "/readyz", "/metrics")
"""What a cluster asks for by the address of a pod."""
FIELDS_MAX = 2_000
NUMBER_CHARACTERS_MAX = 18
LOGINS_AT_ONCE = 2
"""Each takes 64 MiB and a core for some 50 ms."""
LOGINS_WAITING_MAX = 4
"""Of one client: more passwords at once are refused, so that one that tries many keeps no one else out."""


class RefusedError(Exception):
    """A request that is answered with a page that says why not."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be answered: who asks, and what the form holds."""

    request: Request
    user: User
    session: Session
    form: Mapping[str, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field of the form, without spaces around it; empty where it is missing."""
        return self.form.get(name, [""])[0].strip()

    def number(self, name: str) -> int | None:
        """A whole number of the form. Raises RefusedError."""
        text = self.text(name)
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise RefusedError(400, f"The field {name} is no number.")
        return int(text)

    def may(self, permission: Permission) -> bool:
        """Whether they may do it."""
        return may(self.user.role, permission)


Handler = Callable[[Asked], Awaitable[Response]]


@dataclass(slots=True)
class Gate:
    """Who may pass."""

    settings: ConsoleSettings
    users: Users
    metrics: ConsoleMetrics
    sessions: Sessions
    trail: AuditTrail
    throttle: Throttle = field(default_factory=Throttle)
    noted: Throttle = field(default_factory=Throttle)
    """Wrong passwords in the audit trail, by name: who guesses names must not fill it."""
    _hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOGINS_AT_ONCE))
    _waiting: Clients = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = Clients(10 * LOGINS_WAITING_MAX, LOGINS_WAITING_MAX, networks(self.settings.proxies))

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS."""
        return self.settings.behind_tls or self.settings.tls_certificate_file is not None

    @property
    def cookie(self) -> str:
        """Its name: the prefix makes browsers refuse one that another host or plain HTTP set."""
        return "__Host-assay" if self.secure else "assay"

    def guarded(self, permission: Permission, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler behind session, role and, for what changes or unmasks something, token and audit trail."""

        async def handle(request: Request) -> Response:
            session, user = self._who(request)
            if session is None or user is None:
                self.metrics.denied.labels("session").inc()
                return self._to_login(request)
            form: Mapping[str, list[str]] = {}
            if request.method == "POST":
                form = await read_form(request)
                token = request.headers.get("x-csrf-token") or form.get("csrf", [""])[0]
                if not same(token, session.csrf) or not same_origin(request):
                    self.metrics.denied.labels("token").inc()
                    await self.trail.noted(doing_of(user.name, user.role, request.url.path, {}), "refused", 403)
                    raise RefusedError(403, "This form is not of your session: load the page again.")
            doing = doing_of(user.name, user.role, request.url.path, form)
            if not may(user.role, permission):
                self.metrics.denied.labels("role").inc()
                log.warning("console.denied", user=user.name, role=user.role, permission=permission)
                await self.trail.noted(doing, "refused", 403)
                raise RefusedError(403, f"Your role ({user.role}) may not do this.")
            asked = Asked(request, user, session, form)
            return await (self._audited(handler, asked, doing) if request.method == "POST" else handler(asked))

        return handle

    async def _audited(self, handler: Handler, asked: Asked, doing: Doing) -> Response:
        """The answer to what is in the trail before it is done, with what came of it behind. Raises UnwrittenError."""
        number, status = await self.trail.asked(doing), 500
        try:
            response = await handler(asked)
            status = response.status_code
            return response
        except RefusedError as error:
            status = error.status
            raise
        except UnwrittenError:
            status = 503
            raise
        finally:
            await self._came_of(number, doing, status)

    async def _came_of(self, number: int, doing: Doing, status: int) -> None:
        """That it was asked for is written; what came of it is on the topics that it changed, too."""
        try:
            await self.trail.came_of(number, doing, status)
        except UnwrittenError as error:
            log.error("console.audit_unwritten", action=doing.action, why=str(error))
            self.metrics.unaudited.inc()

    def _who(self, request: Request) -> tuple[Session | None, User | None]:
        session = self.sessions.of(request.cookies.get(self.cookie))
        if session is None:
            return None, None
        try:
            self.users.refresh()
        except UserFileError as error:
            log.error("console.users_unread", why=str(error))
        user = self.users.external(session.user) if session.external else self.users.of(session.user)
        if user is None:
            self.sessions.end_of(session.user)
        return session, user

    def _to_login(self, request: Request) -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"HX-Redirect": "/login"})
        return RedirectResponse("/login", 303)

    async def login(self, name: str, password: str, address: str) -> str | None:
        """A new session's token; None where name and password do not belong together. Raises RefusedError."""
        if self.throttle.is_shut(name) or self._waiting.refusal(address):
            self.metrics.logins.labels("throttled").inc()
            raise RefusedError(429, "Too many wrong passwords, or too many at once: wait five minutes.")
        self.throttle.failed(name)  # until it is known to be right: of many at once no more are tried than one by one
        place = self._waiting.enter(address)
        try:
            async with self._hashing:
                user = await asyncio.to_thread(self.users.verified, name, password)
        finally:
            place.leave()
        if user is None:
            self.metrics.logins.labels("refused").inc()
            log.warning("console.login_refused")
            await self._note_wrong_password(name)
            return None
        self.throttle.succeeded(name)
        return await self.begin(user)

    async def begin(self, user: User, *, external: bool = False) -> str:
        """A session of someone who has shown who they are; its token. Raises UnwrittenError."""
        how = "by the identity provider" if external else ""
        await self.trail.noted(Doing(user.name, user.role, "sign-in", details=how), "done")
        self.metrics.logins.labels("accepted").inc()
        log.info("console.login", user=user.name, role=user.role)
        return self.sessions.begin(user.name, external=external)

    async def begin_external(self, user: User) -> str:
        """The same for whom an identity provider signed in. Raises RefusedError, UnwrittenError."""
        if not self.users.signed_in(user):
            await self.refused_external()
            raise RefusedError(403, "A local user has your name: who runs this console has to give one of you another.")
        return await self.begin(user, external=True)

    async def refused_external(self) -> None:
        """Who came back from the identity provider is not signed in. Raises UnwrittenError."""
        self.metrics.logins.labels("refused").inc()
        log.warning("console.login_refused")
        await self._note_wrong_password("", "by the identity provider")

    async def end(self, session: Session, token: str | None) -> None:
        """Log out. Raises UnwrittenError, and the session is over all the same."""
        self.sessions.end(token)
        user = self.users.external(session.user) if session.external else self.users.of(session.user)
        await self.trail.noted(Doing(session.user, user.role if user else "", "sign-out"), "done")

    async def _note_wrong_password(self, name: str, how: str = "") -> None:
        """What was typed as a name is noted where it is one: some type their password there."""
        user = self.users.of(name)
        known = user.name if user else ""
        if not self.noted.is_shut(known):
            self.noted.failed(known)
            await self.trail.noted(Doing(known, user.role if user else "", "sign-in", details=how), "refused", 401)

    def give(self, response: Response, token: str) -> Response:
        """The response with the session's cookie."""
        response.set_cookie(self.cookie, token, httponly=True, secure=self.secure, samesite="strict", path="/")
        return response


async def read_form(request: Request) -> Mapping[str, list[str]]:
    """The fields of a form, as browsers send it. Raises RefusedError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise RefusedError(415, "Only forms are taken.")
    try:
        return parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise RefusedError(400, "The form cannot be read.") from None


def same_origin(request: Request) -> bool:
    """Whether the browser says that the request is of our own page; old ones say nothing, and the token alone counts."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


class Shell:
    """ASGI: bounds on hosts and bodies before the application, headers on every response after it."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings, metrics: ConsoleMetrics) -> None:
        own = tuple(name.strip().lower() for name in settings.hostnames.split(",") if name.strip())
        self._hosts = {*LOOPBACK, settings.host.lower(), *own}
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        fields = dict(scope["headers"])
        hardened = self._hardened(scope, send)
        if not self._is_ours(_host(fields.get(b"host", b"").decode("latin-1")), scope["path"]):
            self._metrics.denied.labels("host").inc()
            await Response("This console is not served under that name.", 421)(scope, receive, hardened)
            return
        declared = fields.get(b"content-length", b"0")
        if not _is_within(declared, self._settings.body_bytes_max) or b"transfer-encoding" in fields:
            await Response("The request is too large.", 413)(scope, receive, hardened)
            return
        # what fails is answered and named in the log; the server would write its words there, too
        with contextlib.suppress(Exception):
            await self._app(scope, receive, hardened)

    def _is_ours(self, host: str, path: str) -> bool:
        """A name of ours; of probes and scrapes any address, by which clusters ask: no page of another lies at ours."""
        return host in self._hosts or (path in BY_ADDRESS and _is_address(host))

    def _hardened(self, scope: Scope, send: Send) -> Send:
        static = scope["path"].startswith("/static/")

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.responses.labels(str(message["status"])).inc()
                keep = b"private, max-age=3600" if static else b"no-store"
                given = [*message["headers"]]  # of a page in a sandbox: a policy of its own, which is stricter
                own = {name for name, _ in given}
                added = [header for header in HEADERS if header[0] not in own]
                message["headers"] = [*given, *added, (b"cache-control", keep)]
            await send(message)

        return hardened


def _is_within(declared: bytes, bytes_max: int) -> bool:
    return declared.isdigit() and len(declared) <= NUMBER_CHARACTERS_MAX and int(declared) <= bytes_max


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _host(field_text: str) -> str:
    """Without the port."""
    host = field_text.strip().lower()
    return host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
