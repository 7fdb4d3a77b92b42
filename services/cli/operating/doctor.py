"""`assay doctor`: checks what a scorer needs, and says what to do."""

import asyncio
from typing import Annotated

import typer

from services.cli.output import print_json, results

EXAMPLE = "Example: assay doctor --json"


def doctor(json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False) -> None:
    """Check settings, brokers, topics, bundle, device and privacy key. Exits with 1 if any check fails."""
    from rich.table import Table
    from rich.text import Text

    from services.cli.operating.checks import all_checks

    checks = asyncio.run(all_checks())
    if json:
        print_json([{"check": c.name, "ok": c.ok, "detail": c.detail} for c in checks])
    else:
        table = Table("check", "", "what we found, and what to do")
        for check in checks:
            table.add_row(check.name, Text("ok", "green") if check.ok else Text("FAILS", "red"), check.detail)
        results.print(table)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
