"""The pages of models and policies: what is active, what a step would change, and a request for it that persons sign."""

import asyncio
from typing import TYPE_CHECKING, Any, get_args

from starlette.responses import HTMLResponse, RedirectResponse, Response

from models.bundle.files import BundleError
from models.bundle.persons import KnownPerson, signers_of
from schemas.approval import StepAction, StepStatement, Subject
from schemas.control import RegistryChannel
from schemas.person import same_person
from services.approvals import command_words, new_request
from services.clock import wall_ms
from services.console.overview_pages import SANDBOX
from services.console.promotions import Promotions, Step
from services.console.web import Asked, RefusedError
from services.errors import AssayError

if TYPE_CHECKING:
    from services.console.routes import Desk

ACTIONS: tuple[StepAction, ...] = ("promote", "rollback", "withdraw")
SHOWN_FIRST = 12
VALUE_CHARS_MAX = 300
VERSION_DIGITS_MAX = 9


async def show(desk: "Desk", asked: Asked) -> Response:
    """What is active, and what could be."""
    lines, problem = [], None
    try:
        lines = await asyncio.to_thread(_promotions(desk).lines)
    except (AssayError, BundleError) as error:
        problem = str(error)
    waiting = [one for one in (await desk.writer.requests()).values() if one.waits(wall_ms())]
    steps = [one for one in waiting if one.statement.subject != "list"]
    return desk.render("promotions.html", asked, lines=lines, problem=problem, waiting=steps)


async def step(desk: "Desk", asked: Asked) -> Response:
    """One step: what it would change and who has to sign, with the form that asks for it."""
    found = await _step(desk, {name: asked.request.query_params.get(name, "") for name in FIELDS})
    return _page(desk, asked, found)


async def ask_for(desk: "Desk", asked: Asked) -> Response:
    """A request for a step, which persons sign: nothing changes before that."""
    found = await _step(desk, {name: asked.text(name) for name in FIELDS})
    promotions = _promotions(desk)
    if desk.rule is None and not promotions.needs_second(found.subject):
        return _page(desk, asked, found, 409, "No one would have to agree to it: use the command below.")
    if asked.number("steps") != found.said["registry_steps"]:
        return _page(
            desk, asked, found, 409, "The registry has a newer step than the page that you looked at: look again."
        )
    why = asked.text("reason")[:500]
    if not why:
        return _page(desk, asked, found, 422, "Say why: the reason stands in the history.")
    try:
        made = new_request(asked.user.name, found.subject, promotions.request_h, **{**_said(found), "why": why})
    except AssayError as error:
        return _page(desk, asked, found, 422, str(error))
    await desk.writer.request(made)
    return RedirectResponse(f"/approvals/{made.request_id}?did=prepared", 303)


async def report(desk: "Desk", asked: Asked) -> Response:
    """The report of a published bundle, in a sandbox."""
    version = _version(asked.request.path_params["version"])
    if version is None:
        raise RefusedError(404, "There is no such version.")
    try:
        found = await asyncio.to_thread(_promotions(desk).report, version)
    except (AssayError, BundleError) as error:
        raise RefusedError(404, str(error)) from None
    return HTMLResponse(found, headers={"content-security-policy": SANDBOX})


FIELDS = ("subject", "step", "channel", "version")


def _promotions(desk: "Desk") -> Promotions:
    if desk.promotions is None:
        raise RefusedError(404, "This console has no registry: set ASSAY_REGISTRY_URL.")
    return desk.promotions


async def _step(desk: "Desk", given: dict[str, str]) -> Step:
    """Raises RefusedError."""
    known = given["subject"] in get_args(Subject) and given["channel"] in get_args(RegistryChannel)
    version = _version(given["version"])
    if (
        not known
        or given["subject"] == "list"
        or given["step"] not in ACTIONS
        or (given["version"] and version is None)
    ):
        raise RefusedError(400, "There is no such step.")
    arguments: Any = (given["subject"], given["step"], given["channel"], version)
    try:
        return await asyncio.to_thread(_promotions(desk).step, *arguments)
    except (AssayError, BundleError) as error:
        raise RefusedError(409, str(error)) from None


def _version(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= VERSION_DIGITS_MAX and int(text) else None


def _said(found: Step) -> dict[str, Any]:
    """What a request says beside who and until when; the subject is given apart."""
    return {name: value for name, value in found.said.items() if name != "subject"}


def _page(desk: "Desk", asked: Asked, found: Step, status: int = 200, problem: str | None = None) -> Response:
    differs = [(name, shown_value(old), shown_value(new)) for name, old, new in found.differs]
    signers = signers_now(desk, found.subject)
    return desk.render(
        "step.html",
        asked,
        status,
        found=found,
        said=found.said,
        shown=differs[:SHOWN_FIRST],
        folded=differs[SHOWN_FIRST:],
        signers=[one.person for one in signers],
        is_signer=any(same_person(one.person.name, asked.user.name) for one in signers),
        rule=desk.rule,
        needs_second=_promotions(desk).needs_second(found.subject),
        command=command_words(StepStatement(**found.said, request_id="0" * 12, by="-", at_ms=0, expires_at_ms=0)),
        problem=problem,
        reason=asked.text("reason"),
    )


def signers_now(desk: "Desk", subject: Subject) -> list[KnownPerson]:
    """Who may sign it now."""
    if desk.rule is None:
        return []
    roles, now_ms = signers_of(subject), wall_ms()
    return [one for one in desk.rule.persons.values() if one.person.role in roles and not one.has_left(now_ms)]


def shown_value(value: Any) -> str:
    """A value of a bundle or policy, as a table shows it."""
    if value is None:
        return "-"
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + " …"
