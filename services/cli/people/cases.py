"""`assay cases`: runs the case service, and is an analyst's desk in a terminal."""

import asyncio
import getpass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.masking import masked
from services.cli.output import print_json, results, shown

if TYPE_CHECKING:
    from schemas.case import Case, CaseAction

app = typer.Typer(help="Cases made of alerts.", no_args_is_help=True, epilog="Example: assay cases list --state open")

HOUR_MS = 3_600_000

Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]
CaseId = Annotated[str, typer.Argument(help="Case, such as 3-1042.")]
By = Annotated[str | None, typer.Option(help="Who decides. Default: the user of this machine.")]
Note = Annotated[str | None, typer.Option(help="Why.")]
Unmasked = Annotated[bool, typer.Option(help="Show whole card ids.")]
Card = Annotated[str | None, typer.Option(help="Whose alerts: a card id.")]
Terminal = Annotated[str | None, typer.Option(help="Whose alerts: a terminal id.")]


class State(StrEnum):
    """Where the work on a case stands."""

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
        raise AssayError(f"Cases need {error.name}; get it with pip install 'assay-scoring[side]'.") from None
    main(start)


@app.command("list", epilog="Example: assay cases list --state open --count 20")
def list_cases(
    state: Annotated[State | None, typer.Option(help="Only these. Default: all.")] = None,
    count: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    unmasked: Unmasked = False,
    json: Json = False,
) -> None:
    """Show cases, the most money at risk first."""
    from rich.table import Table
    from rich.text import Text

    found = [case for case in asyncio.run(_cases()).values() if state in (None, case.state)]
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
def show(case_id: CaseId, unmasked: Unmasked = False, json: Json = False) -> None:
    """Show one case with its alerts and reasons."""
    case = asyncio.run(_case(case_id))
    if json:
        print_json(_fields(case, unmasked=unmasked))
        return
    card = case.card_id if unmasked else masked(case.card_id)
    results.print(f"{case.case_id} {case.state}: card {shown(card)}, {case.alerts:,} alerts, {case.amount:,.2f} in all")
    results.print(f"  at risk {case.priority:,.2f}, scored by {shown(case.model)}, version {case.version}")
    if case.decided_by:
        results.print(shown(f"  by {case.decided_by}{f': {case.note}' if case.note else ''}"))
    for reason in case.reasons:
        results.print(shown(f"  {reason.text} (in {reason.alerts:,} alerts)"))
    for alert in case.listed:
        amount = f"{alert.amount:,.2f} {alert.currency or ''}"
        scores = f"p={alert.probability:.3f} anomaly={alert.anomaly_percentile:.1f}"
        results.print(shown(f"    {alert.transaction_id} at {alert.terminal_id} {amount} {scores}"))


@app.command(epilog="Example: assay cases confirm 3-1042 --note 'cardholder called'")
def confirm(case_id: CaseId, by: By = None, note: Note = None) -> None:
    """Say that a case is fraud; its payments are labelled so."""
    _decide("confirm", case_id, by, note)


@app.command(epilog="Example: assay cases dismiss 3-1042 --by ana")
def dismiss(case_id: CaseId, by: By = None, note: Note = None) -> None:
    """Say that a case is legitimate; its payments are labelled so."""
    _decide("dismiss", case_id, by, note)


@app.command(epilog="Example: assay cases snooze --terminal t000017 --hours 48 --note 'fair in town'")
def snooze(
    card: Card = None,
    terminal: Terminal = None,
    hours: Annotated[float, typer.Option(min=0.01, help="For so long.")] = 24.0,
    by: By = None,
    note: Note = None,
) -> None:
    """Make no cases of a card's or terminal's alerts for a while."""
    from services.clock import wall_ms

    _mute("mute", card, terminal, wall_ms() + int(hours * HOUR_MS), by, note)


@app.command(epilog="Example: assay cases suppress --card 9f86d081 --note 'test card'")
def suppress(card: Card = None, terminal: Terminal = None, by: By = None, note: Note = None) -> None:
    """Make no cases of a card's or terminal's alerts until `resume`."""
    _mute("mute", card, terminal, None, by, note)


@app.command(epilog="Example: assay cases resume --card 9f86d081")
def resume(card: Card = None, terminal: Terminal = None, by: By = None, note: Note = None) -> None:
    """Take back a snooze or a suppression."""
    _mute("unmute", card, terminal, None, by, note)


def _decide(action: str, case_id: str, by: str | None, note: str | None) -> None:
    asyncio.run(_case(case_id))  # a case that is not there is told here, not lost on a topic
    said = _checked({"action": action, "case_id": case_id, "by": by or getpass.getuser(), "note": note})
    asyncio.run(_act(said, int(case_id.partition("-")[0])))
    results.print(f"{case_id}: {action} written")


def _mute(
    action: str, card: str | None, terminal: str | None, until_ms: int | None, by: str | None, note: str | None
) -> None:
    from services.errors import AssayError

    if (card is None) == (terminal is None):
        raise AssayError("Give --card or --terminal, one of them.")
    fields = {"action": action, "scope": "card" if card else "terminal", "muted_id": card or terminal}
    said = _checked({**fields, "until_ms": until_ms, "by": by or getpass.getuser(), "note": note})
    asyncio.run(_act(said, None))
    results.print(f"{action} written")


def _checked(fields: dict[str, object]) -> "CaseAction":
    """The action, before anything is written. Raises AssayError where the case service would refuse it."""
    from schemas.case import CaseAction, held_card_number
    from schemas.codec import SchemaError, checked
    from services.errors import AssayError

    try:
        action = checked(CaseAction, fields)
    except SchemaError as error:
        raise AssayError(f"The action is not usable ({error}): give other values.") from None
    if name := held_card_number(action):
        raise AssayError(f"{name} holds a card number: leave it out, or name the card by its pseudonym.")
    return action


async def _act(action: "CaseAction", partition: int | None) -> None:
    """Write it to a partition, or to all: a terminal's alerts are on each."""
    from schemas import codec
    from schemas.topics import CASE_ACTIONS
    from services.cli.sending import partitions_of, sending

    partitions = range(await partitions_of(CASE_ACTIONS)) if partition is None else (partition,)
    async with sending(CASE_ACTIONS) as send:
        for number in partitions:
            await send(None, codec.write(action), number)


async def _cases() -> dict[str, "Case"]:
    from schemas import codec
    from schemas.case import Case
    from schemas.topics import CASES
    from services.cli.sending import newest

    return {key.decode(): codec.read(Case, value) for key, value in (await newest(CASES)).items()}


async def _case(case_id: str) -> "Case":
    from services.errors import AssayError

    found = await _cases()
    if case_id not in found:
        raise AssayError(f"There is no case {case_id}: `assay cases list` shows those there are.")
    return found[case_id]


def _fields(case: "Case", *, unmasked: bool) -> dict[str, object]:
    fields = case.model_dump(mode="json")
    return fields if unmasked else {**fields, "card_id": masked(case.card_id)}
