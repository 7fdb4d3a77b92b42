"""The application: login, the guarded routes, static files, probes. Every error is a page that says what to do."""

import secrets
import traceback
from collections.abc import Callable, Sequence

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount
from starlette.routing import Route as Path
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from services.console.oidc import ANSWER_PATH, Provider, SignInError
from services.console.pages import HERE
from services.console.routes import Desk, Route
from services.console.sessions import same
from services.console.web import Gate, RefusedError, Shell, read_form, same_origin
from services.console.writer import UnwrittenError

log = structlog.get_logger(__name__)

LOGIN_COOKIE, PROVIDER_COOKIE = "assay-login", "assay-oidc"
WORDS = {404: "There is no such page.", 405: "This page is not asked for so."}


def application(
    desk: Desk,
    gate: Gate,
    routes: Sequence[Route],
    registry: CollectorRegistry,
    ready: Callable[[], bool],
    provider: Provider | None = None,
) -> ASGIApp:
    """Everything that is served. provider: where people may sign in beside local users."""
    doors = _Doors(desk, gate, provider)
    paths = [
        Path("/login", doors.ask, methods=["GET"]),
        Path("/login", doors.login, methods=["POST"]),
        Path("/login/oidc", doors.to_provider, methods=["GET"]),
        Path(ANSWER_PATH, doors.from_provider, methods=["GET"]),
        Path("/logout", doors.logout, methods=["POST"]),
        Path("/livez", lambda _: PlainTextResponse("ok"), methods=["GET"]),
        Path("/readyz", lambda _: _readiness(ready()), methods=["GET"]),
        Path("/metrics", lambda request: _metrics(request, registry), methods=["GET"]),
        *(Path(one.path, gate.guarded(one.permission, desk.bound(one)), methods=[one.method]) for one in routes),
        Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
    ]

    def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return desk.render("refused.html", None, error.status, words=error.words)

    def unwritten(_: Request, __: Exception) -> Response:
        words = "Kafka did not take it, so nothing may be taken as done: go back and try again."
        return desk.render("refused.html", None, 503, words=words)

    def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = WORDS.get(error.status_code, "This cannot be answered.")
        return desk.render("refused.html", None, error.status_code, words=words)

    def crashed(request: Request, error: Exception) -> Response:
        """Named and placed, never quoted."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        log.error(
            "console.failed", error=type(error).__name__, file=frame.filename.rpartition("/")[2], line=frame.lineno
        )
        return desk.render("refused.html", None, 500, words="The console failed; its log says where.")

    handlers = {RefusedError: refused, UnwrittenError: unwritten, HTTPException: http_error, Exception: crashed}
    return Shell(Starlette(routes=paths, exception_handlers=handlers), desk.settings, gate.metrics)


class _Doors:
    """In and out."""

    def __init__(self, desk: Desk, gate: Gate, provider: Provider | None) -> None:
        self._desk, self._gate, self._provider = desk, gate, provider

    async def ask(self, request: Request) -> Response:
        """The form, with a token of its own: no other site can log someone in as someone else."""
        return self._form(request, None, 200)

    def _form(self, request: Request, problem: str | None, status: int) -> Response:
        token = request.cookies.get(LOGIN_COOKIE) or secrets.token_urlsafe(24)
        response = self._desk.render("login.html", None, status, token=token, problem=problem)
        response.set_cookie(
            LOGIN_COOKIE, token, httponly=True, secure=self._gate.secure, samesite="strict", path="/login"
        )
        return response

    async def login(self, request: Request) -> Response:
        """A new session, whatever session there was."""
        form = await read_form(request)
        given = form.get("token", [""])[0]
        if not same(given, request.cookies.get(LOGIN_COOKIE)) or not same_origin(request):
            return self._form(request, "This form was too old: try again.", 403)
        try:
            token = await self._gate.login(
                form.get("name", [""])[0].strip(),
                form.get("password", [""])[0],
                request.client.host if request.client else "",
            )
        except RefusedError as error:
            return self._form(request, str(error), error.status)
        if token is None:
            return self._form(request, "Name and password do not belong together.", 401)
        self._gate.sessions.end(request.cookies.get(self._gate.cookie))
        return self._gate.give(RedirectResponse("/queue", 303), token)

    async def to_provider(self, request: Request) -> Response:
        """To the identity provider, with a cookie that ties its answer to this browser."""
        if self._provider is None:
            raise HTTPException(404)
        origin = f"{'https' if self._gate.secure else 'http'}://{request.headers['host']}"
        try:
            url, secret = await self._provider.begin(origin)
        except SignInError as error:
            return self._form(request, str(error), 503)
        response = RedirectResponse(url, 303)
        # lax: the answer comes by a link of another site
        response.set_cookie(
            PROVIDER_COOKIE, secret, httponly=True, secure=self._gate.secure, samesite="lax", path=ANSWER_PATH
        )
        return response

    async def from_provider(self, request: Request) -> Response:
        """A new session for whom the provider signed in. Its page leads on: a strict cookie follows no others' link."""
        if self._provider is None:
            raise HTTPException(404)
        try:
            user = await self._provider.user(request.query_params, request.cookies.get(PROVIDER_COOKIE))
            token = await self._gate.begin_external(user)
        except SignInError as error:
            await self._gate.refused_external()
            return self._form(request, str(error), 403)
        except RefusedError as error:
            return self._form(request, str(error), error.status)
        self._gate.sessions.end(request.cookies.get(self._gate.cookie))
        response = self._gate.give(self._desk.render("signed_in.html", None), token)
        response.delete_cookie(PROVIDER_COOKIE, path=ANSWER_PATH)
        return response

    async def logout(self, request: Request) -> Response:
        """The session is over, on this side too."""
        token = request.cookies.get(self._gate.cookie)
        session = self._gate.sessions.of(token)
        form = await read_form(request)
        if session is not None and same(form.get("csrf", [""])[0], session.csrf) and same_origin(request):
            await self._gate.end(session, token)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(self._gate.cookie, path="/")
        return response


def _readiness(ready: bool) -> Response:
    return PlainTextResponse("ok" if ready else "the topics are not read yet", 200 if ready else 503)


def _metrics(request: Request, registry: CollectorRegistry) -> Response:
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=kind)
