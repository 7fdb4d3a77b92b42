"""How commands make entries of lists, write them, read them, and take them back."""

import ipaddress
import math
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import typer

from models.bundle.files import BundleError
from models.bundle.persons import LIST_SIGNERS, StepRule
from models.lists.lists import Values
from schemas import codec
from schemas.approval import ENTRIES_MAX
from schemas.lists import (
    RANGE_MARK,
    EntryKind,
    ListEntry,
    entry_key,
    entry_problem,
    key_of,
    network_of,
    range_of,
)
from schemas.person import SignedStep
from schemas.topics import LISTS
from services.approvals import entering, with_proofs
from services.cli.bundles.allowing import asked_for, say_waits, send
from services.cli.output import logs_to_stderr
from services.cli.sending import records, sending, usable
from services.clock import wall_ms
from services.errors import AssayError
from services.scorer.lists import ListTable
from services.settings.loading import load
from services.settings.persons import PersonsSettings
from services.signed_entries import entry_guard
from services.trusted_persons import needs_second, step_rule

SIGNED_H = 1.0
"""So long what a command signs may be written: no one repeats it later."""

Entries = dict[bytes, ListEntry]
Advance = Callable[[], None]


class AmbiguousError(ValueError):
    """A value that can be meant in two ways. Its words say how to say which."""


def entry_of(fields: dict[str, Any], kind: EntryKind | None) -> ListEntry:
    """The entry, its value in the one form that the table takes. Raises ValueError, in words without the value."""
    kind = kind or _plain_kind(fields["value"])
    value = fields["value"]
    if kind == "network":
        value = network_of(value)
    try:
        entry = codec.checked(ListEntry, {**fields, "kind": kind, "value": value})
    except codec.SchemaError as error:
        raise ValueError(str(error)) from None
    if problem := entry_problem(entry):
        raise ValueError(problem)
    return entry


def _plain_kind(value: str) -> EntryKind:
    """`value`, unless the text could be meant otherwise. Raises AmbiguousError."""
    if "/" in value and _is_network(value):
        raise AmbiguousError("this could be a prefix of addresses, or a value: say --as network or --as value")
    if ":" in value and _is_address(value):
        raise AmbiguousError(
            "an IPv6 address can be written in several ways: say --as network to have every way count, or --as value"
        )
    if RANGE_MARK in value and _is_range(value):
        raise AmbiguousError("this could be a range of numbers, or a value: say --as range or --as value")
    return "value"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_range(text: str) -> bool:
    try:
        range_of(text)
    except ValueError:
        return False
    return True


def new_batch() -> str:
    """The name of one command's entries, by which all of them can be taken back."""
    return f"{datetime.fromtimestamp(wall_ms() / 1000, UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


async def write(entries: Iterable[ListEntry], advance: Advance = lambda: None) -> None:
    """All of them acknowledged, or an error. Signed, where persons have to.

    Raises AssayError, and Exit(1) where they wait for a second person.
    """
    written, rule = list(entries), step_rule()
    if rule is not None:
        written = await _after_what_is_there(written)
    if needs_second("list"):
        await _ask(written)
        raise typer.Exit(1)
    if rule is not None:
        written = _signed(written, rule)
    async with sending(LISTS) as send:
        for entry in written:
            await send(entry_key(entry), codec.write(entry))
            advance()


async def _after_what_is_there(entries: list[ListEntry]) -> list[ListEntry]:
    """The same, each newer than what the list says of it, also where the clocks of two people differ. Raises AssayError."""
    said_ms = await said_at_ms()
    return [
        entry.model_copy(update={"written_at_ms": max(entry.written_at_ms, said_ms.get(entry_key(entry), -1) + 1)})
        for entry in entries
    ]


async def said_at_ms() -> dict[bytes, int]:
    """When the list last said something of each entry that counts, as the entry names it. Raises AssayError."""
    return {key: entry.written_at_ms async for key, entry in history() if entry is not None}


def _signed(entries: list[ListEntry], rule: StepRule) -> list[ListEntry]:
    """With the signature of who runs this process. Raises AssayError."""
    keep_h = min(load(PersonsSettings).request_h, SIGNED_H)
    found: list[ListEntry] = []
    for at in range(0, len(entries), ENTRIES_MAX):
        together = entries[at : at + ENTRIES_MAX]
        made, signature = asked_for("list", keep_h, together, **entering(together))
        signed = SignedStep(statement=made.statement or "", signatures=(signature,) if signature else ())
        try:
            rule.statement(signed, wall_ms(), LIST_SIGNERS)
        except BundleError as error:
            raise AssayError(
                f"{error} ASSAY_PERSONS_KEY_FILE names the key that you sign with; leads, risk officers and admins sign lists."
            ) from None
        found += with_proofs(together, signed)
    return found


async def _ask(entries: list[ListEntry]) -> None:
    """A request for a second person; none where there is nothing to write. Raises AssayError."""
    if not entries:
        return
    made, _ = asked_for("list", load(PersonsSettings).request_h, entries, **entering(entries))
    await send(made)
    say_waits(made.request_id, "with that they are written")


async def history() -> AsyncIterator[tuple[bytes, ListEntry | None]]:
    """Every record that is left and counts, oldest first: its key, and its entry; None where another tool deleted it.

    What does not count is left out with a note, as a scorer leaves it out.
    """
    guard = entry_guard()

    def entry_of_record(record: Any) -> ListEntry | None:
        if guard is not None:
            guard.check(record)
        return _entry(record) if record.value else None

    async for record in records(LISTS):
        if guard is None and not record.value:
            yield record.key, None
        elif (entry := usable(record, entry_of_record)) is not None:
            yield record.key, entry


def _entry(record: Any) -> ListEntry:
    entry = codec.read(ListEntry, record.value)
    if record.key != entry_key(entry) or entry_problem(entry):
        raise codec.SchemaError("the table does not take it either")
    return entry


async def newest() -> Entries:
    """The entries that are on lists now, expired ones among them. Raises AssayError."""
    found: Entries = {}
    async for key, entry in history():
        found.pop(key, None)
        if entry is not None and not entry.removed:
            found[key] = entry
    return found


async def before_batch(batch: str) -> list[tuple[ListEntry, ListEntry | None]]:
    """Each entry that a batch wrote and that is still so, and the one before it, if there was any. Raises AssayError."""
    before: Entries = {}
    written: dict[bytes, tuple[ListEntry, ListEntry | None]] = {}
    async for key, entry in history():
        if entry is not None and entry.batch == batch:
            held = written.get(key)
            written[key] = entry, held[1] if held else before.get(key)
            continue
        written.pop(key, None)  # changed since: that is not the batch's any more
        if entry is not None and not entry.removed:
            before[key] = entry
        else:
            before.pop(key, None)
    return list(written.values())


async def on_list(list_name: str, pairs: Sequence[tuple[str, str]], at_ms: int) -> list[bool]:
    """Whether each field's value is on the list for an event of that time, as text or as number. Raises AssayError."""
    logs_to_stderr()
    table = ListTable(guard=entry_guard())
    table.apply([record async for record in records(LISTS)])
    times_ms = np.array([at_ms], np.int64)

    def holds(field: str, value: str) -> bool:
        numbers = np.array([float(value)]) if _is_range(f"{value}{RANGE_MARK}") else np.array([math.nan])
        columns: tuple[Values, ...] = ([value], numbers)
        return any(bool(table.lists.contains(list_name, field, column, times_ms)[0]) for column in columns)

    return [holds(field, value) for field, value in pairs]


def taken_back(entry: ListEntry, by: str, reason: str, source: str) -> ListEntry:
    """The record that takes an entry back."""
    said = {"by": by, "reason": reason, "source": source, "written_at_ms": wall_ms(), "removed": True}
    return entry.model_copy(update={**said, "batch": new_batch()})


def find(entries: Entries, list_name: str, field: str, value: str, kind: EntryKind | None) -> ListEntry:
    """The entry that is meant. Raises AssayError where none is, or more than one could be."""
    kinds: tuple[EntryKind, ...] = (kind,) if kind else ("value", "network", "range")
    found = []
    for each in kinds:
        try:
            text = network_of(value) if each == "network" else value
        except ValueError:
            continue
        if (entry := entries.get(key_of(list_name, field, each, text))) is not None:
            found.append(entry)
    if len(found) > 1:
        raise AssayError(
            f"{list_name} has {field}={value} as {' and as '.join(entry.kind for entry in found)}: say which with --as."
        )
    if not found:
        raise AssayError(f"{list_name} has no entry {field}={value}: `assay lists show {list_name}` lists what it has.")
    return found[0]
