"""What the commands of `assay lists` print: lists, entries, what was said of one before, and what a command wrote."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from services.cli import reading
from services.cli.output import SafeConsole, print_json, results, shown

if TYPE_CHECKING:
    from schemas.lists import ListEntry

IN_FORCE_WORDS = "scorers whose policy reads it have it within a second"


def show_written(
    list_name: str,
    entries: "list[ListEntry]",
    batch: str,
    refused: list[reading.Reason],
    unchanged: int = 0,
    *,
    json: bool,
) -> None:
    """What a command wrote, and the way back. refused: rows that were left out, by reason."""
    left_out = sum(each.rows for each in refused)
    if json:
        print_json({"list": list_name, "written": len(entries), "unchanged": unchanged, "refused": left_out,
                    "reasons": reading.as_json(refused), "batch": batch})  # fmt: skip
        return
    words = [f"{len(entries):,} {'entry' if len(entries) == 1 else 'entries'} written"]
    words += [f"{unchanged:,} there already"] if unchanged else []
    words += [f"{left_out:,} rows left out"] if left_out else []
    results.print(f"{list_name}: {', '.join(words)}; {IN_FORCE_WORDS}")
    if entries:
        results.print(f"To undo this: assay lists remove {list_name} --batch {batch}")


def show_lists(entries: "list[ListEntry]", *, json: bool) -> None:
    """Which lists there are, and how many entries they have."""
    from rich.table import Table

    counts = Counter((entry.list_name, entry.purpose, entry.field, entry.kind) for entry in entries)
    if json:
        names = ("list", "purpose", "field", "kind")
        print_json([{**dict(zip(names, group, strict=True)), "entries": n} for group, n in sorted(counts.items())])
        return
    table = Table("list", "purpose", "field", "kind", "entries", box=None)
    for group, number in sorted(counts.items()):
        table.add_row(*map(shown, group), f"{number:,}")
    results.print(table)
    if not entries:
        results.print("There is no list yet: `assay lists add` makes one with its first entry.")


def show_history(list_name: str, field: str, value: str, *, json: bool) -> None:
    """What was said of an entry."""
    found = asyncio.run(_history(list_name, field, value))
    if json:
        print_json([entry.model_dump() for entry in found])
    elif found:
        show_entries(found)
    else:
        results.print(f"{list_name} never had {field}={value}, as far back as its topic goes.")


def show_entries(entries: "list[ListEntry]", to: SafeConsole = results) -> None:
    """Entries as a table."""
    from rich.table import Table

    from services.cases.rules import moment

    table = Table("field", "value", "kind", "until", "by", "at", "reason", "source", "", box=None)
    for entry in entries:
        until = "" if entry.expires_at_ms is None else moment(entry.expires_at_ms)
        state = "taken back" if entry.removed else ""
        cells = (entry.field, entry.value, entry.kind, until, entry.by, moment(entry.written_at_ms), entry.reason)
        table.add_row(*map(shown, cells), shown(entry.source), state)
    to.print(table)


async def _history(list_name: str, field: str, value: str) -> "list[ListEntry]":
    """Everything said of an entry, oldest first; a prefix or range is named as it is written."""
    from services.cli.people.list_entries import history

    return [
        entry
        async for _, entry in history()
        if entry is not None and (entry.list_name, entry.field, entry.value) == (list_name, field, value)
    ]
