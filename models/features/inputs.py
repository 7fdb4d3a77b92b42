"""Features of a payment's attributes alone: its numbers, categories, flags, times and addresses, as columns into the matrix.

Everything that a feature reads becomes a column of floats first, NaN where there is none: a category its number in the spec's
table, an address whether it is private. A compiled loop does the rest, in one order of operations, so that no cut into batches
changes a bit.
"""

import math
import struct
from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.features.columns import NO_VALUE, TransactionColumns
from models.features.derived import PRIVATE, listed
from schemas.feature_kinds.event import (
    AttributeFeature,
    BetweenFeature,
    BoundedFeature,
    CategoryFeature,
    CombinedFeature,
    MissingFeature,
    NetworkFeature,
    NumberFeature,
    RatioFeature,
)
from schemas.feature_spec import FeatureSpec

OTHERS_MAX = 4_096
"""Values of a category that are not named, remembered in each table: to find one costs half of asking for it in vain."""

AMOUNT, EVENT_TIME = "amount", "event_time"
"""Numbers that every payment has."""

ROWS_TOGETHER = 64

SUM, MEAN, MAX, MIN, RATIO, DIFFERENCE, MISSING = range(7)
_TOTALS = {"sum": SUM, "mean": MEAN, "max": MAX, "min": MIN}


class Program(NamedTuple):
    """What the loop reads, for each of the P features."""

    column: NDArray[np.int64]  # [P] in the matrix
    operation: NDArray[np.int64]  # [P]
    operands: NDArray[np.int64]  # [sum of all] places of inputs
    ends: NDArray[np.int64]  # [P + 1] of its operands
    split: NDArray[np.int64]  # [P] how many are the numerator, or what is subtracted from
    scale: NDArray[np.float64]  # [P]
    low: NDArray[np.float64]  # [P]
    high: NDArray[np.float64]  # [P]
    absent: NDArray[np.float64]  # [P] value where an operand is missing
    empty: NDArray[np.float64]  # [P] of a ratio without denominator
    log1p: NDArray[np.bool_]  # [P]


Input = tuple[str, str]
"""Attribute, and what is made of it: `number`, or the name of the category or network feature that numbers it."""


def attribute_features(spec: FeatureSpec) -> list[tuple[int, AttributeFeature]]:
    """Columns and features of attributes."""
    return [(column, feature) for column, feature in enumerate(spec.features) if isinstance(feature, AttributeFeature)]


def text_fields(spec: FeatureSpec) -> frozenset[str]:
    """Attributes that are read as texts."""
    return frozenset(name for name, how in needed(spec) if how != "number")


def number_fields(spec: FeatureSpec) -> frozenset[str]:
    """Attributes that are read as numbers, amount and time of the payment left out."""
    return frozenset(name for name, how in needed(spec) if how == "number") - {AMOUNT, EVENT_TIME}


def needed(spec: FeatureSpec) -> list[Input]:
    """Everything that features of attributes read, each once."""
    return list(dict.fromkeys(found for _, feature in attribute_features(spec) for found in _inputs_of(feature)))


def _inputs_of(feature: AttributeFeature) -> list[Input]:
    if isinstance(feature, CategoryFeature | NetworkFeature):
        return [(feature.attribute, feature.name)]
    return [(name, "number") for name in feature.attributes_read]


class Table(dict[str, float]):
    """Numbers by value. A value that is not named has `other`, and is remembered, OTHERS_MAX of them."""

    def __init__(self, named: dict[str, float], other: float) -> None:
        super().__init__(named)
        self._other, self._room = other, OTHERS_MAX

    def __missing__(self, value: str) -> float:
        if self._room:
            self._room -= 1
            self[value] = self._other
        return self._other


Numbered = Table | Callable[[str], float]
"""The number of a text, NaN where there is none."""


class Inputs(NamedTuple):
    """A spec's features of attributes, ready to be computed. tables: number of each value, by feature."""

    program: Program
    given: tuple[Input, ...]
    tables: dict[str, Numbered]


def inputs_of(spec: FeatureSpec) -> Inputs:
    """What `fill` needs of a spec."""
    found, features = needed(spec), attribute_features(spec)
    operands = [[found.index(one) for one in _inputs_of(feature)] for _, feature in features]
    bounds = [_bounds(feature) for _, feature in features]
    program = Program(
        column=np.array([column for column, _ in features], np.int64),
        operation=np.array([_operation(feature) for _, feature in features], np.int64),
        operands=np.array([place for places in operands for place in places], np.int64),
        ends=np.concatenate([[0], np.cumsum([len(places) for places in operands])]).astype(np.int64),
        split=np.array([_split(feature) for _, feature in features], np.int64),
        scale=np.array([0.001 if isinstance(f, BetweenFeature) else 1.0 for _, f in features], np.float64),
        low=np.array([low for low, _ in bounds], np.float64),
        high=np.array([high for _, high in bounds], np.float64),
        absent=np.array([np.nan if f.missing is None else f.missing for _, f in features], np.float64),
        empty=np.array([getattr(f, "no_denominator", 0.0) for _, f in features], np.float64),
        log1p=np.array([getattr(f, "transform", "none") == "log1p" for _, f in features], np.bool_),
    )
    tables = {f.name: _table(f) for _, f in features if isinstance(f, CategoryFeature)}
    tables |= {f.name: _networks(spec, f) for _, f in features if isinstance(f, NetworkFeature)}
    return Inputs(program, tuple(found), tables)


def _table(feature: CategoryFeature) -> Numbered:
    named = {name: value.number for name, value in feature.values.items()}
    other = feature.other.number if feature.other else math.nan
    return Table(named | {NO_VALUE: math.nan}, other)


def _networks(spec: FeatureSpec, feature: NetworkFeature) -> Numbered:
    networks = PRIVATE if feature.networks is None else spec.networks[feature.networks]
    assert isinstance(networks, tuple)  # a file's are in the spec since it was read
    return listed(networks)


def _operation(feature: AttributeFeature) -> int:
    if isinstance(feature, CombinedFeature):
        return _TOTALS[feature.aggregation]
    if isinstance(feature, RatioFeature):
        return RATIO
    if isinstance(feature, MissingFeature):
        return MISSING
    return DIFFERENCE if isinstance(feature, BoundedFeature) else SUM


def _split(feature: AttributeFeature) -> int:
    return len(feature.numerator) if isinstance(feature, RatioFeature) else 1


def _bounds(feature: AttributeFeature) -> tuple[float, float]:
    if isinstance(feature, NumberFeature):
        low, high = feature.at_least, feature.at_most
        return -math.inf if low is None else low, math.inf if high is None else high
    if isinstance(feature, BoundedFeature | RatioFeature):
        return feature.at_least, feature.at_most
    return -math.inf, math.inf


def fill(inputs: Inputs, columns: TransactionColumns, matrix: NDArray[np.float32]) -> None:
    """Fill the columns of the matrix float32[n, F] whose features read attributes."""
    program, found, tables = inputs
    if not len(program.column):
        return
    given = np.empty((len(found), len(columns)), np.float64)
    for place, (name, how) in enumerate(found):
        given[place] = _input(columns, name, how, tables)
    _run(program, given, matrix)


def _input(columns: TransactionColumns, name: str, how: str, tables: dict[str, Numbered]) -> NDArray[np.float64]:
    if how == "number":
        if name == AMOUNT:
            return columns.amount
        return columns.event_time_ms.astype(np.float64) if name == EVENT_TIME else columns.numbers[name]
    table, texts = tables[how], columns.ids[name]
    if not isinstance(table, Table):
        return np.fromiter(map(table, texts), np.float64, len(texts))
    if len(texts) < 2:  # of one, `itemgetter` gives no tuple
        return np.array([table[text] for text in texts], np.float64)
    found = np.empty(len(texts), np.float64)
    struct.pack_into(f"{len(texts)}d", found.data, 0, *itemgetter(*texts)(table))  # no call of Python's for each value
    return found


@compiled
def _run(program, given, matrix):  # type: ignore[no-untyped-def]
    """given: float64[inputs, n]. Some rows at a time, so that their lines stay in the cache while features are written."""
    for first_row in range(0, matrix.shape[0], ROWS_TOGETHER):
        end_row = min(first_row + ROWS_TOGETHER, matrix.shape[0])
        for feature in range(program.column.shape[0]):
            place, end = program.ends[feature], program.ends[feature + 1]
            if program.operation[feature] == SUM and end - place == 1:
                _run_plain(program, feature, given[program.operands[place]], first_row, end_row, matrix)
            else:
                _run_any(program, feature, given, first_row, end_row, matrix)


@compiled
def _run_plain(program, feature, values, first_row, end_row, matrix):  # type: ignore[no-untyped-def]
    """A number, category or flag as it is: what `_run_any` does, without its choices."""
    column, scale, low, high = (
        program.column[feature],
        program.scale[feature],
        program.low[feature],
        program.high[feature],
    )
    absent, log1p = program.absent[feature], program.log1p[feature]
    for row in range(first_row, end_row):
        value = values[row]
        if value != value:
            matrix[row, column] = absent
            continue
        value = min(max((0.0 + value) * scale, low), high)
        matrix[row, column] = math.log1p(value) if log1p else value


@compiled
def _run_any(program, feature, given, first_row, end_row, matrix):  # type: ignore[no-untyped-def]
    """One feature of some rows."""
    column, operation, operands, ends, split, scale, low, high, absent, empty, log1p = program
    first, end = ends[feature], ends[feature + 1]
    middle = first + split[feature]
    for row in range(first_row, end_row):
        gone = False
        above, below = 0.0, 0.0
        most, least = -np.inf, np.inf
        for place in range(first, end):
            value = given[operands[place], row]
            gone |= value != value
            if place < middle or operation[feature] < RATIO:
                above += value
            else:
                below += value
            most, least = max(most, value), min(least, value)
        if operation[feature] == MISSING:
            matrix[row, column[feature]] = 1.0 if gone else 0.0
            continue
        if gone:
            matrix[row, column[feature]] = absent[feature]
            continue
        if operation[feature] == MEAN:
            above /= end - first
        elif operation[feature] == MAX:
            above = most
        elif operation[feature] == MIN:
            above = least
        elif operation[feature] == DIFFERENCE:
            above -= below
        elif operation[feature] == RATIO:
            if below <= 0.0:
                matrix[row, column[feature]] = empty[feature]
                continue
            above /= below
        above = min(max(above * scale[feature], low[feature]), high[feature])
        matrix[row, column[feature]] = math.log1p(above) if log1p[feature] else above
