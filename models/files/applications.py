"""Files of credit applications: any format of `table`, one column an attribute, and the outcome of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.features.attributes import Value
from models.files.flags import is_flag_column, read_flags
from models.files.numbers import is_missing_series
from models.files.options import ReadOptions, TableError, nearest, shown
from models.files.table import RAGGED_WORDS, Table, read_table
from schemas.feature_kinds.event import AttributeFeature, CategoryFeature, MissingFeature
from schemas.feature_spec import FeatureSpec
from schemas.policy import AttributeType

DEFAULT, REPAID = ("default", "defaulted", "bad"), ("repaid", "paid", "good")
PLAIN = ReadOptions()
NO_MORE: Mapping[str, AttributeType] = {}


@dataclass(frozen=True, slots=True)
class Applications:
    """n applications as a file has them. defaulted: bool[n]; None where no label was asked for. lines: of the file, if any.

    ragged: rows that have more or fewer fields than the header; nothing of them is read.
    """

    attributes: Sequence[Mapping[str, Value]]
    defaulted: NDArray[np.bool_] | None
    lines: Sequence[int] = ()
    notes: list[str] = field(default_factory=list)
    ragged: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.attributes)


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """ATTRIBUTE=COLUMN pairs as a dict. Raises TableError."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise TableError(f"--map {pair} is not ATTRIBUTE=COLUMN: correct it.")
        found[name] = column
    return found


def read(
    path: Path,
    names: Mapping[str, str],
    spec: FeatureSpec,
    label: str | None = None,
    options: ReadOptions = PLAIN,
    more: Mapping[str, AttributeType] = NO_MORE,
) -> Applications:
    """The attributes that the spec reads of every row of the file, in its order. names: attribute -> column, where it has
    another name.

    An attribute that only categories read is text as written. `NA` and its like are a category where the spec names them, and
    else nothing. label: the column that says who defaulted, as 1, true, yes, default or bad and their opposites. more:
    further attributes, which a policy reads, and their types. Raises TableError, also where a column is absent that
    `options.without` does not name.
    """
    numbers, categories, open_names = _attributes(spec)
    for name, kind in more.items():
        if name not in numbers and name not in categories:
            if kind == "text":
                categories[name] = set()
            else:
                numbers.append(name)
    columns: dict[str, str] = {}

    def choose(header: Sequence[str]) -> list[str]:
        columns.update(_columns(path, header, names, [*numbers, *categories], options))
        if label is not None and label not in header:
            raise TableError(f"{path} has no column {label}: name the label's column; there are {shown(list(header))}.")
        return [*columns.values(), *([label] if label else [])]

    table = read_table(path, options, choose)
    if table.frame.is_empty():
        raise TableError(f"{path} holds no application, only column names: give a file with rows.")
    if label is not None:
        table = _without_ragged(table)
    values = {
        name: _categories(table, column, categories[name], name in open_names)
        if name in categories
        else _numbers(table, column)
        for name, column in columns.items()
    }
    defaulted = None if label is None else _defaulted(table, label)
    unread = [column for column in table.header if column and column not in table.frame.columns]
    notes = [*table.notes, *([f"not read: {shown(unread)}"] if unread else [])]
    rows: list[Mapping[str, Value]] = [
        dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)
    ]
    return Applications(rows, defaulted, table.lines.to_list(), notes, frozenset(table.ragged.arg_true().to_list()))


def _without_ragged(table: Table) -> Table:
    """For training: rows of another length are left out, with a note."""
    if not table.ragged.any():
        return table
    out, kept = table.lines.filter(table.ragged), ~table.ragged
    notes = [*table.notes, f"left out: {len(out):,} rows, the first in line {out[0]}: {RAGGED_WORDS}"]
    lines, frame = table.lines.filter(kept), table.frame.filter(kept)
    return replace(table, frame=frame, lines=lines, ragged=table.ragged.filter(kept), notes=notes)


def _attributes(spec: FeatureSpec) -> tuple[list[str], dict[str, set[str]], frozenset[str]]:
    """Attributes that are numbers, those that are categories with the names that the spec has for them, and those of the latter
    whose names are still to be learnt.
    """
    features = [feature for feature in spec.features if isinstance(feature, AttributeFeature)]
    categories: dict[str, set[str]] = {}
    for feature in features:
        if isinstance(feature, CategoryFeature):
            categories.setdefault(feature.attribute, set()).update(feature.values)
    numbers = {
        n: None for f in features if not isinstance(f, CategoryFeature | MissingFeature) for n in f.attributes_read
    }
    # what is only asked whether it is there is read as it is written
    numbers |= {f.attribute: None for f in features if isinstance(f, MissingFeature) and f.attribute not in categories}
    open_names = frozenset(f.attribute for f in features if isinstance(f, CategoryFeature) and f.is_open)
    return list(numbers), {name: known for name, known in categories.items() if name not in numbers}, open_names


def _columns(
    path: Path, header: Sequence[str], names: Mapping[str, str], read_names: Collection[str], options: ReadOptions
) -> dict[str, str]:
    absent = [column for column in names.values() if column not in header]
    absent += [n for n in read_names if n not in names and n not in header and n not in options.without]
    if absent:
        like = nearest(absent[0], header)
        fix = f"nearest is {shown([like])}: --map {absent[0]}={shown([like])}" if like else f"--map {absent[0]}=COLUMN"
        more = f" Also missing: {shown(absent[1:])}." if absent[1:] else ""
        raise TableError(
            f"{path} has no column {absent[0]}, which is to be read: say which one it is ({fix}), or, where the applications "
            f"have none, --without {absent[0]}; there are {shown(list(header))}.{more}"
        )
    return {name: names.get(name, name) for name in read_names if names.get(name, name) in header}


def _numbers(table: Table, column: str) -> list[Any]:
    """Numbers; yes and no as 1 and 0 where the column has nothing else; other text stays text, and is refused later."""
    given = table.frame[column]
    if given.dtype != pl.String:
        return table.numbers(column).to_list()
    there = pl.select(v=pl.when(~is_missing_series(given)).then(given))["v"]
    if is_flag_column(there, table.options):
        flags = read_flags(there, f"{table.path}: {column}", table.options, table.lines)
        return flags.cast(pl.Float64).to_list()
    found = table.numbers(column)
    strange = found.is_null() & ~is_missing_series(given)
    return [text if odd else number for number, text, odd in zip(found, given, strange, strict=True)]


def _categories(table: Table, column: str, known: set[str], is_open: bool) -> list[Any]:
    """is_open: any value is one; a whole number is written without point, as it will be named."""
    given = table.frame[column]
    if given.dtype in (pl.Boolean, pl.Float32, pl.Float64):
        return given.fill_nan(None).to_list() if given.dtype.is_float() else given.to_list()
    texts = table.texts(column)
    missing = is_missing_series(texts)
    whole = texts.str.replace(r"^(-?\d+)\.0+$", "$1")
    return [
        text if text in known else None if nothing else plain if is_open or plain in known else text
        for text, plain, nothing in zip(texts, whole, missing, strict=True)
    ]


def _defaulted(table: Table, label: str) -> NDArray[np.bool_]:
    given = table.frame[label]
    where = f"{table.path}: {label}"
    flags = read_flags(given, where, table.options, table.lines, DEFAULT, REPAID)
    if flags.null_count():
        raise TableError(f"{where} is empty in {flags.null_count()} rows; leave them out, or say what became.")
    return flags.to_numpy()
