"""Files of credit applications: CSV (gzipped too) or Parquet, one column an attribute, and what became of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from models.features.attributes import Value
from models.files.payments import TableError

SUFFIXES = (".csv", ".csv.gz", ".parquet")
DEFAULT, REPAID = ("default", "bad", "true", "yes", "1"), ("repaid", "good", "false", "no", "0")


@dataclass(frozen=True, slots=True)
class Applications:
    """n applications as a file has them. defaulted: bool[n]; None where no label was asked for."""

    attributes: Sequence[Mapping[str, Value]]
    defaulted: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.attributes)


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """ATTRIBUTE=COLUMN pairs as a dict. Raises TableError."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise TableError(f"--map {pair} is not ATTRIBUTE=COLUMN: mend it.")
        found[name] = column
    return found


def read(path: Path, names: Mapping[str, str], label: str | None = None) -> Applications:
    """Every row of the file, in its order. names: attribute -> column, where it has another name.

    label: the column that says who defaulted, as 1, true, yes, default or bad and their opposites. Raises TableError.
    """
    frame = _frame(path)
    for wanted in (*names.values(), *([label] if label else [])):
        if wanted not in frame:
            raise TableError(f"{path} has no column {wanted}; there are {', '.join(frame.columns)}.")
    defaulted = None if label is None else _defaulted(path, label, frame[label])
    columns = [pl.col(column).alias(name) for name, column in names.items()]
    attributes = frame.drop(label or []).with_columns(columns)
    return Applications([*attributes.iter_rows(named=True)], defaulted)


def _frame(path: Path) -> pl.DataFrame:
    if not path.name.endswith(SUFFIXES):
        raise TableError(f"{path} ends in none of {', '.join(SUFFIXES)}: name it after its format.")
    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except (PolarsError, OSError) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read as its suffix says"
        raise TableError(f"{path} {why}: check the path and the format.") from None


def _defaulted(path: Path, label: str, column: pl.Series) -> NDArray[np.bool_]:
    words = column.cast(pl.String).str.to_lowercase().str.strip_suffix(".0")
    if words.null_count():
        raise TableError(f"{path}: {label} is empty in {words.null_count()} rows; leave them out, or say what became.")
    strange = words.filter(~words.is_in([*DEFAULT, *REPAID]))
    if len(strange):
        known = ", ".join([*DEFAULT, *REPAID])
        raise TableError(f"{path}: {label} holds {strange[0]!r}, which is no label: write one of {known}.")
    return words.is_in(list(DEFAULT)).to_numpy()
