"""One file of columns, text or Parquet: the header first, then the columns that are asked for, each with its file's lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from models.files.numbers import read_numbers
from models.files.options import ReadOptions, TableError, shown
from models.files.text import TextTable, is_text, opened
from models.files.times import from_datetimes, read_times

CHUNK_ROWS = 50_000
WHOLE_FLOAT_MAX = 2.0**53
SUFFIXES_WORDS = ".csv, .tsv (also .gz or .zst) or .parquet"

Choose = Callable[[Sequence[str]], Sequence[str]]


@dataclass(slots=True)
class Table:
    """Columns of a file, as it has them. header: all names. lines: of each row, from 1. ragged: rows of another length.

    Columns of text files are text; an empty cell is null. notes: what a person should know of how it was read.
    """

    path: Path
    frame: pl.DataFrame
    header: list[str]
    lines: pl.Series
    ragged: pl.Series
    options: ReadOptions
    notes: list[str] = field(default_factory=list)

    def texts(self, column: str) -> pl.Series:
        """A column of ids, as written; whole numbers of Parquet as digits. Raises TableError."""
        values = self.frame[column]
        if values.dtype == pl.String:
            return values
        if values.dtype.is_float():
            held = values.drop_nulls()
            if (held.abs() >= WHOLE_FLOAT_MAX).any() or (held != held.floor()).any():
                raise TableError(
                    f"{self.path}: {column} holds decimal numbers, which cannot be read as ids: write the column as text."
                )
            return values.cast(pl.Int64).cast(pl.String)
        try:
            return values.cast(pl.String)
        except PolarsError:
            raise TableError(f"{self.path}: {column} holds {values.dtype}, no ids: write the column as text.") from None

    def numbers(self, column: str) -> pl.Series:
        """float64 of a column, null where there is none. Raises TableError."""
        values = self.frame[column]
        if values.dtype == pl.String:
            found, words = read_numbers(values, column, self.options, self.lines)
            self.notes += [words] if words else []
            return found
        if values.dtype.is_numeric() or values.dtype == pl.Boolean:
            return values.cast(pl.Float64).fill_nan(None)
        raise TableError(f"{self.path}: {column} holds {values.dtype}, no numbers: name another column.")

    def times(self, column: str) -> pl.Series:
        """ms since 1970 UTC of a column, int64, null where there is none. Raises TableError."""
        values = self.frame[column]
        if values.dtype.is_temporal():
            return from_datetimes(values, column, self.options)
        text = values if values.dtype == pl.String else values.cast(pl.String)
        found = read_times(text, column, self.options, self.lines)
        self.notes += found.notes
        return found.ms


def read_table(path: Path, options: ReadOptions, choose: Choose) -> Table:
    """The columns that `choose` picks of the header. Raises TableError."""
    if path.suffix == ".parquet":
        return _parquet(path, options, choose)
    if not is_text(path):
        raise TableError(f"{path} ends in none of {SUFFIXES_WORDS}: name it after its format.")
    with opened(path, options) as table:
        wanted = list(dict.fromkeys(choose(table.columns)))
        for name in wanted:
            if table.columns.count(name) > 1:
                raise TableError(f"{path} has {table.columns.count(name)} columns named {name}: rename all but one.")
        return _text(table, options, wanted)


def _parquet(path: Path, options: ReadOptions, choose: Choose) -> Table:
    try:
        header = list(pl.read_parquet_schema(path))
        frame = pl.read_parquet(path, columns=list(dict.fromkeys(choose(header))))
    except (PolarsError, OSError) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read as its suffix says"
        raise TableError(f"{path} {why}: check the path and the format.") from None
    rows = len(frame)
    return Table(
        path, frame, header, pl.int_range(1, rows + 1, eager=True), pl.repeat(False, rows, eager=True), options
    )


def _text(table: TextTable, options: ReadOptions, wanted: Sequence[str]) -> Table:
    places, width = [table.columns.index(name) for name in wanted], len(table.columns)
    frames, lines, ragged = [], [], []
    rows = table.rows()
    while chunk := list(islice(rows, CHUNK_ROWS)):
        bad = [len(row) != width for _, row in chunk]
        lines += [line for line, _ in chunk]
        ragged += bad
        cells = [row if not off else [""] * width for (_, row), off in zip(chunk, bad, strict=True)]
        columns = {name: [row[at] or None for row in cells] for name, at in zip(wanted, places, strict=True)}
        frames.append(_frame(table.path, columns, [line for line, _ in chunk]))
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
    found = Table(
        table.path,
        frame,
        table.columns,
        pl.Series(lines, dtype=pl.Int64),
        pl.Series(ragged, dtype=pl.Boolean),
        options,
    )
    if table.encoding not in ("utf-8", "utf-8-sig") and options.encoding is None:
        found.notes.append(f"read as {table.encoding}")
    return found


def _frame(path: Path, columns: dict[str, list[str | None]], lines: Sequence[int]) -> pl.DataFrame:
    try:
        return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    except UnicodeEncodeError:
        for name, values in columns.items():
            for line, value in zip(lines, values, strict=True):
                if (
                    value is not None
                    and not value.isascii()
                    and any("\udc80" <= letter <= "\udcff" for letter in value)
                ):
                    raise TableError(
                        f"{path} is not UTF-8: line {line}, column {shown([name])}. Say which encoding it has with --encoding, "
                        "for instance --encoding cp1252 (Windows) or --encoding latin-1."
                    ) from None
        raise
