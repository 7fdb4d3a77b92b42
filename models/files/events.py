"""Files of a source's events: each row as the record that the stream would carry, judged by the source's own parser.

Lines of JSON are records already. A table's row becomes one: a column is named by the path that it stands for
(`amount.value`), or is a nested one of Parquet. So a file and a stream of the same events give the same columns, bit for bit.
"""

import datetime as dt
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import zstandard

from models.files.options import ReadOptions, TableError, nearest, shown
from models.files.payments import labels_of, scenarios_of
from models.files.table import RAGGED_WORDS, Table, read_table
from models.sources.envelopes.lines import event_of
from models.sources.events import Events
from models.sources.parser import EventParser
from schemas import codec
from schemas.conditions import Condition
from schemas.paths import ROW, parts
from schemas.privacy import is_card_number
from schemas.record_format import Envelope
from schemas.source_spec import FlagAttribute, SourceSpec

LINES_SUFFIXES = (".jsonl", ".ndjson")
PLAIN = ReadOptions()

_encode = msgspec.json.Encoder().encode


def read_events(
    path: Path,
    source: SourceSpec,
    label: str | None = None,
    scenario: str | None = None,
    options: ReadOptions = PLAIN,
    notes: list[str] | None = None,
) -> pl.DataFrame:
    """The events of a file, in order of time, as `models.files.payments.read` has payments; with each one's record as
    `payload`, and the attributes as further columns.

    Rows that are not selected are left out. Of a row that is refused, `problem` says why, and its fields are null.
    """
    parser = EventParser(source)
    records = records_of(path, source, label, scenario, options)
    frame = _judged(parser, records)
    if frame.is_empty():
        raise TableError(
            f"{path} holds no event that the source spec selects: give a file with rows, or correct `select`."
        )
    if notes is not None and (passed := len(records) - len(frame)):
        notes.append(f"not selected by the source spec: {passed:,} rows")
    frame = frame.with_columns(labels_of(frame["label"], frame["line"], path, label, options))
    if scenario is not None:
        frame = frame.with_columns(scenarios_of(frame["scenario"].cast(pl.Float64, strict=False), path, scenario))
    dropped = ["label"] if scenario is not None else ["label", "scenario"]
    return frame.drop(dropped).sort("event_time_ms", maintain_order=True, nulls_last=True)


def records_of(
    path: Path, source: SourceSpec, label: str | None, scenario: str | None, options: ReadOptions
) -> list[dict[str, Any]]:
    """Each row as the record that the stream would carry (`payload`), with its `row` from 0, `line` from 1, `problem` (why it
    is none), `label` and `scenario`. Raises TableError."""
    lines = is_lines(path)
    records = (
        line_records(path, label, scenario, source.envelope) if lines else _rows(path, source, label, scenario, options)
    )
    if source.of_rows:
        for record in records:
            record["payload"] = _with_row(record["payload"], record["row"] + 1)
    return records


def _with_row(payload: bytes, number: int) -> bytes:
    """The record with the number of its row, after whatever it says itself."""
    head = payload.rstrip()
    if not head.endswith(b"}"):  # no object: the parser says so
        return payload
    comma = b"" if head[:-1].rstrip().endswith(b"{") else b","
    return head[:-1] + comma + f'"{ROW}":{number}}}'.encode()


def _judged(parser: EventParser, records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Each selected record with its fields, or what is wrong with it."""
    kept = [record for record in records if _meant(parser, record["payload"])]
    rows, places, problems = [], [], [record["problem"] for record in kept]
    for place, record in enumerate(kept):
        try:
            row = parser.row(record["payload"])
        except codec.RejectedError as error:
            problems[place] = problems[place] or f"{error}: correct it or leave the event out"
            continue
        rows.append(row)
        places.append(place)
    events = parser.events(rows)
    columns = {name: _spread(events, name, places, len(kept)) for name in NAMES | dict.fromkeys(parser.attributes)}
    return pl.DataFrame(
        {
            "row": [record["row"] for record in kept],
            "line": [record["line"] for record in kept],
            "problem": pl.Series(problems, dtype=pl.String),
            "label": pl.Series([_text(record["label"]) for record in kept], dtype=pl.String),
            "scenario": pl.Series([_text(record["scenario"]) for record in kept], dtype=pl.String),
            "payload": pl.Series([record["payload"] for record in kept], dtype=pl.Binary),
            **columns,
        }
    )


NAMES = dict.fromkeys(
    ("transaction_id", "event_time_ms", "card_id", "terminal_id", "amount", "currency", "mcc", "country", "channel")
)
"""Of the event's own fields, as feature specs and outputs have them."""


def _spread(events: Events, name: str, places: Sequence[int], rows: int) -> pl.Series:
    """A column of the events that are sound, null at the others."""
    found = events.column(name)
    kind = pl.String if isinstance(found, list) else (pl.Int64 if name == "event_time_ms" else pl.Float64)
    held: list[Any] = [None] * rows
    for place, value in zip(places, found if isinstance(found, list) else found.tolist(), strict=True):
        held[place] = value
    return pl.Series(name, held, dtype=kind)


def _meant(parser: EventParser, payload: bytes) -> bool:
    try:
        return parser.meant(payload)
    except codec.RejectedError:
        return True


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def is_lines(path: Path) -> bool:
    """Whether it is a file of lines of JSON, packed or not."""
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    return name.endswith(LINES_SUFFIXES)


def line_records(
    path: Path, label: str | None, scenario: str | None, envelope: Envelope = "none"
) -> list[dict[str, Any]]:
    """Lines as the records that they are; label and scenario lie in them, by path. Raises TableError.

    envelope: taken off the lines that are in it; those that say that no event happened are left out.
    """
    found: list[dict[str, Any]] = []
    try:
        with _opened(path) as file:
            for line, payload in enumerate(file, 1):
                text = payload.strip()
                event = event_of(text, envelope) if text else None
                if event is not None:
                    said = [_said(event, text, name) for name in (label, scenario)]
                    found.append(_record(len(found), line, event, None, *said))
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror or error}): check the path.") from None
    return found


def _opened(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        return zstandard.open(path, "rb")
    return path.open("rb")


def _said(event: bytes, line: bytes, name: str | None) -> Any:
    """A label within the event, or beside it in its envelope."""
    found = _at(event, name)
    return found if found is not None or event is line else _at(line, name)


def _at(payload: bytes, name: str | None) -> Any:
    if name is None:
        return None
    try:
        value = json.loads(payload)
        for part in parts(name):
            value = value[part]
        return value
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _record(row: int, line: int, payload: bytes, problem: str | None, label: Any, scenario: Any) -> dict[str, Any]:
    return {"row": row, "line": line, "payload": payload, "problem": problem, "label": label, "scenario": scenario}


def _rows(
    path: Path, source: SourceSpec, label: str | None, scenario: str | None, options: ReadOptions
) -> list[dict[str, Any]]:
    """A table's rows as records."""
    forms = _forms(source)
    present: dict[str, str] = {}
    needed = _required(source)

    def choose(header: Sequence[str]) -> list[str]:
        present.update({name: column for name in forms if (column := _column(name, header)) is not None})
        missing = [name for name in needed if name not in present]
        if missing:
            like = nearest(missing[0], header)
            hint = f" (nearest is {shown([like])})" if like else ""
            raise TableError(
                f"{path} has no column {missing[0]}, which the source spec reads{hint}: name the columns by the spec's paths; "
                f"there are {shown(list(header))}."
            )
        for extra, what in ((label, "label's"), (scenario, "scenarios'")):
            if extra is not None and extra not in header:
                raise TableError(
                    f"{path} has no column {extra}: name the {what} column; there are {shown(list(header))}."
                )
        return [*present.values(), *(extra for extra in (label, scenario) if extra is not None)]

    table = read_table(path, options, choose)
    ragged, lines = table.ragged.to_list(), table.lines.to_list()
    return [
        _record(
            row,
            lines[row],
            payload,
            RAGGED_WORDS if ragged[row] else None,
            None if label is None else cells[label],
            None if scenario is None else cells[scenario],
        )
        for row, (cells, payload) in enumerate(_payloads(table, present, forms))
    ]


def _payloads(
    table: Table, present: Mapping[str, str], forms: Mapping[str, str]
) -> Iterator[tuple[dict[str, Any], bytes]]:
    for cells in table.frame.iter_rows(named=True):
        record: dict[str, Any] = {}
        for name, column in present.items():
            value = _valued(cells[column], forms[name])
            if value is None:
                continue
            if column == name:
                _put(record, name, value)
            else:
                record[column] = value  # a nested column of Parquet
        yield cells, _encode(record)


def _column(name: str, header: Sequence[str]) -> str | None:
    """The column of a path: of its name, or the nested one that it lies in."""
    if name in header:
        return name
    first = str(parts(name)[0])
    return first if first in header else None


def _put(record: Any, name: str, value: Any) -> None:
    """Into the objects and lists that a path leads through."""
    found = parts(name)
    for part, following in pairwise(found):
        inner: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            record.extend([None] * (part + 1 - len(record)))
            record[part] = inner if record[part] is None else record[part]
            record = record[part]
        else:
            record = record.setdefault(part, inner)
    last = found[-1]
    if isinstance(last, int):
        record.extend([None] * (last + 1 - len(record)))
    record[last] = value


def _valued(cell: Any, form: str) -> Any:
    """A cell as JSON has it. A text that is a number or a boolean becomes one only where the spec takes no text."""
    if isinstance(cell, str) and form in ("number", "boolean"):
        try:
            value = json.loads(cell)
        except ValueError:
            return cell
        return value if isinstance(value, bool if form == "boolean" else int | float) else cell
    if isinstance(cell, Decimal):
        return str(cell)
    if isinstance(cell, dt.datetime | dt.date):
        return cell.isoformat()
    if isinstance(cell, int | float) and not isinstance(cell, bool) and form == "string":
        return str(cell)
    if isinstance(cell, float) and cell != cell:
        return None
    return cell


def _forms(source: SourceSpec) -> dict[str, str]:
    """In which type of JSON the value of each path comes."""
    forms = {
        path: "number" if isinstance(constant, int | float) and not isinstance(constant, bool) else "boolean"
        for condition in source.conditions()
        for path, constant in _constants(condition)
        if not isinstance(constant, str)
    }
    forms = {**{path: "any" for condition in source.conditions() for path in condition.paths()}, **forms}
    for field in source.fields():
        for path in getattr(field, "paths", None) or (getattr(field, "path", None),):
            if path is not None and path != ROW:
                plain = isinstance(field, FlagAttribute) and field.yes is None and field.written == "any"
                forms[path] = "boolean" if plain else getattr(field, "written", "number")
    return forms


def _constants(condition: Condition) -> Iterator[tuple[str, Any]]:
    if condition.path is not None:
        for constant in (condition.equals, *(condition.one_of or ())):
            if constant is not None:
                yield condition.path, constant
    for inner in condition.inner:
        yield from _constants(inner)


def _required(source: SourceSpec) -> list[str]:
    event = source.event
    paths = [*event.id.paths, *event.time.paths, *event.subject.paths, event.amount.path]
    if event.amount.scale == "currency" and event.currency is not None and event.currency.path is not None:
        paths.append(event.currency.path)
    paths += event.counterparty.paths if event.counterparty and event.counterparty.required else []
    paths += [path for attribute in source.attributes.values() if attribute.required for path in attribute.paths]
    return [path for path in paths if path != ROW]


def usable_events(fields: pl.DataFrame) -> pl.Series:
    """Why an event of `read_events` is not to be trained on; null where nothing speaks against it."""
    numbers = [card for card in fields["card_id"].unique().drop_nulls() if is_card_number(card)]
    return fields.select(
        why=pl.when(pl.col("problem").is_not_null() | pl.col("event_time_ms").is_null())
        .then("problem")
        .when(pl.col("card_id").is_in(numbers).fill_null(False))
        .then(pl.lit("the subject is a card number: give the pseudonym, see `assay privacy pseudonyms`"))
        .when(~pl.col("transaction_id").is_first_distinct())
        .then(pl.lit("an earlier event has the same id: give each one its own"))
    )["why"]


def whole_events(fields: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The events of `read_events`. Raises TableError where one is not what the source spec asks for."""
    bad = fields.filter(pl.col("problem").is_not_null())
    if len(bad):
        first = bad.sort("row").row(0, named=True)
        raise TableError(
            f"{path} has {len(bad):,} row(s) that the source spec refuses, the first in line {first['line']}: "
            f"{first['problem']}."
        )
    return fields
