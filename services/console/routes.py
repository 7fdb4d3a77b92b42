"""The pages and what they post. `TABLE` is the only list of them: each with the one permission that it asks for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.responses import HTMLResponse, RedirectResponse, Response

from models.bundle.persons import StepRule
from schemas.case import Case
from services.approvals import Request as Change
from services.cases.rules import standing, waiting
from services.clock import wall_ms
from services.console import (
    approving,
    bulk_pages,
    overview_pages,
    pages,
    promotion_pages,
    request_pages,
    second_person,
    unmasking,
)
from services.console.bulk import Bulk
from services.console.model import SEVERE
from services.console.overview import Overview
from services.console.payments import Known, PaymentFollower
from services.console.promotions import Promotions
from services.console.queries import STATES, Counts, Filter, Queries
from services.console.roles import Permission
from services.console.sending import Sender
from services.console.timeline import SHOWN_MAX, timeline
from services.console.users import Users
from services.console.web import Asked, Handler, RefusedError
from services.console.writer import ActionWriter, Result, UnusableError, usable_action, usable_entry
from services.privacy.subject_keys import SubjectKeys
from services.settings.console import ConsoleSettings
from services.trusted_persons import needs_second

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS
SEARCH_CHARS_MAX = 300
TAKE_TRIES_MAX = 5
SNOOZE_H = (4, 24, 72, 168)
ASSIGNEES = {"all": None, "mine": "mine", "none": "", "second": None}


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
    bulk: Bulk
    overview: Overview
    subject_keys: SubjectKeys | None = None
    """What opens sealed attributes for those who may see them."""
    request_h: float | None = None
    """So long a list entry waits for a second person or for signatures; None: it needs none."""
    payments: PaymentFollower | None = None
    """What knows a card's payments that are no alerts."""
    rule: StepRule | None = None
    """Who has to sign lists, bundles and policies. The console holds no one's key: who signs does it with `assay approvals`."""
    promotions: Promotions | None = None
    """What is promoted; None where there is no registry."""
    sender: Sender | None = None
    """What sends what was signed."""
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

    @property
    def soon_before_ms(self) -> int:
        """A case opened earlier has used most of its time."""
        return wall_ms() - round(self.settings.sla_h * HOUR_MS * pages.SOON_SHARE)

    def counts(self) -> Counts:
        """Of the open cases. Blocks."""
        return self.queries.counts(self.overdue_before_ms, self.soon_before_ms)

    def known(self, card_id: str) -> list[Known]:
        """The card's payments as far as they are known. Blocks."""
        payments = self.payments.payments if self.payments is not None else None
        return payments.of(card_id, SHOWN_MAX) if payments is not None else []

    def needs_second(self, change: Change) -> bool:
        """Whether it waits for another person than who asked."""
        return (self.rule is not None and self.rule.signatures_min > 1) or needs_second(change.statement.subject)

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
    given = {name: asked.request.query_params.get(name, "") for name in ("state", "who", "severity", "age", "order")}
    given["state"] = given["state"] or "open"
    given["who"] = given["who"] or "all"
    severities = {"": None, "high": 3, "medium": 2, "low": 1}
    befores_ms = {"": None, "overdue": desk.overdue_before_ms, "soon": desk.soon_before_ms}
    known = (given["state"] in STATES, given["who"] in ASSIGNEES, given["severity"] in severities)
    if not all(known) or given["age"] not in befores_ms or given["order"] not in ("", "oldest"):
        raise RefusedError(400, "There is no such filter.")
    who = asked.user.name if given["who"] == "mine" else ASSIGNEES[given["who"]]
    before_ms, oldest = befores_ms[given["age"]], given["order"] == "oldest"
    second = given["who"] == "second"
    return Filter(given["state"], severities[given["severity"]], who, before_ms, oldest, is_pending=second), given


async def queue(desk: Desk, asked: Asked) -> Response:
    """Cases by rank."""
    wanted, given = _wanted(desk, asked)
    cursor = asked.request.query_params.get("after")
    try:
        page = await asyncio.to_thread(desk.queries.queue, wanted, desk.settings.page_cases, cursor)
    except ValueError:
        raise RefusedError(400, "There is no such page of the queue.") from None
    counts = await asyncio.to_thread(desk.counts)
    filters = {name: value for name, value in given.items() if value}
    following = urlencode({**filters, "after": page.cursor}) if page.cursor else None
    batch = desk.bulk.of(asked.request.query_params.get("batch", ""), asked.user.name)
    return desk.render(
        "queue.html",
        asked,
        rows=pages.rows(page.cases, desk.settings.sla_h),
        counts=counts,
        given=given,
        back=urlencode({**filters, **({"after": cursor} if cursor else {})}),
        following=following,
        is_first=not cursor,
        states=STATES,
        names=desk.users.names(),
        flash=_flash(asked),
        batch=batch,
        waiting=desk.bulk.waiting(),
        **bulk_pages.words(batch),
    )


async def live(desk: Desk, asked: Asked) -> Response:
    """The numbers above the queue and marks on its rows, asked for every few seconds. Rows stay where they are."""
    counts = await asyncio.to_thread(desk.counts)
    seen, shown = (asked.request.query_params.get(name, "") for name in ("seen", "shown"))
    is_new = seen.isascii() and seen.isdigit() and len(seen) < 10 and int(seen) < counts.waiting
    versions = dict(one.split("~", 1) for one in shown.split(",")[: desk.settings.page_cases] if "~" in one)
    cases = await asyncio.to_thread(desk.queries.versions, list(versions)) if versions else {}
    changed = {
        one: cases.get(one)
        for one, version in versions.items()
        if one not in cases or str(cases[one].version) != version
    }
    waiting = desk.bulk.waiting()
    more = counts.waiting - int(seen) if is_new else 0
    marks = {one: pages.mark(cases.get(one), one in changed, waiting.get(one)) for one in cases | changed}
    return desk.render("live.html", asked, counts=counts, seen=seen, shown=shown, more=more, marks=marks)


async def search(desk: Desk, asked: Asked) -> Response:
    """Cases by an id; the case itself where there is one."""
    text = asked.request.query_params.get("q", "").strip()[:SEARCH_CHARS_MAX]
    found = await asyncio.to_thread(desk.queries.search, text) if text else []
    if len(found) == 1:
        return RedirectResponse(f"/cases/{found[0].case_id}", 303)
    shown = pages.rows(found, desk.settings.sla_h)
    return desk.render("search.html", asked, query=text, rows=shown, waiting=desk.bulk.waiting())


async def show(desk: Desk, asked: Asked) -> Response:
    """One case."""
    return await _page(desk, asked, await desk.case(asked), flash=_flash(asked))


async def _page(desk: Desk, asked: Asked, case: Case, status: int = 200, **values: Any) -> HTMLResponse:
    of_card, known, links, mutes = await asyncio.gather(
        asyncio.to_thread(desk.queries.of_card, case.card_id),
        asyncio.to_thread(desk.known, case.card_id),
        asyncio.to_thread(desk.queries.links, case),
        asyncio.to_thread(desk.queries.mutes, [case.card_id, *{alert.terminal_id for alert in case.listed}]),
    )
    now_ms = wall_ms()
    shown: dict[str, Any] = {
        **pages.shown_case(case),
        "case": case,
        "row": pages.rows([case], desk.settings.sla_h)[0],
        "history": pages.happened(case),
        "chart": timeline(pages.payments(of_card, known)),
        "only_alerts": desk.payments is None or desk.payments.problem,
        "others": pages.rows([one for one in of_card if one.case_id != case.case_id], desk.settings.sla_h),
        "links": links,
        "mutes": [mute for mute in mutes if mute.until_ms is None or mute.until_ms > now_ms],
        "snooze_h": SNOOZE_H,
        "names": desk.users.names(),
        "likely": SEVERE,
        "listable": pages.listable(case),
        "waiting": desk.bulk.waiting().get(case.case_id),
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
    return await act(desk, asked, {"action": verb, "overrule": overrule}, f"{verb}")


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
    return await act(desk, asked, fields, verb)


async def act(desk: Desk, asked: Asked, fields: dict[str, Any], did: str) -> Response:
    """Write an action on the case of the path, and show what came of it: done, asked for, or refused."""
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
    waits = result.case is not None and did in ("confirm", "dismiss") and result.case.pending is not None
    query = urlencode({"did": "asked" if waits else did if result.case else "written"})
    return RedirectResponse(f"/cases/{case.case_id}?{query}", 303)


async def _conflict(desk: Desk, asked: Asked, result: Result, did: str, note: str | None) -> Response:
    """The case as it is, what was wanted, and what stands against it."""
    assert result.case is not None
    case = result.case
    stands = f"being worked by {case.assignee}"
    if did in ("confirm", "dismiss"):
        stands = standing(case) if case.pending is None else waiting(case)
    elif did in ("approve", "reject", "withdraw"):
        stands = "no longer waiting for it" if case.pending is None else waiting(case)
    conflict = {"did": did, "stands": stands}
    return await _page(desk, asked, case, 409, conflict=conflict, draft={"note": note or ""})


async def take_next(desk: Desk, asked: Asked) -> Response:
    """The first open case that no one works, assigned to who asks. Of two who ask at once each gets another."""
    async with desk.taking:
        wanted = Filter("open", assignee="", without=frozenset(desk.bulk.waiting()))
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
    """Something of the case onto a list that policies look up: its card, a place, an attribute that is shown."""
    case, days = await desk.case(asked), asked.number("days")
    now_ms = wall_ms()
    what = next((one for one in pages.listable(case) if one.key == (asked.text("what") or "card_id")), None)
    try:
        if what is None:
            raise UnusableError("The case has no such value.")
        if not asked.text("reason"):
            raise UnusableError("A list entry needs a reason.")
        entry = usable_entry(
            {
                "list_name": asked.text("list_name"),
                "field": what.field,
                "kind": "value",
                "value": what.value,
                "purpose": asked.text("purpose") or "watch",
                "expires_at_ms": now_ms + days * DAY_MS if days and days <= 3650 else None,
                "reason": asked.text("reason"),
                "by": asked.user.name,
                "source": f"console, case {case.case_id}",
                "written_at_ms": now_ms,
            }
        )
    except UnusableError as error:
        return await _page(desk, asked, case, 422, problem=str(error))
    if desk.request_h is not None:
        return await approving.ask_for(desk, asked, case, entry, desk.request_h)
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
    "asked": "Asked for. It takes effect once a second person approves it.",
    "asked-list": "Asked for. It comes onto the list once a second person approves it (Approvals).",
    "prepared-list": "Prepared. It comes onto the list once it is signed: Approvals has the commands.",
    "approve": "Approved: the decision is made.",
    "reject": "Rejected: the case is as it was.",
    "withdraw": "Taken back.",
    "unchosen": "No case was chosen that can be changed: tick some first.",
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
    Route("POST", "/bulk", "work", bulk_pages.begin),
    Route("POST", "/bulk/second", "approve", bulk_pages.begin_second),
    Route("GET", "/bulk/{batch}", "look", bulk_pages.watch),
    Route("POST", "/bulk/{batch}/undo", "look", bulk_pages.undo),
    Route("POST", "/bulk/{batch}/now", "look", bulk_pages.write_now),
    Route("GET", "/cases/{case_id}", "look", show),
    Route("GET", "/cases/{case_id}/live", "look", case_live),
    Route("POST", "/cases/{case_id}/decide", "decide", decide),
    Route("POST", "/cases/{case_id}/work", "work", work),
    Route("POST", "/cases/{case_id}/snooze", "work", snooze),
    Route("POST", "/cases/{case_id}/list", "list", enter),
    Route("POST", "/cases/{case_id}/approve", "approve", second_person.answer),
    Route("POST", "/cases/{case_id}/withdraw", "decide", second_person.withdraw),
    Route("GET", "/approvals", "look", approving.show),
    Route("GET", "/approvals/{request_id}", "look", request_pages.show),
    Route("POST", "/approvals/{request_id}", "approve", approving.answered),
    Route("GET", "/approvals/{request_id}/live", "look", request_pages.live),
    Route("POST", "/approvals/{request_id}/file", "approve", request_pages.file),
    Route("POST", "/approvals/{request_id}/sign", "approve", request_pages.sign),
    Route("POST", "/approvals/{request_id}/send", "promote", request_pages.send),
    Route("GET", "/promotions", "oversee", promotion_pages.show),
    Route("POST", "/promotions", "promote", promotion_pages.ask_for),
    Route("GET", "/promotions/step", "promote", promotion_pages.step),
    Route("GET", "/promotions/report/{version}", "oversee", promotion_pages.report),
    Route("GET", "/cases/{case_id}/unmask", "unmask", unmasking.ask),
    Route("POST", "/cases/{case_id}/unmask", "unmask", unmasking.unmask),
    Route("GET", "/overview", "oversee", overview_pages.show),
    Route("GET", "/overview/report", "oversee", overview_pages.report),
    Route("GET", "/overview/pages/{name}", "oversee", overview_pages.page),
)
