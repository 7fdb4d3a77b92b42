"""The page of one request: what it would do, who signed it, where to sign it, and how far its sending is."""

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from starlette.responses import RedirectResponse, Response

from models.bundle.envelopes import prepared
from models.bundle.files import BundleError
from schemas.audit import REASON_CHARS_MIN
from schemas.person import same_person
from services.approvals import NotAllowedError, Request, answer, command_words
from services.clock import wall_ms
from services.console.promotion_pages import signers_now
from services.console.promotions import StaleError
from services.console.signing import SignatureError, usable_signature
from services.console.web import Asked, RefusedError
from services.errors import AssayError

if TYPE_CHECKING:
    from services.console.routes import Desk

MASKED_FIELDS = ("card_id", "*")
"""Fields of list entries whose values pages mask."""


async def show(desk: "Desk", asked: Asked) -> Response:
    """One request."""
    return await _page(desk, asked, await _request(desk, asked))


async def live(desk: "Desk", asked: Asked) -> Response:
    """How far its sending is."""
    attempt = desk.sender.of(asked.request.path_params["request_id"]) if desk.sender is not None else None
    if attempt is None:
        raise RefusedError(404, "Nothing of this request is on its way.")
    return desk.render("request_live.html", asked, attempt=attempt, request_id=asked.request.path_params["request_id"])


async def file(desk: "Desk", asked: Asked) -> Response:
    """What is to be signed, as a file. One with whole card ids needs a reason, as every look at them does."""
    request = await _request(desk, asked)
    if holds_cards(request):
        if not asked.may("unmask"):
            raise RefusedError(403, f"Your role ({asked.user.role}) may not see whole ids.")
        if len(asked.text("reason")) < REASON_CHARS_MIN:
            return await _page(
                desk, asked, request, 422, "Say why: the file holds whole card ids, and the reason is kept."
            )
    entries = [entry.model_dump(mode="json", exclude={"proof"}) for entry in request.record.entries]
    name = f"assay-request-{request.request_id}.json"
    return Response(
        prepared(request.text, entries) + "\n",
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


async def sign(desk: "Desk", asked: Asked) -> Response:
    """A signature that was made elsewhere: verified here, and written; with the last one the change is made."""
    request = await _request(desk, asked)
    if desk.rule is None:
        return await _page(desk, asked, request, 409, "No one has to sign here: approve it, or reject it.")
    kind: Literal["sign", "approve"] = "sign" if same_person(request.record.by, asked.user.name) else "approve"
    try:
        await _check_usable(desk, request)
        signature = await asyncio.to_thread(
            usable_signature, asked.text("signature"), request, desk.rule, asked.user.name, wall_ms()
        )
        given = answer(request, kind, asked.user.name, asked.text("note")[:1000], signature)
    except (SignatureError, NotAllowedError, StaleError, AssayError, BundleError) as error:
        return await _page(desk, asked, request, 409, str(error))
    await desk.writer.request(given)
    (request.signings if kind == "sign" else request.approvals).append(given)
    if ready(desk, request):
        return await _carried_out(desk, asked, request)
    return _to(request, "signed")


async def send(desk: "Desk", asked: Asked) -> Response:
    """What enough persons agreed to, once more or for the first time: to the services, and into the registry."""
    request = await _request(desk, asked)
    if not request.waits(wall_ms()):
        return await _page(
            desk, asked, request, 409, f"This request is {request.state(wall_ms())}: nothing can be sent."
        )
    if not ready(desk, request):
        return await _page(desk, asked, request, 409, "Others have to agree first.")
    return await _carried_out(desk, asked, request)


def ready(desk: "Desk", request: Request) -> bool:
    """Whether everybody has agreed who has to."""
    if request.lacks(desk.rule):
        return False
    return request.state(wall_ms()) == "approved" or (desk.rule is not None and not desk.needs_second(request))


async def _carried_out(desk: "Desk", asked: Asked, request: Request) -> Response:
    by = asked.user.name
    if request.statement.subject == "list":
        await desk.writer.carry_out(request, desk.rule)
        await desk.writer.request(answer(request, "done", by, alone=not desk.needs_second(request)))
        return _to(request, "listed")
    if desk.sender is None:
        return _to(request, "signed")
    try:
        desk.sender.begin(request, request.signed(desk.rule), by, asked.user.role)
    except NotAllowedError as error:
        return await _page(desk, asked, request, 409, str(error))
    return _to(request, "sent")


async def _check_usable(desk: "Desk", request: Request) -> None:
    """That a signature is still worth giving. Raises NotAllowedError, StaleError, AssayError, BundleError."""
    now_ms = wall_ms()
    if not request.waits(now_ms):
        raise NotAllowedError(f"This request is {request.state(now_ms)}: prepare it again.")
    if request.statement.subject == "list":
        if desk.rule is not None and await desk.writer.has_newer(request, desk.rule):
            raise StaleError(
                f"The list {request.statement.line} says something newer of this: take the request back, and prepare it again."
            )
        return
    if desk.promotions is not None:
        await asyncio.to_thread(desk.promotions.standing, request.statement, request.text)


def holds_cards(request: Request) -> bool:
    """Whether its entries have ids that pages mask."""
    return any(entry.field in MASKED_FIELDS for entry in request.record.entries)


async def _request(desk: "Desk", asked: Asked) -> Request:
    """That of the path. Raises RefusedError."""
    found = (await desk.writer.requests()).get(asked.request.path_params["request_id"])
    if found is None:
        raise RefusedError(404, "There is no such request.")
    return found


async def _page(
    desk: "Desk", asked: Asked, request: Request, status: int = 200, problem: str | None = None
) -> Response:
    now_ms, stale = wall_ms(), None
    state = request.state(now_ms)
    attempt = desk.sender.of(request.request_id) if desk.sender is not None else None
    waits = request.waits(now_ms)
    if waits and desk.promotions is not None and request.statement.subject != "list" and not (attempt and attempt.runs):
        try:
            await asyncio.to_thread(desk.promotions.standing, request.statement, request.text)
        except (StaleError, AssayError, BundleError) as error:
            stale = str(error)
    signed = [one.by for one in request.signed(desk.rule).signatures]
    signers = [one.person for one in signers_now(desk, request.statement.subject)]
    own = next((one for one in signers if same_person(one.name, asked.user.name)), None)
    shown: dict[str, Any] = {
        "one": request,
        "said": request.statement,
        "state": state,
        "waits": waits,
        "stale": stale,
        "attempt": attempt,
        "request_id": request.request_id,
        "signed": signed,
        "lacking": request.lacks(desk.rule),
        "by_signature": desk.rule is not None,
        "signers": [one for one in signers if one.name not in signed],
        "own": own,
        "has_signed": own is not None and own.name in signed,
        "is_ready": waits and ready(desk, request),
        "holds_cards": holds_cards(request),
        "envelope": prepared(request.text),
        "command": "" if request.statement.subject == "list" else command_words(request.statement),
        "problem": problem,
        "flash": FLASHES.get(asked.request.query_params.get("did", "")),
    }
    return desk.render("request.html", asked, status, **shown)


def _to(request: Request, did: str) -> Response:
    return RedirectResponse(f"/approvals/{request.request_id}?did={did}", 303)


FLASHES = {
    "prepared": "Prepared. Nothing changes until it is signed.",
    "signed": "Your signature holds, and is kept. Others have to sign, too.",
    "sent": "All signatures are here: it is on its way.",
    "listed": "All signatures are here: it is on the list.",
}
