"""Conditions of a feature spec over a batch's columns: which payments a window counts."""

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.features.columns import NO_VALUE, TransactionColumns
from schemas.conditions import Condition
from schemas.feature_kinds.base import ID_FIELDS

AMOUNT, EVENT_TIME = "amount", "event_time"
"""Numbers that every payment has."""

Mask = NDArray[np.bool_]


def texts_read(condition: Condition) -> Iterator[str]:
    """Names of what it compares as texts: with texts, or a field that is one on its own account."""
    for one in _comparisons(condition):
        if _of_text(one):
            yield str(one.path)


def numbers_read(condition: Condition) -> Iterator[str]:
    """Names of what it compares as numbers; flags are 1 and 0."""
    for one in _comparisons(condition):
        if not _of_text(one) and one.path not in (AMOUNT, EVENT_TIME):
            yield str(one.path)


def number(columns: TransactionColumns, name: str) -> NDArray[np.float64]:
    """A column of numbers, NaN where there is none."""
    if name == AMOUNT:
        return columns.amount
    return columns.event_time_ms.astype(np.float64) if name == EVENT_TIME else columns.numbers[name]


def mask(condition: Condition, columns: TransactionColumns) -> Mask:
    """bool[n]: of which payments it holds. What is missing fulfils no comparison."""
    if condition.negated is not None:
        return ~mask(condition.negated, columns)
    if condition.every is not None:
        return functools.reduce(np.logical_and, (mask(one, columns) for one in condition.every))
    if condition.some is not None:
        return functools.reduce(np.logical_or, (mask(one, columns) for one in condition.some))
    return _of_texts(condition, columns) if _of_text(condition) else _of_numbers(condition, columns)


def _comparisons(condition: Condition) -> Iterator[Condition]:
    if condition.path is not None:
        yield condition
    for one in condition.inner:
        yield from _comparisons(one)


def _of_text(condition: Condition) -> bool:
    constants = (condition.equals, *(condition.one_of or ()))
    return condition.path in ID_FIELDS or any(isinstance(constant, str) for constant in constants)


def _of_texts(condition: Condition, columns: TransactionColumns) -> Mask:
    values = columns.ids[str(condition.path)]
    if condition.exists is not None:
        there = np.fromiter((value != NO_VALUE for value in values), np.bool_, len(values))
        return there if condition.exists else ~there
    wanted = frozenset(condition.one_of or (condition.equals,))
    return np.fromiter(map(wanted.__contains__, values), np.bool_, len(values))


def _of_numbers(condition: Condition, columns: TransactionColumns) -> Mask:
    values = number(columns, str(condition.path))
    if condition.exists is not None:
        return np.isnan(values) ^ np.bool_(condition.exists)
    if condition.one_of is not None or condition.equals is not None:
        constants = condition.one_of or (condition.equals,)
        return np.isin(values, np.array([float(constant) for constant in constants if constant is not None]))
    holds = ~np.isnan(values)
    if condition.above is not None:
        holds &= values > condition.above
    if condition.at_least is not None:
        holds &= values >= condition.at_least
    if condition.below is not None:
        holds &= values < condition.below
    if condition.at_most is not None:
        holds &= values <= condition.at_most
    return holds
