"""Files of labels: CSV or Parquet, any column names. A row that is no label is counted by what is wrong with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError
from pydantic import ValidationError

from schemas.label import LABEL_AGE_DAYS_MAX, Label, LabelSource
from schemas.privacy import is_card_number
from services.errors import AssayError

DAY_MS = 86_400_000
FIELDS = tuple(Label.model_fields)
TIMES = ("labelled_at_ms", "event_time_ms")
WORDS = {
    "fraud": "fraud",
    "true": "fraud",
    "1": "fraud",
    "legitimate": "legitimate",
    "false": "legitimate",
    "0": "legitimate",
}


def read_labels(
    path: Path, pairs: Sequence[str], source: LabelSource, at_ms: int
) -> tuple[list[Label], dict[str, int]]:
    """The labels in the file's order, and how many rows were left out for which reason.

    pairs: FIELD=COLUMN. source, at_ms: for rows that do not say. Raises AssayError.
    """
    frame = _read(path)
    names = _names(pairs, frame, path)
    labels, refused = [], Counter[str]()
    columns = [_column(frame, name, column).alias(name) for name, column in names.items()]
    for row in frame.select(columns).iter_rows(named=True):
        label = _label({"source": source, "labelled_at_ms": at_ms}, row)
        if isinstance(label, Label):
            labels.append(label)
        else:
            refused[label] += 1
    return labels, dict(refused)


def _read(path: Path) -> pl.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise AssayError(f"{path} ends in neither .csv nor .parquet: name it after its format.")
    try:
        return pl.read_csv(path, try_parse_dates=True) if path.suffix == ".csv" else pl.read_parquet(path)
    except (PolarsError, OSError) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read as its suffix says"
        raise AssayError(f"{path} {why}: check the path and the format.") from None


def _names(pairs: Sequence[str], frame: pl.DataFrame, path: Path) -> dict[str, str]:
    """Which column holds which field."""
    names = {field: field for field in FIELDS if field in frame.columns}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or field not in FIELDS or column not in frame.columns:
            raise AssayError(
                f"--map {pair} is not FIELD=COLUMN with a field of {', '.join(FIELDS)} and a column of {path}: mend it."
            )
        names[field] = column
    for field in ("transaction_id", "verdict"):
        if field not in names:
            raise AssayError(f"{path} has no column {field}: say which one it is with --map {field}=COLUMN.")
    return names


def _column(frame: pl.DataFrame, name: str, column: str) -> pl.Expr:
    if name not in TIMES:
        return pl.col(column).cast(pl.String)
    if frame[column].dtype.is_temporal():
        return pl.col(column).cast(pl.Datetime("ms")).dt.epoch("ms")
    return pl.col(column).cast(pl.Int64, strict=False)


def _label(defaults: Mapping[str, Any], row: Mapping[str, Any]) -> Label | str:
    """The label of a row, or what is wrong with it."""
    fields = {**defaults, **{name: value for name, value in row.items() if value is not None}}
    word = str(fields.get("verdict", "")).strip().lower().removesuffix(".0")
    if word not in WORDS:
        return "no verdict"
    if is_card_number(fields.get("card_id") or ""):
        return "card_id is a card number"
    try:
        label = Label(**{**fields, "verdict": WORDS[word]})
    except ValidationError as error:
        return f"{error.errors()[0]['loc'][0]} is not usable"
    if label.event_time_ms is not None and label.labelled_at_ms - label.event_time_ms > LABEL_AGE_DAYS_MAX * DAY_MS:
        return f"more than {LABEL_AGE_DAYS_MAX} days after the payment"
    return label
