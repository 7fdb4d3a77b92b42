"""Whole ids and sealed attributes of one case, for a reason. Each time they are shown is one form, and so one audit record."""

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import Response

from schemas.audit import REASON_CHARS_MIN
from services.console.web import Asked, RefusedError
from services.errors import AssayError
from services.privacy.sealed_attributes import opened_case
from services.privacy.subject_keys import SubjectKeysError

if TYPE_CHECKING:
    from services.console.routes import Desk


async def ask(desk: "Desk", asked: Asked) -> Response:
    """The form that asks for the reason."""
    return desk.render("unmask.html", asked, case=await desk.case(asked), shown=None, problem=None)


async def unmask(desk: "Desk", asked: Asked) -> Response:
    """The case's whole ids, and its sealed attributes as far as they open. Nothing of it outlasts the page."""
    case, problem = await desk.case(asked), None
    if len(asked.text("reason")) < REASON_CHARS_MIN:
        problem = "Say why: the reason is kept in the audit trail."
        return desk.render("unmask.html", asked, 422, case=case, shown=None, problem=problem)
    shown = case
    if desk.subject_keys is not None:
        try:
            shown = await asyncio.to_thread(opened_case, case, desk.subject_keys)
        except (AssayError, SubjectKeysError) as error:
            problem = f"Sealed attributes cannot be opened: {error}."
    elif any(one.sealed for alert in case.listed for one in alert.attributes):
        problem = "Sealed attributes stay so: this console has no key for them (ASSAY_SUBJECT_KEY)."
    if shown.card_id != case.card_id:
        raise RefusedError(500, "The case that was opened is another one.")
    return desk.render("unmask.html", asked, case=case, shown=shown, problem=problem)
