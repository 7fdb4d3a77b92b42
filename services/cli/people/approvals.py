"""`assay approvals`: requests for changes that need a second person, and the answers to them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.output import print_json, results, shown

if TYPE_CHECKING:
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
    table = Table("request", "state", "what", "by", "why", "approved by", "signed by", "until", box=None)
    for one in found:
        names, signed = ", ".join(one.approvers), ", ".join(_signed_by(one))
        said, until = one.statement, moment(one.statement.expires_at_ms)
        cells = (one.request_id, one.state(now_ms), one.words(), said.by, said.why, names, signed, until)
        table.add_row(*map(shown, cells))
    results.print(table)


@app.command(epilog="Example: assay approvals approve 5f0c2a9be1d4 --note 'checked the report'")
def approve(request_id: RequestId, note: Note = "", json: Json = False) -> None:
    """Be the second person, signing it with ASSAY_PERSONS_KEY_FILE. What is about a list is done at once.

    No one approves what they asked for themselves.
    """
    request, by, signed = _answered("approve", request_id, note)
    then = _carried_out(request, by)
    if json:
        print_json({"request": request_id, "approved_by": by, "signed": signed, "then": then})
    else:
        results.print(shown(f"{request_id}: {request.words()}, approved by {by}; {then}"))


@app.command(epilog="Example: assay approvals sign 5f0c2a9be1d4")
def sign(request_id: RequestId, note: Note = "", json: Json = False) -> None:
    """Sign a request of your own with ASSAY_PERSONS_KEY_FILE: one that the console prepared, which has no key of yours.

    What it would do is shown by `assay approvals show`. Others approve, which signs as well.
    """
    request, by, _ = _answered("sign", request_id, note)
    then = _carried_out(request, by)
    if json:
        print_json({"request": request_id, "signed_by": by, "then": then})
    else:
        results.print(shown(f"{request_id}: {request.words()}, signed by {by}; {then}"))


@app.command(
    "sign-file", epilog="Example: assay approvals sign-file assay-request-5f0c2a9be1d4.json --key keys/rosa.key"
)
def sign_file(
    file: Annotated[Path, typer.Argument(help="What the console's page of a request gives; - reads it from stdin.")],
    key: Annotated[Path | None, typer.Option(help="Your private key (PEM). Default: ASSAY_PERSONS_KEY_FILE.")] = None,
) -> None:
    """Sign a request that the console prepared, with the key on this machine: no Kafka is needed, and nothing is sent.

    It says what you sign; the signature (DSSE, JSON) is printed, for you to paste into the page.
    """
    from services.cli.people.signing_file import sign_prepared

    results.print(sign_prepared(file, key))


@app.command(epilog="Example: assay approvals show 5f0c2a9be1d4")
def show(request_id: RequestId, json: Json = False) -> None:
    """Show one request whole: each list entry that it would write, or the bundle. Look before you sign."""
    from services.cli.people.lists_shown import show_entries
    from services.clock import wall_ms

    request = _request(request_id)
    if json:
        entries = [entry.model_dump(exclude={"proof"}) for entry in request.record.entries]
        print_json({**_fields(request, wall_ms()), "entries": entries})
        return
    said = request.statement
    results.print(shown(f"{request_id}: {request.words()}, asked for by {said.by}: {said.why}"))
    if request.record.entries:
        show_entries(list(request.record.entries))


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


def _answered(kind: Literal["approve", "sign"], request_id: str, note: str) -> "tuple[Request, str, bool]":
    """The request with this person's answer, their name, and whether they signed. Raises AssayError."""
    from services.approvals import answer
    from services.cli.bundles.allowing import person, send, signed_by
    from services.errors import AssayError

    request, (by, key) = _request(request_id), person()
    signature = signed_by(key, request.text, by)
    if kind == "sign" and signature is None:
        raise AssayError("ASSAY_PERSONS_KEY_FILE names no key: set it to the key that you sign with.")
    given = answer(request, kind, by, note, signature)
    if request.statement.subject == "list":
        asyncio.run(_check_entries(request))
    asyncio.run(send(given))
    (request.signings if kind == "sign" else request.approvals).append(given)
    return request, by, signature is not None


def _carried_out(request: "Request", by: str) -> str:
    """What comes of the request now, in words; entries of a list are written once nothing is lacking. Raises AssayError."""
    from services.approvals import command_words
    from services.clock import wall_ms
    from services.trusted_persons import needs_second, step_rule

    said, second = request.statement, needs_second(request.statement.subject)
    if second and request.state(wall_ms()) == "open":
        return f"another person has to approve it: assay approvals approve {request.request_id}"
    if lacking := request.lacks(step_rule()):
        who = f"{said.by}, by `assay approvals sign {request.request_id}`, and others by `assay approvals approve`"
        return f"it lacks {lacking} signature{'s' if lacking > 1 else ''}: {who}"
    if said.subject == "list":
        asyncio.run(_write_entries(request, by, alone=not second))
        return f"written to the list {said.line}"
    return f"now `{command_words(said)} --request {request.request_id}` does it"


async def _check_entries(request: "Request") -> None:
    """That its entries can still count as they were asked for. Raises AssayError."""
    from schemas.lists import entry_key
    from services.cli.people.list_entries import said_at_ms
    from services.errors import AssayError
    from services.trusted_persons import step_rule

    if step_rule() is None:
        return
    said_ms = await said_at_ms()
    if any(said_ms.get(entry_key(one), -1) >= one.written_at_ms for one in request.record.entries):
        raise AssayError(
            f"The list {request.statement.line} says something newer of what request {request.request_id} is about: reject "
            "it, and ask again."
        )


async def _write_entries(request: "Request", by: str, *, alone: bool) -> None:
    from schemas.topics import LISTS
    from services.approvals import answer, approved_entries
    from services.cli.bundles.allowing import send
    from services.cli.sending import sending
    from services.trusted_persons import step_rule

    async with sending(LISTS) as write:
        for key, value in approved_entries(request, step_rule()):
            await write(key, value)
    await send(answer(request, "done", by, alone=alone))


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
        "signed_by": _signed_by(one),
        "statement": said.model_dump(mode="json", exclude_none=True),
    }


def _signed_by(one: "Request") -> list[str]:
    """Whose signatures it has: those that count, where signatures are asked for."""
    from services.trusted_persons import step_rule

    return [each.by for each in one.signed(step_rule()).signatures]
