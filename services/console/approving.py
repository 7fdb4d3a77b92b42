"""Requests for changes that need a second person: of lists, done on approval; of bundles and policies, done by a command.

Where persons have to sign, a change is prepared and rejected here, and signed on its own page or by commands, with keys that
are on their machines: no one's key is on the server.
"""

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from schemas.case import Case
from schemas.lists import ListEntry
from services.approvals import NotAllowedError, Request, answer, entering, new_request
from services.clock import wall_ms
from services.console.web import Asked, RefusedError
from services.errors import AssayError

if TYPE_CHECKING:
    from services.console.routes import Desk

SHOWN_MAX = 100


async def ask_for(desk: "Desk", asked: Asked, case: Case, entry: ListEntry, keep_h: float) -> Response:
    """A request that a second person answers, in place of the entry."""
    try:
        made = new_request(asked.user.name, "list", keep_h, [entry], **entering([entry]))
    except AssayError as error:
        raise RefusedError(422, str(error)) from None
    await desk.writer.request(made)
    did = "asked-list" if desk.rule is None else "prepared-list"
    return RedirectResponse(f"/cases/{case.case_id}?did={did}", 303)


async def show(desk: "Desk", asked: Asked) -> Response:
    """What waits, and what lately did."""
    return await _page(desk, asked)


async def _page(desk: "Desk", asked: Asked, status: int = 200, problem: str | None = None) -> Response:
    now_ms = wall_ms()
    found = list((await desk.writer.requests()).values())[::-1]
    waiting = [one for one in found if one.waits(now_ms)]
    past = [one for one in found if not one.waits(now_ms)][:SHOWN_MAX]
    signatures = {one.request_id: _signatures(desk, one) for one in waiting}
    pending = await asyncio.to_thread(desk.queries.pending)
    shown = {
        "pending": pending,
        "waiting": waiting,
        "past": past,
        "signatures": signatures,
        "by_signature": desk.rule is not None,
    }
    return desk.render("approvals.html", asked, status, problem=problem, **shown)


def _signatures(desk: "Desk", request: Request) -> tuple[list[str], int]:
    """Who signed a request so that it counts, and how many still have to."""
    return [one.by for one in request.signed(desk.rule).signatures], request.lacks(desk.rule)


async def answered(desk: "Desk", asked: Asked) -> Response:
    """Approve or reject. What is about a list is written at once."""
    verb = asked.text("action")
    if verb not in ("approve", "reject"):
        raise RefusedError(400, "There is no such answer.")
    request = (await desk.writer.requests()).get(asked.request.path_params["request_id"])
    if request is None:
        raise RefusedError(404, "There is no such request.")
    if verb == "approve" and desk.rule is not None:
        words = f"An approval has to be signed, and no one's key is here: sign it on the page of {request.request_id}."
        return await _page(desk, asked, 409, words)
    try:
        given = answer(request, verb, asked.user.name, asked.text("note")[:1000])  # type: ignore[arg-type]
    except NotAllowedError as error:
        return await _page(desk, asked, 409, str(error))
    await desk.writer.request(given)
    if verb == "approve" and request.statement.subject == "list":
        request.approvals.append(given)
        await desk.writer.carry_out(request)
        await desk.writer.request(answer(request, "done", asked.user.name))
    is_step = verb == "approve" and request.statement.subject != "list"
    return RedirectResponse(f"/approvals/{request.request_id}" if is_step else "/approvals", 303)
