"""The pages and what they post. `TABLE` is the only list of them: each with the one permission that it asks for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.responses import HTMLResponse, RedirectResponse, Response

from schemas.case import Case
from services.cases.rules import standing
from services.clock import wall_ms
from services.console import pages
from services.console.model import SEVERE
from services.console.queries import STATES, Filter, Queries
from services.console.roles import Permission
from services.console.timeline import timeline
from services.console.users import Users
from services.console.web import Asked, Handler, RefusedError
from services.console.writer import ActionWriter, Result, UnusableError, usable_action, usable_entry
from services.settings.console import ConsoleSettings

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS
SEARCH_CHARS_MAX = 300
TAKE_TRIES_MAX = 5
SNOOZE_H = (4, 24, 72, 168)
ASSIGNEES = {"all": None, "mine": "mine", "none": ""}


class Route(NamedTuple):
    """One path and method, and who may."""

    method: str
    path: str
    permission: Permission
    handler: Callable[["Desk", Asked], Awaitable[Response]]


@dataclass(slots=True)
class Desk:
    """What the pages stand on."""

    settings: ConsoleSettings
    queries: Queries
    writer: ActionWriter
    users: Users
    templates: Environment
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def render(self, name: str, asked: Asked | None, status: int = 200, **values: Any) -> HTMLResponse:
        """A page."""
        shown = {"asked": asked, "settings": self.settings, "now_ms": wall_ms(), "flash": None, "query": "", **values}
        return HTMLResponse(self.templates.get_template(name).render(**shown), status)

    def bound(self, route: Route) -> Handler:
        """The route's handler, on this desk."""

        async def handle(asked: Asked) -> Response:
            return await route.handler(self, asked)

        return handle

    @property
    def overdue_before_ms(self) -> int:
        """A case opened earlier has waited too long."""
        return wall_ms() - round(self.settings.sla_h * HOUR_MS)

    async def case(self, asked: Asked) -> Case:
        """The case of the path. Raises RefusedError."""
        case = await asyncio.to_thread(self.queries.case, asked.request.path_params["case_id"])
        if case is None:
            raise RefusedError(404, "There is no such case; closed ones are forgotten after a while.")
        return case


async def home(_: Desk, __: Asked) -> Response:
    """The queue."""
    return RedirectResponse("/queue", 303)


def _wanted(desk: Desk, asked: Asked) -> tuple[Filter, dict[str, str]]:
    """The filter that the address asks for, and as fields. Raises RefusedError."""
    given = {name: asked.request.query_params.get(name, "") for name in ("state", "who", "severity", "age")}
    given["state"] = given["state"] or "open"
    given["who"] = given["who"] or "all"
    severities = {"": None, "high": 3, "medium": 2, "low": 1}
    known = (given["state"] in STATES, given["who"] in ASSIGNEES, given["severity"] in severities)
    if not all(known) or given["age"] not in ("", "overdue"):
        raise RefusedError(400, "There is no such filter.")
    who = asked.user.name if given["who"] == "mine" else ASSIGNEES[given["who"]]
    before_ms = desk.overdue_before_ms if given["age"] else None
    return Filter(given["state"], severities[given["severity"]], who, before_ms), given


async def queue(desk: Desk, asked: Asked) -> Response:
    """Cases by rank."""
    wanted, given = _wanted(desk, asked)
    cursor = asked.request.query_params.get("after")
    try:
        page = await asyncio.to_thread(desk.queries.queue, wanted, desk.settings.page_cases, cursor)
    except ValueError:
        raise RefusedError(400, "There is no such page of the queue.") from None
    counts = await asyncio.to_thread(desk.queries.counts, desk.overdue_before_ms)
    filters = {name: value for name, value in given.items() if value}
    following = urlencode({**filters, "after": page.cursor}) if page.cursor else None
    return desk.render(
        "queue.html",
        asked,
        rows=pages.rows(page.cases, desk.settings.sla_h),
        counts=counts,
        given=given,
        following=following,
        is_first=not cursor,
        states=STATES,
        names=desk.users.names(),
        top=page.cases[0] if page.cases else None,
        flash=_flash(asked),
    )


async def live(desk: Desk, asked: Asked) -> Response:
    """The numbers above the queue, asked for every few seconds. Rows stay where they are until someone asks for others."""
    counts = await asyncio.to_thread(desk.queries.counts, desk.overdue_before_ms)
    seen = asked.request.query_params.get("seen", "")
    is_new = seen.isascii() and seen.isdigit() and len(seen) < 10 and int(seen) < counts.waiting
    return desk.render("live.html", asked, counts=counts, seen=seen, more=counts.waiting - int(seen) if is_new else 0)


async def search(desk: Desk, asked: Asked) -> Response:
    """Cases by an id; the case itself where there is one."""
    text = asked.request.query_params.get("q", "").strip()[:SEARCH_CHARS_MAX]
    found = await asyncio.to_thread(desk.queries.search, text) if text else []
    if len(found) == 1:
        return RedirectResponse(f"/cases/{found[0].case_id}", 303)
    return desk.render("search.html", asked, query=text, rows=pages.rows(found, desk.settings.sla_h))


async def show(desk: Desk, asked: Asked) -> Response:
    """One case."""
    return await _page(desk, asked, await desk.case(asked), flash=_flash(asked))


async def _page(desk: Desk, asked: Asked, case: Case, status: int = 200, **values: Any) -> HTMLResponse:
    of_card, links, mutes = await asyncio.gather(
        asyncio.to_thread(desk.queries.of_card, case.card_id),
        asyncio.to_thread(desk.queries.links, case),
        asyncio.to_thread(desk.queries.mutes, [case.card_id, *{alert.terminal_id for alert in case.listed}]),
    )
    now_ms = wall_ms()
    shown: dict[str, Any] = {
        **pages.shown_case(case),
        "case": case,
        "row": pages.rows([case], desk.settings.sla_h)[0],
        "history": pages.happened(case),
        "chart": timeline(pages.payments(of_card)),
        "others": pages.rows([one for one in of_card if one.case_id != case.case_id], desk.settings.sla_h),
        "links": links,
        "mutes": [mute for mute in mutes if mute.until_ms is None or mute.until_ms > now_ms],
        "snooze_h": SNOOZE_H,
        "names": desk.users.names(),
        "likely": SEVERE,
        "conflict": None,
        "draft": {},
        "problem": None,
    }
    return desk.render("case.html", asked, status, **{**shown, **values})


async def case_live(desk: Desk, asked: Asked) -> Response:
    """Whether the case is another than the page shows: a line that says so."""
    case = await desk.case(asked)
    seen = asked.request.query_params.get("version", "")
    last = case.history[-1] if case.history and case.history[-1].version == case.version else None
    return desk.render("case_live.html", asked, case=case, changed=str(case.version) != seen, last=last)


async def decide(desk: Desk, asked: Asked) -> Response:
    """Confirm or dismiss. What another decided meanwhile is shown, and stands."""
    verb = asked.text("action")
    if verb not in ("confirm", "dismiss"):
        raise RefusedError(400, "There is no such decision.")
    overrule = bool(asked.text("overrule"))
    if overrule and not asked.may("overrule"):
        raise RefusedError(403, f"Your role ({asked.user.role}) may not overrule a decision.")
    return await _act(desk, asked, {"action": verb, "overrule": overrule}, f"{verb}")


async def work(desk: Desk, asked: Asked) -> Response:
    """Assign, release, escalate, write a note."""
    verb = asked.text("action")
    fields: dict[str, Any] = {"action": verb}
    if verb in ("take", "release", "assign"):
        to = {"take": asked.user.name, "release": None, "assign": asked.text("assignee") or None}[verb]
        if verb == "assign" and not asked.may("overrule"):
            raise RefusedError(403, f"Your role ({asked.user.role}) may not assign others.")
        if to is not None and to not in desk.users.names():
            raise RefusedError(400, "There is no such user who works cases.")
        fields |= {"action": "assign", "assignee": to, "overrule": asked.may("overrule") and verb == "assign"}
    elif verb == "note" and not asked.text("note"):
        raise RefusedError(400, "A note needs words.")
    elif verb not in ("escalate", "note"):
        raise RefusedError(400, "There is no such action.")
    return await _act(desk, asked, fields, verb)


async def _act(desk: Desk, asked: Asked, fields: dict[str, Any], did: str) -> Response:
    case = await desk.case(asked)
    seen, note = asked.number("version"), asked.text("note") or None
    try:
        made = {"case_id": case.case_id, "by": asked.user.name, "note": note, "case_version": seen or case.version}
        action = usable_action(fields | made)
    except UnusableError as error:
        return await _page(desk, asked, case, 422, problem=str(error), draft={"note": note or ""})
    result = await desk.writer.act(action)
    if result.refused:
        return await _conflict(desk, asked, result, did, note)
    query = urlencode({"did": did if result.case else "written"})
    return RedirectResponse(f"/cases/{case.case_id}?{query}", 303)


async def _conflict(desk: Desk, asked: Asked, result: Result, did: str, note: str | None) -> Response:
    """The case as it is, what was wanted, and what stands against it."""
    assert result.case is not None
    case = result.case
    stands = standing(case) if did in ("confirm", "dismiss") else f"being worked by {case.assignee}"
    conflict = {"did": did, "stands": stands}
    return await _page(desk, asked, case, 409, conflict=conflict, draft={"note": note or ""})


async def take_next(desk: Desk, asked: Asked) -> Response:
    """The first open case that no one works, assigned to who asks. Of two who ask at once each gets another."""
    wanted = Filter("open", assignee="")
    async with desk.taking:
        for _ in range(TAKE_TRIES_MAX):
            page = await asyncio.to_thread(desk.queries.queue, wanted, 1)
            if not page.cases:
                break
            case = page.cases[0]
            fields = {"action": "assign", "assignee": asked.user.name, "by": asked.user.name}
            action = usable_action(fields | {"case_id": case.case_id, "case_version": case.version})
            result = await desk.writer.act(action)
            if result.case is None:
                return RedirectResponse(f"/cases/{case.case_id}?did=written", 303)
            if not result.refused:
                return RedirectResponse(f"/cases/{case.case_id}?did=take", 303)
    return RedirectResponse("/queue?did=none", 303)


async def snooze(desk: Desk, asked: Asked) -> Response:
    """No cases of this card's alerts for a while, or again."""
    case, hours = await desk.case(asked), asked.number("hours")
    verb = "unmute" if asked.text("action") == "unmute" else "mute"
    if verb == "mute" and hours not in SNOOZE_H:
        raise RefusedError(400, "There is no such time to snooze for.")
    until_ms = None if hours is None or verb == "unmute" else wall_ms() + hours * HOUR_MS
    fields = {"action": verb, "scope": "card", "muted_id": case.card_id, "until_ms": until_ms, "by": asked.user.name}
    try:
        action = usable_action(fields | {"note": asked.text("note") or None})
    except UnusableError as error:
        return await _page(desk, asked, case, 422, problem=str(error))
    await desk.writer.mute(action)
    return RedirectResponse(f"/cases/{case.case_id}?did={'unmute' if verb == 'unmute' else 'snooze'}", 303)


async def enter(desk: Desk, asked: Asked) -> Response:
    """The case's card onto a list that policies look up."""
    case, days = await desk.case(asked), asked.number("days")
    now_ms = wall_ms()
    fields = {
        "list_name": asked.text("list_name"),
        "field": "card_id",
        "kind": "value",
        "value": case.card_id,
        "purpose": asked.text("purpose") or "watch",
        "expires_at_ms": now_ms + days * DAY_MS if days and days <= 3650 else None,
        "reason": asked.text("reason"),
        "by": asked.user.name,
        "source": f"console, case {case.case_id}",
        "written_at_ms": now_ms,
    }
    try:
        if not fields["reason"]:
            raise UnusableError("A list entry needs a reason.")
        entry = usable_entry(fields)
    except UnusableError as error:
        return await _page(desk, asked, case, 422, problem=str(error))
    await desk.writer.enter(entry)
    return RedirectResponse(f"/cases/{case.case_id}?did=list", 303)


FLASHES = {
    "confirm": "Confirmed. Its payments are labelled as fraud.",
    "dismiss": "Dismissed. Its payments are labelled as legitimate.",
    "take": "Yours.",
    "assign": "Assigned.",
    "release": "Released: anyone may take it.",
    "escalate": "Escalated: it comes first in the queue.",
    "note": "Noted.",
    "snooze": "Snoozed: alerts of this card make no cases until then.",
    "unmute": "Alerts of this card make cases again.",
    "list": "Written to the list.",
    "none": "No case waits that is not someone's.",
    "written": "Written, but the case service has not taken it in yet: reload in a moment, and check that it runs.",
}


def _flash(asked: Asked) -> str | None:
    return FLASHES.get(asked.request.query_params.get("did", ""))


TABLE: tuple[Route, ...] = (
    Route("GET", "/", "look", home),
    Route("GET", "/queue", "look", queue),
    Route("GET", "/live", "look", live),
    Route("GET", "/search", "look", search),
    Route("POST", "/next", "work", take_next),
    Route("GET", "/cases/{case_id}", "look", show),
    Route("GET", "/cases/{case_id}/live", "look", case_live),
    Route("POST", "/cases/{case_id}/decide", "decide", decide),
    Route("POST", "/cases/{case_id}/work", "work", work),
    Route("POST", "/cases/{case_id}/snooze", "work", snooze),
    Route("POST", "/cases/{case_id}/list", "list", enter),
)
