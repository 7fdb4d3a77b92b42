"""Files of list entries: read for `assay lists import`, written by `export`. A row with two possible meanings is left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import polars as pl

from models.files.options import ReadOptions
from models.files.table import RAGGED_WORDS, Table, read_table
from schemas.lists import EntryKind, ListEntry, entry_key
from services.cli.frames import write_whole
from services.cli.mapped import columns_of
from services.cli.people.list_entries import Entries, entry_of
from services.errors import AssayError

FIELDS = ("value", "field", "kind", "expires_at_ms", "reason", "purpose")
EXPORTED = (*FIELDS, "by", "source", "written_at_ms")
WRITES_ONCE = "the row says again, and otherwise, what an earlier one says: leave one of them out"


def read_entries(
    path: Path, pairs: Sequence[str], defaults: dict[str, Any], kind: EntryKind | None, options: ReadOptions
) -> tuple[list[ListEntry], list[tuple[str, int]], list[str]]:
    """The entries in the file's order; reason and line of each row that is left out; notes on how it was read.

    pairs: FIELD=COLUMN. defaults: what rows that do not say have. Raises AssayError, TableError.
    """
    names: dict[str, str] = {}

    def choose(header: Sequence[str]) -> list[str]:
        names.update(_names(pairs, header, path, "field" in defaults))
        return list(names.values())

    table = read_table(path, options, choose)
    columns = {name: _column(table, name, column) for name, column in names.items()}
    found: Entries = {}
    refused: list[tuple[str, int]] = []
    rows = pl.DataFrame(columns).iter_rows(named=True)
    for row, line, ragged in zip(rows, table.lines, table.ragged, strict=True):
        entry = RAGGED_WORDS if ragged else _entry(row, defaults, kind)
        if isinstance(entry, str):
            refused.append((entry, line))
        elif found.setdefault(entry_key(entry), entry) != entry:
            refused.append((WRITES_ONCE, line))
    return list(found.values()), refused, table.notes


def _names(pairs: Sequence[str], header: Sequence[str], path: Path, field_given: bool) -> dict[str, str]:
    """Which column holds what."""
    names = columns_of(pairs, header, path, FIELDS, ("value",), ("field",) if field_given else ())
    if "field" not in names and not field_given:
        raise AssayError(
            f"{path} does not say which field its values are of: say so with --field, such as --field device."
        )
    return names


def _column(table: Table, name: str, column: str) -> pl.Series:
    if name == "expires_at_ms":
        return table.times(column)
    return table.texts(column) if name == "value" else table.frame[column].cast(pl.String)


def _entry(row: dict[str, Any], defaults: dict[str, Any], kind: EntryKind | None) -> ListEntry | str:
    """The entry of a row, or why it is none."""
    fields = {**defaults, **{name: value for name, value in row.items() if value is not None}}
    said = fields.pop("kind", None)
    if said is not None and said not in get_args(EntryKind):
        return f"kind is none of {', '.join(get_args(EntryKind))}: correct it"
    if "value" not in fields:
        return "the value is missing: give one, or leave the row out"
    try:
        return entry_of(fields, said or kind)
    except ValueError as error:
        return str(error)


def write_entries(path: Path, entries: Sequence[ListEntry]) -> None:
    """One row an entry, as `import` reads it. Raises AssayError."""
    if path.suffix not in (".csv", ".parquet"):
        raise AssayError(f"{path} ends in neither .csv nor .parquet: name it after its format.")
    rows = [[getattr(entry, name) for name in EXPORTED] for entry in entries]
    schema = {name: pl.Int64 if name.endswith("_ms") else pl.String for name in EXPORTED}
    write_whole(path, pl.DataFrame(rows, schema=schema, orient="row"))
