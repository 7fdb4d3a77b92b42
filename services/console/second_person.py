"""Decisions that wait for a second person: approved or rejected by another, taken back by who asked."""

from typing import TYPE_CHECKING

from starlette.responses import Response

from schemas.person import same_person
from services.console.web import Asked, RefusedError

if TYPE_CHECKING:
    from services.console.routes import Desk


async def answer(desk: "Desk", asked: Asked) -> Response:
    """Approve or reject what another asked for."""
    from services.console.routes import act

    verb = asked.text("action")
    if verb not in ("approve", "reject"):
        raise RefusedError(400, "There is no such answer.")
    return await act(desk, asked, {"action": verb, "request_offset": asked.number("request")}, verb)


async def withdraw(desk: "Desk", asked: Asked) -> Response:
    """Take back what one asked for oneself."""
    from services.console.routes import act

    case = await desk.case(asked)
    if case.pending is None or not same_person(case.pending.by, asked.user.name):
        raise RefusedError(409, "Only who asked for a decision takes it back; others approve or reject it.")
    return await act(desk, asked, {"action": "reject", "request_offset": case.pending.offset}, "withdraw")
