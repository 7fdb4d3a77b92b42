"""Files of payments: any format of `table`, any column names, read into the stream's messages."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl

from models.files.flags import read_flags
from models.files.options import ReadOptions, TableError, nearest, shown, value_kind
from models.files.table import RAGGED_WORDS, Table, read_table
from schemas.transaction import Transaction

FIELDS = tuple(Transaction.model_fields)
NEEDED = tuple(name for name, field in Transaction.model_fields.items() if field.is_required())
TARGETS = (".csv", ".parquet")
LINE = "#"
"""In place of a column: the row's line in the file. For payments that have no id."""

FRAUD, LEGITIMATE = ("fraud",), ("legitimate", "genuine")
PLAIN = ReadOptions()


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """FIELD=COLUMN pairs as a dict. Raises TableError."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or not column or name not in FIELDS:
            raise TableError(f"--map {pair} is not FIELD=COLUMN with a field of {', '.join(FIELDS)}: correct it.")
        found[name] = column
    return found


def check_suffix(path: Path) -> None:
    """Raises TableError where the name does not say CSV or Parquet."""
    if path.suffix not in TARGETS:
        raise TableError(f"{path} ends in neither .csv nor .parquet: name it after its format.")


def read(
    path: Path,
    names: Mapping[str, str],
    label: str | None = None,
    scenario: str | None = None,
    options: ReadOptions = PLAIN,
    reads: Collection[str] = (),
    notes: list[str] | None = None,
) -> pl.DataFrame:
    """The transactions' fields, as the stream has them, in order of time; with each row's place in the file as `row`, its line
    as `line`, and in `problem` what the file has instead of a field's value, null where nothing is wrong.

    names: field -> column, or columns joined with `+`, or LINE. label: the column that says which payments are frauds; read as
    `is_fraud`, all false without. scenario: the column that numbers the kinds of fraud; read as `scenario`, with which the
    column is there. reads: optional fields that the file must have, unless `options.without` names them. notes: what was found
    out about the file is added to it. Payments of one time keep the file's order. Raises TableError.
    """
    present: dict[str, list[str]] = {}

    def choose(header: Sequence[str]) -> list[str]:
        present.update(_columns(path, header, names, reads, options))
        for extra, what in ((label, "label's"), (scenario, "scenarios'")):
            if extra is not None and extra not in header:
                raise TableError(
                    f"{path} has no column {extra}: name the {what} column; there are {shown(list(header))}."
                )
        used = [column for columns in present.values() for column in columns if column != LINE]
        return [*used, *(extra for extra in (label, scenario) if extra is not None)]

    table = read_table(path, options, choose)
    if table.frame.is_empty():
        raise TableError(f"{path} holds no payment, only column names: give a file with rows.")
    fields = _fields(table, present)
    fields = fields.with_columns(_frauds(table, label).alias("is_fraud"))
    if scenario is not None:
        fields = fields.with_columns(_scenarios(table, scenario).alias("scenario"))
    if notes is not None:
        unread = [column for column in table.header if column and column not in table.frame.columns]
        notes += [*table.notes, *([f"not read: {shown(unread)}"] if unread else [])]
    fields = fields.with_row_index("row", options.part[0] if options.part else 0)
    times = fields["event_time_ms"]
    if not times.null_count() and times.is_sorted():
        return fields
    return fields.sort("event_time_ms", maintain_order=True, nulls_last=True)


def _columns(
    path: Path, header: Sequence[str], names: Mapping[str, str], reads: Collection[str], options: ReadOptions
) -> dict[str, list[str]]:
    """The column or columns of each field that the file has. Raises TableError."""
    present, missing = {}, []
    for name in FIELDS:
        column = names.get(name, name)
        columns = [column] if column in header or column == LINE else [part.strip() for part in column.split("+")]
        if all(part in header or part == LINE for part in columns):
            present[name] = columns
        elif name in names or name in NEEDED or (name in reads and name not in options.without):
            missing.append((name, next(part for part in columns if part not in header)))
    if missing:
        name, column = missing[0]
        like = nearest(column, header)
        fix = f"nearest is {shown([like])}, so perhaps --map {name}={shown([like])}" if like else f"--map {name}=COLUMN"
        if name == "transaction_id":
            fix += f", or --map {name}='{LINE}' to take the row's line for its id"
        without = "" if name in NEEDED else f", or, where the payments have none, --without {name}"
        more = f" Also missing: {', '.join(name for name, _ in missing[1:])}." if missing[1:] else ""
        raise TableError(
            f"{path} has no column {column}, which is read as {name}: say which one it is ({fix}){without}; there are "
            f"{shown(list(header))}.{more}"
        )
    return present


def _fields(table: Table, present: Mapping[str, list[str]]) -> pl.DataFrame:
    fields, problems = {}, []
    for name, columns in present.items():
        column = columns[0] if len(columns) == 1 and columns[0] != LINE else _join(table, name, columns)
        given = table.frame[column]
        if name == "amount":
            fields[name] = table.numbers(column)
        elif name == "event_time_ms":
            fields[name] = table.times(column)
        else:
            fields[name] = table.texts(column)
            continue
        what = "number" if name == "amount" else "time"
        lost = given.is_not_null() & fields[name].is_null()
        if name == "amount":
            refund = (
                f"amount (column {column}) is below 0, as refunds are: leave it out, since payments alone are scored"
            )
            problems.append(pl.select(pl.when(fields[name] < 0).then(pl.lit(refund)).alias(name))[name])
        if not lost.any():
            continue
        kinds = given.filter(lost).cast(pl.String).map_elements(value_kind, return_dtype=pl.String)
        words = f"{name} (column {column}) is " + kinds + f" where a {what} is due: correct it or leave the payment out"
        at = pl.DataFrame({"at": lost.arg_true(), name: words})
        places = pl.DataFrame({"at": pl.int_range(len(given), dtype=pl.UInt32, eager=True)})
        problems.append(places.join(at, on="at", how="left", maintain_order="left")[name])
    ragged = pl.when(table.ragged).then(pl.lit(RAGGED_WORDS))
    return pl.DataFrame(fields).with_columns(line=table.lines, problem=pl.coalesce(ragged, *problems))


def _join(table: Table, name: str, columns: Sequence[str]) -> str:
    """Columns joined to one: a time's parts with spaces, an id's with dashes."""
    parts = [table.lines.cast(pl.String) if column == LINE else table.texts(column) for column in columns]
    joined = "+".join(columns)
    table.frame = table.frame.with_columns(
        pl.concat_str(parts, separator=" " if name == "event_time_ms" else "-").alias(joined)
    )
    return joined


def _frauds(table: Table, label: str | None) -> pl.Series:
    """Which payments are labelled as fraud; those without a label are not."""
    if label is None:
        return pl.repeat(False, len(table.frame), dtype=pl.Boolean, eager=True)
    return labels_of(table.frame[label], table.lines, table.path, label, table.options)


def labels_of(given: pl.Series, lines: pl.Series, path: Path, label: str | None, options: ReadOptions) -> pl.Series:
    """`is_fraud` of a column of labels. Raises TableError for what is none."""
    return read_flags(given, f"{path}: {label}", options, lines, FRAUD, LEGITIMATE).fill_null(False).alias("is_fraud")


def _scenarios(table: Table, scenario: str) -> pl.Series:
    """Numbers of the kinds of fraud, 0 where there is none."""
    return scenarios_of(table.numbers(scenario), table.path, scenario)


def scenarios_of(given: pl.Series, path: Path, scenario: str) -> pl.Series:
    """`scenario` of a column of numbers. Raises TableError."""
    numbers = given.cast(pl.Int64, strict=False).fill_null(0)
    if not numbers.is_between(0, 99).all():
        raise TableError(f"{path}: {scenario} holds numbers beyond 0 to 99: number the kinds of fraud from 1.")
    return numbers.alias("scenario")


def whole(fields: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The payments of `read`, in order of time. Raises TableError where one lacks what the stream would refuse it for."""
    bad = fields.filter(
        pl.any_horizontal(pl.col(*NEEDED).is_null()) | ~pl.col("amount").is_finite() | (pl.col("amount") < 0)
    )
    if len(bad):
        first = bad.sort("row").row(0, named=True)
        why = f" ({first['problem']})" if first["problem"] else ""
        raise TableError(
            f"{path} has {len(bad):,} payment(s) without a usable {', '.join(NEEDED)}, the first in row {first['row']} "
            f"(counted from 0), line {first['line']}{why}: correct or remove them."
        )
    return fields


def payloads(fields: pl.DataFrame) -> list[bytes]:
    """Each row as the JSON that the stream would carry."""
    if "payload" in fields.columns:  # of `models.files.events`
        return fields["payload"].to_list()
    encode = msgspec.json.Encoder().encode
    return [encode(row) for row in fields.select(n for n in fields.columns if n in FIELDS).iter_rows(named=True)]
