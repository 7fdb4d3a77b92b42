"""`assay lists`: what policies look up. Entries are added, taken back, imported, exported and shown."""

import asyncio
import getpass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import reading
from services.cli.output import notes, print_json, results, shown
from services.cli.people.lists_shown import IN_FORCE_WORDS, show_entries, show_history, show_lists, show_written

if TYPE_CHECKING:
    from schemas.lists import ListEntry

app = typer.Typer(
    help="Lists of values that a policy's rules look up: denied, allowed, watched.",
    no_args_is_help=True,
    epilog="Example: assay lists add blocked device=d-4711 --reason 'seen in case 3-1042'",
)

SHOWN_MAX = 50


class As(StrEnum):
    """How a value is meant."""

    VALUE = "value"
    NETWORK = "network"
    RANGE = "range"


class Purpose(StrEnum):
    """What a list is for."""

    DENY = "deny"
    ALLOW = "allow"
    WATCH = "watch"


List = Annotated[str, typer.Argument(metavar="LIST", help="Name of the list, as rules write it: blocked.")]
Pairs = Annotated[
    list[str], typer.Argument(metavar="FIELD=VALUE", help="device=d-4711; *=d-4711 for whatever field a rule looks up.")
]
Kind = Annotated[
    As | None,
    typer.Option(
        "--as", help="value: the text alone. network: a prefix, 10.0.0.0/8. range: numbers, 1..5. Default: value."
    ),
]
Reason = Annotated[str, typer.Option(help="Why.")]
By = Annotated[str | None, typer.Option(help="Who. Default: the user of this machine.")]
Expires = Annotated[datetime | None, typer.Option(help="It counts for events before this time, UTC. Default: for all.")]
ForDays = Annotated[float | None, typer.Option(min=0.0, help="The same, in days from now.")]
PurposeOption = Annotated[Purpose, typer.Option(help="What the list is for, for people; rules say what it does.")]
Source = Annotated[str | None, typer.Option(help="From where. Default: the command or the file's name.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command(
    epilog="Example: assay lists add blocked ip=203.0.113.0/24 --as network --for-days 30 --reason 'card testing'"
)
def add(
    list_name: List,
    pairs: Pairs,
    kind: Kind = None,
    reason: Reason = "",
    purpose: PurposeOption = Purpose.WATCH,
    expires: Expires = None,
    for_days: ForDays = None,
    by: By = None,
    source: Source = None,
    json: Json = False,
) -> None:
    """Put values on a list. An entry that is there already gets the new expiry and reason.

    The way back is printed: it restores what was there before.
    """
    from services.cli.people.list_entries import write

    given = _given(list_name, purpose, expires, for_days, reason, by, source or "assay lists add")
    entries = [_entry({**given, **dict(zip(("field", "value"), _pair(pair), strict=True))}, kind) for pair in pairs]
    asyncio.run(write(entries))
    show_written(list_name, entries, given["batch"], [], json=json)


@app.command(epilog="Example: assay lists remove blocked device=d-4711 --reason 'returned to its owner'")
def remove(
    list_name: List,
    pairs: Annotated[list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Entries to take back.")] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="Instead: all that this import, or other command, wrote; what it replaced comes back."),
    ] = None,
    kind: Kind = None,
    reason: Reason = "",
    by: By = None,
    json: Json = False,
) -> None:
    """Take entries back: those named, or all of a command's. The way back is `add`, or `remove --batch` of this one's."""
    from services.cli.people.list_entries import before_batch, find, new_batch, newest, taken_back, write
    from services.errors import AssayError

    who, number = by or getpass.getuser(), new_batch()
    said = {"by": who, "reason": reason, "source": "assay lists remove", "batch": number}
    if (batch is None) == (not pairs):
        raise AssayError("Give either entries as FIELD=VALUE, or --batch: see `assay lists remove --help`.")
    if batch is not None:
        found = [each for each in asyncio.run(before_batch(batch)) if each[0].list_name == list_name]
        if not found:
            raise AssayError(f"{list_name} has nothing that the command {batch} wrote: check the list and the number.")
        entries = [taken_back(now, who, reason, "assay lists remove") if old is None else old for now, old in found]
    else:
        there = asyncio.run(newest())
        named = [find(there, list_name, *_pair(pair), kind.value if kind else None) for pair in pairs or ()]
        entries = [taken_back(entry, who, reason, "assay lists remove") for entry in named]
    entries = [entry.model_copy(update=said) for entry in entries]
    asyncio.run(write(entries))
    gone = sum(entry.removed for entry in entries)
    if json:
        print_json({"list": list_name, "removed": gone, "restored": len(entries) - gone, "batch": number})
        return
    restored = f", {len(entries) - gone:,} as they were before" if gone < len(entries) else ""
    results.print(f"{list_name}: {gone:,} taken back{restored}; {IN_FORCE_WORDS}")
    results.print(f"To undo this: assay lists remove {list_name} --batch {number}")


@app.command("import", epilog="Example: assay lists import blocked devices.csv --field device --map value=DEVICE_ID")
def import_(
    list_name: List,
    file: Annotated[Path, typer.Argument(help=".csv, .tsv (also .gz, .zst) or .parquet with a column value.")],
    field: Annotated[
        str | None, typer.Option(help="The field that all values are of. Default: the column field.")
    ] = None,
    mapped: Annotated[
        list[str] | None, typer.Option("--map", help="FIELD=COLUMN, where a column has another name.")
    ] = None,
    kind: Kind = None,
    reason: Reason = "",
    purpose: PurposeOption = Purpose.WATCH,
    expires: Expires = None,
    for_days: ForDays = None,
    by: By = None,
    source: Source = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    json: Json = False,
) -> None:
    """Put a file's values on a list. A file may also say field, kind, expires_at_ms, reason and purpose of each row.

    A row that could be meant in two ways is left out and counted. What is there already, and the same, is not written again.
    """
    from services.cli.files import needing_files
    from services.cli.people.list_entries import newest
    from services.errors import AssayError

    with needing_files():
        from services.cli.people.list_file import read_entries
    given = _given(list_name, purpose, expires, for_days, reason, by, source or file.name)
    defaults = given if field is None else {**given, "field": field}
    options = reading.options(encoding, delimiter, None, date_order, time_unit, time_zone, None, None)
    found, refused, told = read_entries(file, mapped or [], defaults, kind.value if kind else None, options)
    why = reading.reasons(refused)
    if not found:
        words = f"; the commonest reason (first in line {why[0].first_line}): {why[0].reason}" if why else ""
        raise AssayError(f"{file} has no entry that could be read{words}.")
    there = asyncio.run(newest())
    entries = [entry for entry in found if not _is_there(there, entry)]
    asyncio.run(_send(entries, hidden=json))
    if not json:
        reading.show(why, told)
    show_written(list_name, entries, given["batch"], why, len(found) - len(entries), json=json)


@app.command(epilog="Example: assay lists export blocked blocked.csv")
def export(
    list_name: List,
    file: Annotated[Path, typer.Argument(help=".csv or .parquet; `assay lists import` reads it.")],
    json: Json = False,
) -> None:
    """Write a list's entries to a file, with who, why and from where."""
    from services.cli.files import needing_files
    from services.cli.people.list_entries import newest

    with needing_files():
        from services.cli.people.list_file import write_entries
    entries = [entry for entry in asyncio.run(newest()).values() if entry.list_name == list_name]
    write_entries(file, entries)
    if json:
        print_json({"list": list_name, "entries": len(entries), "file": str(file)})
    else:
        results.print(f"{file}: {len(entries):,} entries of {list_name}")


@app.command(epilog="Example: assay lists check blocked ip=203.0.113.7 --at 2026-11-01T12:00")
def check(
    list_name: List,
    pairs: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE", help="As an event has it: ip=203.0.113.7.")],
    at: Annotated[datetime | None, typer.Option(help="For an event of this time, UTC. Default: now.")] = None,
    json: Json = False,
) -> None:
    """Say whether values are on a list, its networks and ranges among it, as a scorer finds it. Exits with 1 if one is not."""
    from services.cli.people.label import moment_ms
    from services.cli.people.list_entries import on_list
    from services.clock import wall_ms

    at_ms = wall_ms() if at is None else moment_ms(at)
    found = asyncio.run(on_list(list_name, [_pair(pair) for pair in pairs], at_ms))
    if json:
        print_json({"list": list_name, "at_ms": at_ms, "on": dict(zip(pairs, found, strict=True))})
    else:
        for pair, on in zip(pairs, found, strict=True):
            results.print(f"{shown(pair)} is {'' if on else 'not '}on {list_name}")
    if not all(found):
        raise typer.Exit(1)


@app.command(epilog="Example: assay lists show blocked --find device=d-4711")
def show(
    list_name: Annotated[str | None, typer.Argument(metavar="[LIST]", help="Default: what lists there are.")] = None,
    find: Annotated[
        str | None, typer.Option(help="FIELD=VALUE: only this one's, with what was said of it before.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = SHOWN_MAX,
    json: Json = False,
) -> None:
    """Show the lists and how many entries they have, one list's entries, or one entry's history."""
    from services.cli.people.list_entries import newest
    from services.errors import AssayError

    if find is not None:
        if list_name is None:
            raise AssayError("--find needs the list: assay lists show LIST --find FIELD=VALUE.")
        show_history(list_name, *_pair(find), json=json)
        return
    entries = list(asyncio.run(newest()).values())
    if list_name is None:
        show_lists(entries, json=json)
        return
    held = sorted((e for e in entries if e.list_name == list_name), key=lambda e: (-e.written_at_ms, e.value))
    if json:
        print_json({"list": list_name, "entries": len(held), "shown": [entry.model_dump() for entry in held[:count]]})
        return
    show_entries(held[:count])
    if len(held) > count:
        notes.print(
            f"{len(held) - count:,} more: --count shows more of them, `assay lists export` writes all to a file."
        )
    if not held:
        results.print(f"{list_name} has no entry.")


def _given(
    list_name: str,
    purpose: Purpose,
    expires: datetime | None,
    for_days: float | None,
    reason: str,
    by: str | None,
    source: str,
) -> dict[str, Any]:
    """What all entries of a command have. Raises AssayError."""
    from services.cli.people.label import moment_ms
    from services.cli.people.list_entries import new_batch
    from services.clock import wall_ms
    from services.errors import AssayError

    if expires is not None and for_days is not None:
        raise AssayError("--expires and --for-days both say until when: leave one out.")
    if for_days is not None:
        expires = datetime.fromtimestamp(wall_ms() / 1000, UTC) + timedelta(days=for_days)
    return {
        "list_name": list_name,
        "purpose": purpose.value,
        "expires_at_ms": None if expires is None else moment_ms(expires),
        "reason": reason,
        "by": by or getpass.getuser(),
        "source": source,
        "batch": new_batch(),
        "written_at_ms": wall_ms(),
    }


def _pair(text: str) -> tuple[str, str]:
    """Field and value. Raises AssayError."""
    from services.errors import AssayError

    field, equals, value = text.partition("=")
    if not equals or not field or not value:
        raise AssayError(f"{text} is not FIELD=VALUE, such as device=d-4711: correct it.")
    return field, value


def _entry(fields: dict[str, Any], kind: As | None) -> "ListEntry":
    from services.cli.people.list_entries import entry_of
    from services.errors import AssayError

    try:
        return entry_of(fields, kind.value if kind else None)
    except ValueError as error:
        raise AssayError(f"The entry of {fields['field']} is not usable: {error}.") from None


def _is_there(there: "dict[bytes, ListEntry]", entry: "ListEntry") -> bool:
    """Whether the list says the same already; who said it when makes no difference."""
    from schemas.lists import entry_key

    held = there.get(entry_key(entry))
    return held is not None and (held.expires_at_ms, held.purpose) == (entry.expires_at_ms, entry.purpose)


async def _send(entries: "list[ListEntry]", *, hidden: bool) -> None:
    from rich.progress import Progress

    from services.cli.people.list_entries import write

    with Progress(console=notes, disable=hidden or len(entries) < 1000, transient=True) as progress:
        task = progress.add_task("writing", total=len(entries))
        await write(entries, lambda: progress.advance(task))
