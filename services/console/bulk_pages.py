"""The pages of actions on many cases: begin a batch, watch it, take it back, write it at once."""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from starlette.responses import RedirectResponse, Response

from services.console.bulk import CASES_MAX, Batch
from services.console.web import Asked, RefusedError
from services.console.writer import UnusableError, usable_action

if TYPE_CHECKING:
    from services.console.routes import Desk

VERBS = ("confirm", "dismiss", "take", "release", "assign", "escalate")
SECOND = ("approve", "reject")
QUERY_CHARS_MAX = 400
KEPT_IN_QUERY = ("state", "who", "severity", "age", "order", "after")


async def begin(desk: "Desk", asked: Asked) -> Response:
    """Let an action on the chosen cases wait until it can be taken back no more."""
    verb = asked.text("action")
    if verb not in VERBS:
        raise RefusedError(400, "There is no such action.")
    if verb in ("confirm", "dismiss") and not asked.may("decide"):
        raise RefusedError(403, f"Your role ({asked.user.role}) may not decide.")
    fields = _fields(desk, asked, verb)
    chosen = _all_chosen(asked)
    return await _add(desk, asked, verb, {one: {**fields, "case_version": chosen[one]} for one in chosen})


async def begin_second(desk: "Desk", asked: Asked) -> Response:
    """Be the second person of many decisions: of those that they saw, and that wait still."""
    verb = asked.text("action")
    if verb not in SECOND:
        raise RefusedError(400, "There is no such answer.")
    fields: dict[str, dict[str, Any]] = {}
    for case_id, version in _all_chosen(asked).items():
        case = await asyncio.to_thread(desk.queries.case, case_id)
        if case is not None and case.pending is not None and case.version == version:
            fields[case_id] = {"action": verb, "case_version": version, "request_offset": case.pending.offset}
    return await _add(desk, asked, verb, fields)


async def _add(desk: "Desk", asked: Asked, verb: str, fields: dict[str, dict[str, Any]]) -> Response:
    """A batch of actions, by case. Raises RefusedError."""
    said = {"by": asked.user.name, "note": asked.text("note") or None}
    try:
        actions = [usable_action({**said, "case_id": one, **fields[one]}) for one in fields]
    except UnusableError as error:
        raise RefusedError(422, str(error)) from None
    known = await asyncio.to_thread(desk.queries.versions, list(fields))
    waiting = desk.bulk.waiting()
    usable = [one for one in actions if one.case_id in known and one.case_id not in waiting]
    if not usable:
        return RedirectResponse(_queue(asked, did="unchosen"), 303)
    batch = await desk.bulk.add(asked.user.name, verb, usable)
    return RedirectResponse(_queue(asked, batch=batch.name), 303)


def _all_chosen(asked: Asked) -> dict[str, int]:
    """The cases of the form, each with the version that they saw. Raises RefusedError."""
    chosen = dict(map(_chosen, asked.form.get("case", [])))
    if len(chosen) > CASES_MAX:
        raise RefusedError(400, f"At most {CASES_MAX} cases at once: choose fewer.")
    return chosen


async def watch(desk: "Desk", asked: Asked) -> Response:
    """How far the batch is, as a line of the queue's page."""
    return desk.render("bulk_live.html", asked, batch=_own(desk, asked), **words(_own(desk, asked)))


async def undo(desk: "Desk", asked: Asked) -> Response:
    """Take it back, where it is not written yet."""
    batch = _own(desk, asked)
    await desk.bulk.undo(batch)
    return RedirectResponse(_queue(asked, batch=batch.name), 303)


async def write_now(desk: "Desk", asked: Asked) -> Response:
    """Do not wait any longer."""
    batch = _own(desk, asked)
    await desk.bulk.write_now(batch)
    return RedirectResponse(_queue(asked, batch=batch.name), 303)


DOING = {
    "confirm": "confirmed as fraud",
    "dismiss": "dismissed",
    "take": "assigned to you",
    "release": "released",
    "assign": "assigned",
    "escalate": "escalated",
    "approve": "decided as another asked",
    "reject": "left as they were, and what another asked for rejected",
}


def words(batch: Batch | None) -> dict[str, Any]:
    """What the line of a batch shows."""
    return {"doing": DOING.get(batch.verb, batch.verb) if batch else ""}


def _own(desk: "Desk", asked: Asked) -> Batch:
    batch = desk.bulk.of(asked.request.path_params["batch"], asked.user.name)
    if batch is None:
        raise RefusedError(404, "There is no such batch of yours.")
    return batch


def _fields(desk: "Desk", asked: Asked, verb: str) -> dict[str, Any]:
    """The action's fields of one verb. Raises RefusedError."""
    if verb not in ("take", "release", "assign"):
        return {"action": verb}
    to = {"take": asked.user.name, "release": None, "assign": asked.text("assignee") or None}[verb]
    if verb == "assign" and not asked.may("overrule"):
        raise RefusedError(403, f"Your role ({asked.user.role}) may not assign others.")
    if to is not None and to not in desk.users.names():
        raise RefusedError(400, "There is no such user who works cases.")
    return {"action": "assign", "assignee": to, "overrule": verb == "assign"}


def _chosen(text: str) -> tuple[str, int]:
    """Case and the version of it that they saw. Raises RefusedError."""
    case_id, _, version = text.partition("~")
    if not version.isascii() or not version.isdigit() or not 0 < len(version) <= 18:
        raise RefusedError(400, "There is no such case.")
    return case_id, int(version)


def _queue(asked: Asked, **more: str) -> str:
    """The queue as it was filtered when the form was sent."""
    given = dict(parse_qsl(asked.text("back")[:QUERY_CHARS_MAX]))
    kept = {name: given[name] for name in KEPT_IN_QUERY if given.get(name)}
    return f"/queue?{urlencode({**kept, **more})}"
