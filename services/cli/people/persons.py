"""`assay persons`: whose signatures count, and until when."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import print_json, results, shown
from services.errors import AssayError

if TYPE_CHECKING:
    from models.bundle.persons import KnownPerson

app = typer.Typer(help="Persons whose signatures count (ASSAY_PERSONS_FILE).", no_args_is_help=True)

FINGERPRINT_CHARS = 16


@app.command("list", epilog="Example: assay persons list --json")
def list_persons(json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False) -> None:
    """Show each person of the file, what they may sign now, and who left when. Exits with 1 where too few are left to sign.

    Who left stays in the file with `left: 2026-11-30`: what they signed before counts on, and nothing after.
    """
    from rich.table import Table

    from models.bundle.persons import read_persons
    from services.clock import wall_ms
    from services.settings.loading import load
    from services.settings.persons import PersonsSettings

    settings, now_ms = load(PersonsSettings), wall_ms()
    if settings.file is None:
        raise AssayError("No file of persons is set: set ASSAY_PERSONS_FILE.")
    found = read_persons(settings.file)
    signing = {key: _may_sign(one, now_ms) for key, one in found.items()}
    lacking = [
        what
        for what in ("bundles and policies", "lists")
        if sum(what in some for some in signing.values()) < settings.signatures_min
    ]
    if json:
        fields = [
            {
                "name": one.person.name,
                "role": one.person.role,
                "key": key,
                "left": one.person.left,
                "signs": signing[key],
            }
            for key, one in found.items()
        ]
        print_json({"persons": fields, "signatures_min": settings.signatures_min, "too_few_for": lacking})
    else:
        table = Table("name", "role", "key", "left", "signs now", box=None)
        for key, one in found.items():
            words = ", ".join(signing[key]) or "nothing"
            cells = (one.person.name, one.person.role, key[:FINGERPRINT_CHARS], one.person.left or "", words)
            table.add_row(*map(shown, cells))
        results.print(table)
        for what in lacking:
            results.print(
                f"{settings.signatures_min} persons have to sign {what}, and fewer than that may: add someone."
            )
    if lacking:
        raise typer.Exit(1)


def _may_sign(one: "KnownPerson", now_ms: int) -> list[str]:
    """What they may sign now."""
    from models.bundle.persons import LIST_SIGNERS, SIGNERS

    if one.has_left(now_ms):
        return []
    return [
        what for what, roles in (("bundles and policies", SIGNERS), ("lists", LIST_SIGNERS)) if one.person.role in roles
    ]
