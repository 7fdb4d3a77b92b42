"""Files of payments: CSV or Parquet, any column names, read into the stream's messages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from schemas.transaction import Transaction

SUFFIXES = (".csv", ".parquet")
FIELDS = tuple(Transaction.model_fields)
NEEDED = tuple(name for name, field in Transaction.model_fields.items() if field.is_required())

FRAUD, LEGITIMATE = ("fraud", "true", "1"), ("legitimate", "false", "0")


class TableError(ValueError):
    """A file or a mapping that cannot be used: one sentence with the fix."""


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """FIELD=COLUMN pairs as a dict. Raises TableError."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or not column or name not in FIELDS:
            raise TableError(f"--map {pair} is not FIELD=COLUMN with a field of {', '.join(FIELDS)}: mend it.")
        found[name] = column
    return found


def check_suffix(path: Path) -> None:
    """Raises TableError where the name does not say CSV or Parquet."""
    if path.suffix not in SUFFIXES:
        raise TableError(f"{path} ends in neither .csv nor .parquet: name it after its format.")


def read(path: Path, names: Mapping[str, str], label: str | None = None, scenario: str | None = None) -> pl.DataFrame:
    """The transactions' fields, as the stream has them, with each row's place in the file as `row`, in order of time.

    label: the column that says which payments are frauds; read as `is_fraud`, all false without. scenario: the column that
    numbers the kinds of fraud; read as `scenario`, with which the column is there. Payments of one time keep the file's
    order. Times may be ms since 1970 or dates; without a zone they are UTC.
    """
    check_suffix(path)
    try:
        frame = pl.read_csv(path, try_parse_dates=True) if path.suffix == ".csv" else pl.read_parquet(path)
    except (PolarsError, OSError) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read as its suffix says"
        raise TableError(f"{path} {why}: check the path and the format.") from None
    present = {name: names.get(name, name) for name in FIELDS if name in NEEDED or names.get(name, name) in frame}
    present |= names
    for name, column in present.items():
        if column not in frame:
            raise TableError(
                f"{path} has no column {column}: say which one is {name} with --map {name}=COLUMN; "
                f"there are {', '.join(frame.columns)}."
            )
    fields = frame.select(_typed(frame, name, column).alias(name) for name, column in present.items())
    fields = fields.with_columns(_frauds(path, frame, label).alias("is_fraud"))
    if scenario is not None:
        fields = fields.with_columns(_scenarios(path, frame, scenario).alias("scenario"))
    return fields.with_row_index("row").sort("event_time_ms", maintain_order=True, nulls_last=True)


def _typed(frame: pl.DataFrame, name: str, column: str) -> pl.Expr:
    if name == "amount":
        return pl.col(column).cast(pl.Float64, strict=False)
    if name != "event_time_ms":
        return pl.col(column).cast(pl.String)
    if frame[column].dtype.is_temporal():
        return pl.col(column).cast(pl.Datetime("ms")).dt.epoch("ms")
    return pl.col(column).cast(pl.Int64, strict=False)


def _frauds(path: Path, frame: pl.DataFrame, label: str | None) -> pl.Series:
    """Which payments are labelled as fraud; those without a label are not."""
    if label is None:
        return pl.repeat(False, len(frame), dtype=pl.Boolean, eager=True)
    if label not in frame:
        raise TableError(
            f"{path} has no column {label}: name the label's column; there are {', '.join(frame.columns)}."
        )
    words = frame[label].cast(pl.String).str.to_lowercase().str.strip_suffix(".0")
    strange = words.drop_nulls().filter(~words.drop_nulls().is_in([*FRAUD, *LEGITIMATE]))
    if len(strange):
        raise TableError(
            f"{path}: {label} holds {strange[0]!r}, which is no label: write one of {', '.join([*FRAUD, *LEGITIMATE])}."
        )
    return words.is_in(list(FRAUD)).fill_null(False)


def _scenarios(path: Path, frame: pl.DataFrame, scenario: str) -> pl.Series:
    """Numbers of the kinds of fraud, 0 where there is none."""
    if scenario not in frame:
        raise TableError(
            f"{path} has no column {scenario}: name the scenarios' column; there are {', '.join(frame.columns)}."
        )
    numbers = frame[scenario].cast(pl.Int64, strict=False).fill_null(0)
    if not numbers.is_between(0, 99).all():
        raise TableError(f"{path}: {scenario} holds numbers beyond 0 to 99: number the kinds of fraud from 1.")
    return numbers


def whole(fields: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The payments of `read`, in order of time. Raises TableError where one lacks what the stream would refuse it for."""
    bad = fields.filter(
        pl.any_horizontal(pl.col(*NEEDED).is_null()) | ~pl.col("amount").is_finite() | (pl.col("amount") < 0)
    )
    if len(bad):
        first = int(bad["row"].to_numpy().min())
        raise TableError(
            f"{path} has {len(bad):,} payment(s) without a usable {', '.join(NEEDED)}, the first in row {first} "
            "(counted from 0): mend or remove them."
        )
    return fields


def payloads(fields: pl.DataFrame) -> list[bytes]:
    """Each row as the JSON that the stream would carry."""
    encode = msgspec.json.Encoder().encode
    return [encode(row) for row in fields.select(n for n in fields.columns if n in FIELDS).iter_rows(named=True)]
