"""`assay cases`: runs the case service, and is an analyst's desk in a terminal."""

import asyncio
import getpass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.installation import lacking
from services.cli.masking import masked
from services.cli.output import print_json, results, shown
from services.cli.people.unmasking import Why, audited

if TYPE_CHECKING:
    from schemas.case import Case

app = typer.Typer(help="Cases made of alerts.", no_args_is_help=True, epilog="Example: assay cases list --state open")

HOUR_MS = 3_600_000
SECOND = ("approve", "reject")
DECIDED_STATES = ("confirmed", "dismissed")

Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]
CaseId = Annotated[str, typer.Argument(help="Case, such as 3-1042.")]
By = Annotated[str | None, typer.Option(help="Who decides. Default: the user of this machine.")]
Note = Annotated[str | None, typer.Option(help="Why.")]
Unmasked = Annotated[bool, typer.Option(help="Show whole card ids.")]
Card = Annotated[str | None, typer.Option(help="Whose alerts: a card id.")]
MutedCase = Annotated[str | None, typer.Argument(help="Case, such as 3-1042: its card's alerts.")]
Seen = Annotated[
    int | None,
    typer.Option(min=1, help="Version of the case that you looked at, as `show` has it. Default: the newest."),
]
Overrule = Annotated[bool, typer.Option("--overrule", help="Decide although another decision stands.")]
Wait = Annotated[float, typer.Option(min=1.0, help="For the case service's answer, in seconds.")]
Terminal = Annotated[str | None, typer.Option(help="Whose alerts: a terminal id.")]


class State(StrEnum):
    """The state of the work on a case."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    EXPIRED = "expired"


@app.command(epilog="Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 assay cases run")
def run() -> None:
    """Make cases of alerts until Ctrl-C or SIGTERM. Settings: the environment; more processes share the partitions."""
    from services.errors import AssayError

    try:
        from services.cases.__main__ import start
        from services.faust_runtime.run import main
    except ModuleNotFoundError as error:
        raise AssayError(lacking("Cases need", error, "side")) from None
    main(start)


@app.command("list", epilog="Example: assay cases list --state open --count 20")
def list_cases(
    state: Annotated[State | None, typer.Option(help="Only these. Default: all.")] = None,
    count: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    unmasked: Unmasked = False,
    why: Why = None,
    json: Json = False,
) -> None:
    """Show cases, the most money at risk first."""
    from rich.table import Table
    from rich.text import Text

    from services.cli.people.case_actions import all_cases

    audited("assay cases list", why, unmasked=unmasked)
    found = [case for case in asyncio.run(all_cases()).values() if state in (None, case.state)]
    found = sorted(found, key=lambda case: (-case.priority, case.case_id))[:count]
    if json:
        print_json([_fields(case, unmasked=unmasked) for case in found])
        return
    table = Table("case", "state", "at risk", "alerts", "card", "strongest reason", box=None)
    for case in found:
        reason = case.reasons[0].text if case.reasons else ""
        card = case.card_id if unmasked else masked(case.card_id)
        cells = (case.case_id, case.state, f"{case.priority:,.2f}", str(case.alerts), card, reason)
        table.add_row(*(Text(shown(cell)) for cell in cells))
    results.print(table)


@app.command(epilog="Example: assay cases show 3-1042 --json")
def show(
    case_id: CaseId,
    unmasked: Unmasked = False,
    unseal: Annotated[
        bool,
        typer.Option("--open", help="Open sealed attributes with ASSAY_SUBJECT_KEY; an erased subject's stay sealed."),
    ] = False,
    why: Why = None,
    json: Json = False,
) -> None:
    """Show one case with its alerts, reasons and history."""
    from services.cases.rules import moment

    case = asyncio.run(_case(case_id))
    audited(f"assay cases show {case.case_id}", why, unmasked=unmasked, opened=unseal)
    if unseal:
        from services.cli.people.opening import opened

        case = opened(case)
    if json:
        print_json(_fields(case, unmasked=unmasked))
        return
    card = case.card_id if unmasked else masked(case.card_id)
    results.print(f"{case.case_id} {case.state}: card {shown(card)}, {case.alerts:,} alerts, {case.amount:,.2f} in all")
    results.print(f"  at risk {case.priority:,.2f}, scored by {shown(case.model)}, version {case.version}")
    for line in case.history:
        became = ", refused" if line.refused else ", asked for" if line.asked else ""
        outcome = f"{line.action} by {line.by} at {moment(line.at_ms)}{became}"
        outcome += f", approved by {line.approved_by}" if line.approved_by else ""
        results.print(shown(f"  {outcome}{f': {line.note}' if line.note else ''}"))
    if case.decided_by and not case.history:  # of an earlier version
        results.print(shown(f"  by {case.decided_by}{f': {case.note}' if case.note else ''}"))
    if case.pending is not None:
        over = f"until {moment(case.pending.expires_at_ms)}: `assay cases approve {case_id}`"
        results.print(shown(f"  {case.pending.action} by {case.pending.by} waits for a second person, {over}"))
    for reason in case.reasons:
        results.print(shown(f"  {reason.text} (in {reason.alerts:,} alerts)"))
    for alert in case.listed:
        amount = f"{alert.amount:,.2f} {alert.currency or ''}"
        scores = f"p={alert.probability:.3f} anomaly={alert.anomaly_percentile:.1f}"
        results.print(shown(f"    {alert.transaction_id} at {alert.terminal_id} {amount} {scores}"))
        for attribute in alert.attributes:
            results.print(shown(f"      {attribute.words}: {attribute.text}"))


@app.command(epilog="Example: assay cases confirm 3-1042 --note 'cardholder called'")
def confirm(
    case_id: CaseId,
    by: By = None,
    note: Note = None,
    seen: Seen = None,
    overrule: Overrule = False,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Say that a case is fraud; its payments are labelled so. Refused where another decision is in effect."""
    _decide("confirm", case_id, by, note, seen, overrule, wait, json)


@app.command(epilog="Example: assay cases dismiss 3-1042 --by ana")
def dismiss(
    case_id: CaseId,
    by: By = None,
    note: Note = None,
    seen: Seen = None,
    overrule: Overrule = False,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Say that a case is legitimate; its payments are labelled so. Refused where another decision is in effect."""
    _decide("dismiss", case_id, by, note, seen, overrule, wait, json)


@app.command(epilog="Example: assay cases approve 3-1042 --by lena")
def approve(
    case_id: CaseId, by: By = None, note: Note = None, seen: Seen = None, wait: Wait = 30.0, json: Json = False
) -> None:
    """Be the second person of a decision that waits for one (`show` says which). Never of one's own."""
    _decide("approve", case_id, by, note, seen, False, wait, json)


@app.command(epilog="Example: assay cases reject 3-1042 --note 'ask the bank first'")
def reject(
    case_id: CaseId, by: By = None, note: Note = None, seen: Seen = None, wait: Wait = 30.0, json: Json = False
) -> None:
    """Reject a decision that waits for a second person, or take one's own back: the case is as it was."""
    _decide("reject", case_id, by, note, seen, False, wait, json)


@app.command(epilog="Example: assay cases snooze 3-1042 --hours 48 --note 'fair in town'")
def snooze(
    case_id: MutedCase = None,
    card: Card = None,
    terminal: Terminal = None,
    hours: Annotated[float, typer.Option(min=0.01, help="For so long.")] = 24.0,
    by: By = None,
    note: Note = None,
    json: Json = False,
) -> None:
    """Make no cases of a card's or terminal's alerts for a while; `mutes` lists it, `unmute` lifts it."""
    _mute("mute", (case_id, card, terminal), hours, by, note, json)


@app.command(epilog="Example: assay cases mute --terminal t000017 --note 'test terminal'")
def mute(
    case_id: MutedCase = None,
    card: Card = None,
    terminal: Terminal = None,
    by: By = None,
    note: Note = None,
    json: Json = False,
) -> None:
    """Make no cases of a card's or terminal's alerts until `unmute`."""
    _mute("mute", (case_id, card, terminal), None, by, note, json)


@app.command(epilog="Example: assay cases unmute 3-1042")
def unmute(
    case_id: MutedCase = None,
    card: Card = None,
    terminal: Terminal = None,
    by: By = None,
    note: Note = None,
    json: Json = False,
) -> None:
    """Lift what `snooze` or `mute` did; `mutes` lists what is muted."""
    _mute("unmute", (case_id, card, terminal), None, by, note, json)


app.command("suppress", hidden=True, epilog="Example: assay cases suppress --terminal t000017")(mute)
app.command("resume", hidden=True, epilog="Example: assay cases resume --terminal t000017")(unmute)


@app.command(epilog="Example: assay cases mutes --json")
def mutes(
    over: Annotated[bool, typer.Option("--all", help="Also those whose time is over.")] = False,
    unmasked: Unmasked = False,
    why: Why = None,
    json: Json = False,
) -> None:
    """Show which cards and terminals make no cases, until when, by whom and why; a card with its newest case's number."""
    from rich.table import Table
    from rich.text import Text

    from services.cases.rules import moment, newest_case
    from services.cli.people.case_actions import all_cases, all_mutes
    from services.clock import wall_ms

    audited("assay cases mutes", why, unmasked=unmasked)
    now_ms, cases = wall_ms(), asyncio.run(all_cases()).values()
    rows = []
    for held in asyncio.run(all_mutes()):
        is_over = held.until_ms is not None and held.until_ms <= now_ms
        if is_over and not over:
            continue
        hidden = held.scope == "card" and not unmasked
        case = newest_case(cases, held.muted_id) if held.scope == "card" else None
        fields = held.model_dump(mode="json") | {"over": is_over, "case_id": case and case.case_id}
        rows.append(fields | {"muted_id": masked(held.muted_id) if hidden else held.muted_id})
    if json:
        print_json(rows)
        return
    table = Table("what", "id", "case", "until", "by", "why", box=None)
    for row in rows:
        until = "unmuted" if row["until_ms"] is None else moment(row["until_ms"]) + (" (over)" if row["over"] else "")
        cells = (row["scope"], row["muted_id"], row["case_id"] or "", until, row["by"], row["note"] or "")
        table.add_row(*(Text(shown(cell)) for cell in cells))
    results.print(table)


def _decide(
    verb: str,
    case_id: str,
    by: str | None,
    note: str | None,
    seen: int | None,
    overrule: bool,
    wait_s: float,
    json: bool,
) -> None:
    from services.cases.rules import standing, waiting
    from services.cli.people.case_actions import decide, usable_action
    from services.errors import AssayError

    now = asyncio.run(_case(case_id))  # a case that does not exist is reported here, not lost on a topic
    who = by or getpass.getuser()
    fields: dict[str, Any] = {"action": verb, "case_id": case_id, "by": who, "note": note, "overrule": overrule}
    if verb in SECOND:
        if now.pending is None:
            raise AssayError(
                f"No decision on case {case_id} waits for a second person: `assay cases show` has its history."
            )
        fields["request_offset"] = now.pending.offset
    action = usable_action(fields | {"case_version": now.version if seen is None else seen})
    case, refused = asyncio.run(decide(action, wait_s))
    stands = shown(waiting(case) if case.pending else standing(case) if case.state in DECIDED_STATES else case.state)
    if json:
        print_json(
            {
                "case_id": case_id,
                "action": verb,
                "refused": refused,
                "state": case.state,
                "stands": stands,
                "waits": case.pending is not None,
                "decided_by": case.decided_by,
                "approved_by": case.approved_by,
                "decided_at_ms": case.decided_at_ms,
                "version": case.version,
            }
        )
    if refused:
        way = "another person approves or rejects it." if case.pending else "--overrule decides anyway."
        raise AssayError(f"Case {case_id} was {stands}, so {verb} is refused; {way}")
    if not json:
        results.print(f"{case_id}: {stands}")


def _mute(
    verb: str,
    target: tuple[str | None, str | None, str | None],
    hours: float | None,
    by: str | None,
    note: str | None,
    json: bool,
) -> None:
    from services.cases.rules import unknown_target
    from services.cli.people.case_actions import all_cases, all_mutes, usable_action, write
    from services.clock import wall_ms
    from services.errors import AssayError

    case_id, card, terminal = target
    if sum(given is not None for given in target) != 1:
        raise AssayError("Give a case's number, --card or --terminal, one of them.")
    if case_id is not None:
        card = asyncio.run(_case(case_id)).card_id
    scope, muted_id = ("terminal", terminal) if terminal is not None else ("card", card)
    until_ms = None if hours is None else wall_ms() + int(hours * HOUR_MS)
    fields = {"action": verb, "scope": scope, "muted_id": muted_id, "until_ms": until_ms}
    action = usable_action(fields | {"by": by or getpass.getuser(), "note": note})
    assert action.scope is not None
    assert action.muted_id is not None
    is_muted = verb == "unmute" and any(
        (held.scope, held.muted_id) == (scope, muted_id) for held in asyncio.run(all_mutes())
    )
    if not is_muted:
        cases = asyncio.run(all_cases()).values() if case_id is None else ()
        why = None if case_id is not None else unknown_target(cases, action.scope, action.muted_id, masked(""))
        if why is not None:
            raise AssayError(shown(why))
        if verb == "unmute":
            raise AssayError(f"That {scope} is not muted: `assay cases mutes` shows what is.")
    asyncio.run(write(action))
    name = masked(action.muted_id) if scope == "card" else action.muted_id
    if json:
        print_json({"action": verb, "scope": scope, "muted_id": name, "until_ms": until_ms})
        return
    results.print(shown(f"{scope} {name}: {verb} written; `assay cases mutes` shows what is muted"))


async def _case(case_id: str) -> "Case":
    from services.cli.people.case_actions import all_cases
    from services.errors import AssayError

    found = await all_cases()
    if case_id not in found:
        raise AssayError(f"There is no case {shown(case_id)}: `assay cases list` shows those there are.")
    return found[case_id]


def _fields(case: "Case", *, unmasked: bool) -> dict[str, object]:
    fields = case.model_dump(mode="json")
    return fields if unmasked else {**fields, "card_id": masked(case.card_id)}
