"""`assay approvals`: requests for changes that need a second person, and the answers to them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import print_json, results, shown

if TYPE_CHECKING:
    from schemas.approval import StepStatement
    from services.approvals import Request

app = typer.Typer(
    help="Changes of bundles, policies and lists that wait for a second person (ASSAY_PERSONS_FOUR_EYES).",
    no_args_is_help=True,
)

RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="As `list` shows it.")]
Note = Annotated[str, typer.Option(help="Your words, for the record.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command("list", epilog="Example: assay approvals list --all --json")
def list_requests(
    every: Annotated[bool, typer.Option("--all", help="Also those that are done, rejected or over.")] = False,
    json: Json = False,
) -> None:
    """Show requests: what each would do, who asked, who approved, and until when it waits."""
    from rich.table import Table

    from services.cases.rules import moment
    from services.cli.bundles.allowing import all_requests
    from services.clock import wall_ms

    now_ms = wall_ms()
    found = [one for one in asyncio.run(all_requests()).values() if every or one.waits(now_ms)]
    if json:
        print_json([_fields(one, now_ms) for one in found])
        return
    table = Table("request", "state", "what", "by", "why", "approved by", "until", box=None)
    for one in found:
        names = ", ".join(one.approvers)
        said = one.statement
        cells = (one.request_id, one.state(now_ms), one.words(), said.by, said.why, names, moment(said.expires_at_ms))
        table.add_row(*map(shown, cells))
    results.print(table)


@app.command(epilog="Example: assay approvals approve 5f0c2a9be1d4 --note 'checked the report'")
def approve(request_id: RequestId, note: Note = "", json: Json = False) -> None:
    """Be the second person, signing it with ASSAY_PERSONS_KEY_FILE. What is about a list is done at once.

    No one approves what they asked for themselves.
    """
    from services.approvals import answer
    from services.cli.bundles.allowing import person, send, signed_by

    request, (by, key) = _request(request_id), person()
    given = answer(request, "approve", by, note, signed_by(key, request.text, by))
    asyncio.run(send(given))
    request.approvals.append(given)
    if request.statement.subject == "list":
        asyncio.run(_write_entries(request, by))
        then = f"written to the list {request.statement.line}"
    else:
        then = f"now `{_command(request.statement)} --request {request_id}` does it"
    if json:
        print_json({"request": request_id, "approved_by": by, "signed": given.signature is not None, "then": then})
    else:
        results.print(shown(f"{request_id}: {request.words()}, approved by {by}; {then}"))


@app.command(epilog="Example: assay approvals reject 5f0c2a9be1d4 --note 'wrong version'")
def reject(request_id: RequestId, note: Note = "", json: Json = False) -> None:
    """Reject a request, or take one's own back: nothing is done."""
    from services.approvals import answer
    from services.cli.bundles.allowing import person, send

    by = person()[0]
    asyncio.run(send(answer(_request(request_id), "reject", by, note)))
    if json:
        print_json({"request": request_id, "rejected_by": by})
    else:
        results.print(shown(f"{request_id}: rejected by {by}"))


def _command(said: "StepStatement") -> str:
    """What does a step that was approved."""
    beside, promotes = said.channel == "challenger", said.action == "promote"
    if said.subject == "bundle":
        words = ["assay registry", said.action, str(said.bundle) if promotes else said.line]
        return " ".join([*words, "--challenger"] if promotes and beside else words)
    if beside:
        words = ["assay policy shadow", str(said.bundle) if promotes else "--off"]
    else:
        words = ["assay policy", f"promote {said.bundle}" if promotes else f"rollback {said.line}"]
    return " ".join([*words, "--product credit"] if said.subject == "credit_policy" else words)


async def _write_entries(request: "Request", by: str) -> None:
    from schemas.topics import LISTS
    from services.approvals import answer, approved_entries
    from services.cli.bundles.allowing import send
    from services.cli.sending import sending

    async with sending(LISTS) as write:
        for key, value in approved_entries(request):
            await write(key, value)
    await send(answer(request, "done", by))


def _request(request_id: str) -> "Request":
    from services.cli.bundles.allowing import all_requests
    from services.errors import AssayError

    found = asyncio.run(all_requests()).get(request_id)
    if found is None:
        raise AssayError(f"There is no request {shown(request_id)}: `assay approvals list --all` has them.")
    return found


def _fields(one: "Request", now_ms: int) -> dict[str, object]:
    said = one.statement
    return {
        "request": one.request_id,
        "state": one.state(now_ms),
        "words": one.words(),
        "by": said.by,
        "why": said.why,
        "at_ms": said.at_ms,
        "expires_at_ms": said.expires_at_ms,
        "approved_by": one.approvers,
        "signed_by": [each.by for each in one.signed().signatures],
        "statement": said.model_dump(mode="json", exclude_none=True),
    }
