"""Records of a file, from several places of it: each row as the record that a topic would carry."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from models.discovery.sample import Record, Sample, sampled
from models.files.events import is_lines, line_records
from models.files.options import ReadOptions, TableError
from models.files.table import read_table
from models.sources.envelopes.lines import LOOKED_AT, event_of, shown_envelope
from schemas.record_format import Envelope

WHOLE_BYTES_MAX = 64 << 20
"""A text file up to this size is read whole."""

PLACES = 8
PLACE_BYTES = 4 << 20

_encode = msgspec.json.Encoder().encode


@contextmanager
def some_of(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """The file itself, or a shorter one of lines from several places of it; and what to know of that. Raises TableError.

    What is packed is not cut: its places cannot be reached without unpacking all before.
    """
    plain = path.suffix not in (".parquet", ".gz", ".zst")
    try:
        size = path.stat().st_size
        if not plain or size <= WHOLE_BYTES_MAX:
            yield path, []
            return
        with tempfile.TemporaryDirectory() as directory:
            short = Path(directory) / path.name
            _cut(path, short, size)
            yield (
                short,
                [f"of {size >> 20:,} MB only {PLACES} places of {PLACE_BYTES >> 20} MB: lines are counted in them"],
            )
    except FileNotFoundError:
        raise TableError(f"{path} is not there: check the path.") from None


def _cut(path: Path, short: Path, size: int) -> None:
    """The first lines, and whole lines from further places."""
    with path.open("rb") as file, short.open("wb") as out:
        for place in range(PLACES):
            if place:
                file.seek(size // PLACES * place)
                file.readline(PLACE_BYTES)  # the rest of a line
            begin = file.tell()
            while file.tell() - begin < PLACE_BYTES and (line := file.readline(PLACE_BYTES)):
                if not line.endswith(b"\n"):
                    break
                out.write(line)


def sample_file(path: Path, options: ReadOptions, records_max: int, envelope: Envelope | None = None) -> Sample:
    """envelope: of lines; by default as they show. Raises TableError."""
    with some_of(path) as (short, notes):
        if is_lines(short):
            raw = line_records(short, None, None)
            envelope = envelope or shown_envelope([record["payload"] for record in raw[:LOOKED_AT]])
            found = [(record["line"], event_of(record["payload"], envelope)) for record in raw]
            lines = [(line, event) for line, event in found if event is not None]
            if len(lines) < len(raw):
                notes = [*notes, f"{len(raw) - len(lines):,} lines hold no event: {envelope} says deleted, or the like"]
            chosen = [lines[place] for place in sampled(len(lines), records_max)]
            records = [Record(event, f"line {line}") for line, event in chosen]
            return Sample(str(path), records, envelope=envelope, notes=notes)
        if short.suffix == ".parquet":
            return Sample(str(path), list(_parquet(short, records_max)), table=True, notes=notes)
        table = read_table(short, options, list)
        places = list(sampled(len(table.frame), records_max))
        rows, lines_of = table.frame[places], table.lines[places]
        records = [
            Record(_encode(_filled(row)), f"line {line}")
            for row, line in zip(rows.iter_rows(named=True), lines_of, strict=True)
        ]
        return Sample(str(path), records, table=True, notes=[*notes, *table.notes])


def _parquet(path: Path, records_max: int) -> Iterator[Record]:
    try:
        frame = pl.scan_parquet(path)
        rows = int(frame.select(pl.len()).collect().item())
        places = PLACES if rows > records_max else 1
        for place in range(places):
            begin = rows // places * place
            for number, row in enumerate(frame.slice(begin, records_max // places).collect().iter_rows(named=True)):
                yield Record(_encode(_filled(row)), f"row {begin + number + 1}")
    except (PolarsError, OSError):
        raise TableError(f"{path} cannot be read as its suffix says: check the path and the format.") from None


def _filled(value: Any) -> Any:
    """A cell, or what is nested in it, as JSON has it; what is missing left out."""
    if isinstance(value, dict):
        return {name: filled for name, inner in value.items() if (filled := _filled(inner)) is not None}
    if isinstance(value, list):
        return [_filled(inner) for inner in value]
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
