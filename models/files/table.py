"""One file of columns, text or Parquet: the header first, then the columns that are asked for, each with its file's lines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from models.files.numbers import read_numbers
from models.files.options import ReadOptions, TableError, shown
from models.files.plain_bytes import byte_blocks, split_columns
from models.files.text import END_MARK, PlainLines, TextTable, is_text, opened, unpacked
from models.files.times import from_datetimes, read_times

LINES, RAGGED = "\0lines", "\0ragged"
WHOLE_FLOAT_MAX = 2.0**53
SUFFIXES_WORDS = ".csv, .tsv (also .gz or .zst) or .parquet"

RAGGED_WORDS = "the row has more or fewer fields than the header: quote or add the delimiter"

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
        if values.dtype == pl.Boolean:
            raise TableError(f"{self.path}: {column} holds true and false, no ids: name another column.")
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
            count = table.repeated.get(name, 1)
            if count > 1 and not any(f"{name} {number}" in wanted for number in range(2, count + 1)):
                raise TableError(
                    f"{path} has {count} columns named {name}: rename all but one, or let a source spec read `{name} 2`, too."
                )
        return _text(table, options, wanted)


def _parquet(path: Path, options: ReadOptions, choose: Choose) -> Table:
    try:
        header = list(pl.read_parquet_schema(path))
        frame = _parquet_rows(path, list(dict.fromkeys(choose(header))), options.part)
    except (PolarsError, OSError) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read as its suffix says"
        raise TableError(f"{path} {why}: check the path and the format.") from None
    frame = frame.with_columns(pl.col(pl.Categorical, pl.Enum, pl.Null).cast(pl.String))
    rows, before = len(frame), options.part[0] if options.part else 0
    lines = pl.int_range(before + 1, before + rows + 1, eager=True)
    return Table(path, frame, header, lines, pl.repeat(False, rows, eager=True), options)


def _parquet_rows(path: Path, columns: list[str], part: tuple[int, int] | None) -> pl.DataFrame:
    if part is None:
        return pl.read_parquet(path, columns=columns)
    return pl.scan_parquet(path).select(columns).slice(*part).collect()


def _text(table: TextTable, options: ReadOptions, wanted: Sequence[str]) -> Table:
    frame, spaced = _quickly(table, wanted) or _carefully(table, wanted)
    ragged, lines = frame[RAGGED], frame[LINES]
    found = Table(table.path, frame.select(wanted), table.columns, lines, ragged, options)
    if spaced:
        found.notes.append(f"spaces around values left out: {shown(spaced)}")
    if table.encoding not in ("utf-8", "utf-8-sig") and options.encoding is None:
        found.notes.append(f"read as {table.encoding}")
    return found


def _quickly(table: TextTable, wanted: Sequence[str]) -> tuple[pl.DataFrame, list[str]] | None:
    """Columns of a file that is UTF-8 and plain throughout, and which have spaces around values. None for another."""
    if table.encoding not in ("utf-8", "utf-8-sig") or not wanted or not table.path.is_file():
        return None
    frames, spaced = [], dict[str, None]()
    with unpacked(table.path) as raw:
        for block in byte_blocks(raw, table.header_line):
            found = None if block is None else split_columns(block, table.delimiter, table.columns, wanted)
            if block is None or found is None:
                return None
            frame, maybe_spaced = found
            if maybe_spaced:
                frame, with_spaces = _stripped(frame, wanted)
                spaced |= dict.fromkeys(with_spaces)
            frames.append(frame.with_columns(_line_numbers(block.first, block.rows)))
    if not frames:
        return None
    return pl.concat(frames).with_columns(pl.lit(False).alias(RAGGED)), [name for name in wanted if name in spaced]


def _line_numbers(first: int, rows: int) -> pl.Series:
    return pl.int_range(first, first + rows, eager=True).alias(LINES)


def _carefully(table: TextTable, wanted: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """The same of any file, line by line where need be."""
    places = {name: table.columns.index(name) for name in wanted}
    width, frames = len(table.columns), []
    for block in table.blocks():
        if isinstance(block, PlainLines):
            frames.append(_plain(table, block, places, width))
        else:
            frames.append(_rows(table, block, places, width))
    return _stripped(pl.concat(frames) if frames else _empty(places), wanted)


def _stripped(frame: pl.DataFrame, wanted: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """Without spaces around values, empty ones null; and which columns had some."""
    stripped = frame.with_columns(pl.col(name).str.strip_chars().replace("", None) for name in wanted)
    spaced = [name for name in wanted if (frame[name].str.len_bytes() != stripped[name].str.len_bytes()).any()]
    return stripped, spaced


def _empty(places: Mapping[str, int]) -> pl.DataFrame:
    return pl.DataFrame(schema={**dict.fromkeys(places, pl.String), LINES: pl.Int64, RAGGED: pl.Boolean})


def _plain(table: TextTable, block: PlainLines, places: Mapping[str, int], width: int) -> pl.DataFrame:
    """Columns of lines without quotes, split all at once."""
    numbers = range(block.first, block.first + len(block.lines))
    try:
        given = pl.Series("v", block.lines, dtype=pl.String)
    except UnicodeEncodeError:
        cells = [
            (number, line.rstrip("\r\n").split(table.delimiter))
            for number, line in zip(numbers, block.lines, strict=True)
        ]
        return _rows(table, cells, places, width)
    text = pl.col("v")
    frame = pl.DataFrame([given, pl.Series(LINES, numbers, dtype=pl.Int64)])
    frame = frame.with_columns(text.str.strip_chars_end("\r\n")).filter(text.str.strip_chars(END_MARK) != "")
    fields = text.str.split_exact(table.delimiter, width).struct
    extra = text.str.count_matches(table.delimiter, literal=True).cast(pl.Int64) + 1 - width
    empty_last = (extra == 1) & (fields.field(f"field_{width}").str.strip_chars() == "")
    frame = frame.with_columns(
        ((extra != 0) & ~empty_last).alias(RAGGED), text.str.split_exact(table.delimiter, width).alias("f")
    )
    cell = {name: pl.col("f").struct.field(f"field_{at}") for name, at in places.items()}
    return frame.select(
        *(pl.when(~pl.col(RAGGED) & (value != "")).then(value).alias(name) for name, value in cell.items()),
        LINES,
        RAGGED,
    )


def _rows(
    table: TextTable, block: Sequence[tuple[int, list[str]]], places: Mapping[str, int], width: int
) -> pl.DataFrame:
    """The same of rows that a parser of quotes has read."""
    lines = [line for line, _ in block]
    ragged = [len(row) != width for _, row in block]
    cells = [row if not off else [""] * width for (_, row), off in zip(block, ragged, strict=True)]
    frame = _frame(table.path, {name: [row[at] or None for row in cells] for name, at in places.items()}, lines)
    return frame.with_columns(pl.Series(LINES, lines, dtype=pl.Int64), pl.Series(RAGGED, ragged, dtype=pl.Boolean))


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
