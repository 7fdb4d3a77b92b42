"""Features of a whole history, in parts that need nothing of each other: for many processes, or an engine of the user's own.

Two pure functions hold everything. `partition_features` folds the payments of one partition, `terminal_features` looks up
what the whole stream knew of some terminals. Each takes rows as any mapping of column names to arrays, a pandas frame too, so
Ray or Spark can map them over groups (docs/examples/features_on_ray.py); `history_features` does it with processes here.
"""

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features.columns import NO_VALUE, TransactionColumns
from models.features.derived import read_for
from models.features.entities import EntityFold, derived, entity_ids
from models.features.fold import fold
from models.features.layout import entity_fields, id_fields, number_fields, used_keys
from models.features.layout import places as entity_places
from models.features.state import FeatureState
from models.features.terminals import NAME as TERMINAL
from models.features.terminals import as_entity, profile_places
from schemas.feature_spec import FeatureSpec

BATCH = 10_000

Rows = Mapping[str, Any]
"""Columns of n payments: event_time_ms, amount, the ids of the spec (`columns_read`); is_fraud where it reads labels."""

Task = tuple[Callable[[FeatureSpec, Rows], NDArray[np.float32]], tuple[str, ...], NDArray[np.int64]]
"""A function, the columns that it reads, and the places of its payments."""

Report = Callable[[int, int], None]
"""Called with how many rows are done, and of how many; a row counts once for its card and once for its terminal."""


def columns_read(spec: FeatureSpec) -> list[str]:
    """Names of the columns that the functions below need."""
    names = [*sorted(id_fields(spec)), *sorted(number_fields(spec))]
    return ["event_time_ms", "amount", *names, *(["is_fraud"] if spec.reads_labels else [])]


def partition_features(spec: FeatureSpec, rows: Rows) -> NDArray[np.float32]:
    """float32[n, F] of all payments of one partition, in the rows' order; features of profiles and of entities are left at 0.

    Bit for bit what the scorer computes on a partition that gets these payments in order of event time and forgets no card.
    For a spec whose only key is the card, any split that keeps a card together will do.
    """
    times = np.asarray(rows["event_time_ms"], np.int64)
    order = np.argsort(times, kind="stable")
    # not by np.where, which cuts the NUL off
    given = {field: np.asarray(rows[field], object)[order].tolist() for field in id_fields(spec)}
    ids = {field: [value or NO_VALUE for value in values] for field, values in given.items()}
    keys = read_for(spec, frozenset(spec.keys[key] for key in used_keys(spec)))  # no fewer than what is made of them
    # features of entities are the whole stream's: `entity_features`
    state = FeatureState(spec, max((len(set(ids[field])) for field in keys if field in ids), default=1) or 1)
    columns = TransactionColumns(
        ids,
        times[order],
        np.asarray(rows["amount"], np.float64)[order],
        numbers={name: np.asarray(rows[name], np.float64)[order] for name in number_fields(spec)},
    )
    features = np.zeros((len(times), len(spec.features)), np.float32)
    for start in range(0, len(times), BATCH):
        features[order[start : start + BATCH]], _ = fold(state, columns[start : start + BATCH])
        state.days.clear()  # written by the stream; here the terminals are counted separately
    return features


def terminal_features(spec: FeatureSpec, rows: Rows) -> NDArray[np.float32]:
    """float32[n, F] of all payments of some terminals, in the rows' order; everything but the profile features is 0.

    Of the days that end a label delay before a payment's own, it sees payments and the frauds among them (is_fraud).
    """
    features = np.zeros((len(rows["event_time_ms"]), len(spec.features)), np.float32)
    features[:, profile_places(spec)] = entity_features(as_entity(spec), TERMINAL, rows)
    return features


def entity_features(spec: FeatureSpec, name: str, rows: Rows) -> NDArray[np.float32]:
    """float32[n, k] of all payments of some ids of one entity, in the rows' order: its features alone, in the spec's order.

    Bit for bit what the stream gives where the payments of each entity come in order of event time, labels within their delay.
    """
    times = np.asarray(rows["event_time_ms"], np.int64)
    order = np.argsort(times, kind="stable")
    columns = _columns_of(rows, entity_fields(spec, name), number_fields(derived(spec, name)), order)
    history = EntityFold(spec, name, len(set(entity_ids(spec, name, columns))) or 1)
    features = np.zeros((len(times), len(history.spec.features)), np.float32)
    is_fraud = np.asarray(rows["is_fraud"], np.bool_)[order] if history.reads_labels else None
    for start in range(0, len(times), BATCH):
        part = slice(start, start + BATCH)
        known = None if is_fraud is None else is_fraud[part]
        features[order[part]] = history.values(columns[part], is_fraud=known)
    return features


def history_features(
    spec: FeatureSpec,
    rows: Rows,
    partition: NDArray[np.int64],
    processes: int | None = None,
    report: Report = lambda done, whole: None,
) -> NDArray[np.float32]:
    """float32[n, F] of a history; the same bits for any number of processes (default: one a core).

    partition: int64[n], the partition of each payment; a card is in one only.
    """
    processes = processes or os.cpu_count() or 1
    cards = [name for name in columns_read(spec) if name != "is_fraud"]
    tasks: list[Task] = [
        (partition_features, tuple(cards), places) for _, places in _by(np.asarray(partition, np.int64))
    ]
    if spec.profiled:
        wanted, which = _entity_groups(as_entity(spec), TERMINAL, rows, processes)
        tasks += [(terminal_features, wanted, places) for _, places in _by(which)]
    for name in spec.stages:
        wanted, which = _entity_groups(spec, name, rows, processes)
        tasks += [(functools.partial(_entity_task, name), wanted, places) for _, places in _by(which)]
    features = np.zeros((len(partition), len(spec.features)), np.float32)
    done, whole = 0, sum(len(places) for *_, places in tasks)
    for task, part in _worked(spec, rows, tasks, processes):
        function, _, places = task
        columns = _written(spec, function)
        features[np.ix_(places, columns)] = part[:, columns]
        done += len(places)
        report(done, whole)
    return features


def _written(spec: FeatureSpec, function: Callable[..., NDArray[np.float32]]) -> NDArray[np.int64]:
    """The columns that a function fills."""
    if isinstance(function, functools.partial):
        return np.array([spec.names.index(name) for name in derived(spec, function.args[0]).names], np.int64)
    if function is terminal_features:
        return profile_places(spec)
    elsewhere = np.concatenate([profile_places(spec), entity_places(spec)])
    return np.setdiff1d(np.arange(len(spec.features)), elsewhere)


def _columns_of(
    rows: Rows, fields: frozenset[str], numbers: frozenset[str], order: slice | NDArray[np.int64]
) -> TransactionColumns:
    """What an entity's fold reads of the rows, in an order."""
    return TransactionColumns(
        {field: [value or NO_VALUE for value in np.asarray(rows[field], object)[order].tolist()] for field in fields},
        np.asarray(rows["event_time_ms"], np.int64)[order],
        np.asarray(rows["amount"], np.float64)[order],
        numbers={number: np.asarray(rows[number], np.float64)[order] for number in numbers},
    )


def _entity_task(name: str, spec: FeatureSpec, rows: Rows) -> NDArray[np.float32]:
    features = np.zeros((len(rows["event_time_ms"]), len(spec.features)), np.float32)
    features[:, _written(spec, functools.partial(_entity_task, name))] = entity_features(spec, name, rows)
    return features


def _entity_groups(spec: FeatureSpec, name: str, rows: Rows, groups: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the columns that an entity's features read, and a group for each payment: an id is in one only."""
    fields, numbers = entity_fields(spec, name), number_fields(derived(spec, name))
    ids = entity_ids(spec, name, _columns_of(rows, fields, numbers, slice(None)))
    group = np.unique(np.array(ids, object).astype(str), return_inverse=True)[1].astype(np.int64)
    judged = ["is_fraud"] if name in spec.labelled else []
    return ("event_time_ms", "amount", *sorted(fields), *sorted(numbers), *judged), group % groups


def _worked(
    spec: FeatureSpec, rows: Rows, tasks: list[Task], processes: int
) -> Iterator[tuple[Task, NDArray[np.float32]]]:
    """Each task with what came of it, in any order."""
    columns = {name: np.asarray(rows[name]) for _, names, _ in tasks for name in names}

    def of(task: Task) -> Rows:
        return {name: columns[name][task[2]] for name in task[1]}

    if processes == 1:
        yield from ((task, task[0](spec, of(task))) for task in tasks)
        return
    # spawned, not forked: a copy of a process with threads may hang
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting: dict[Future[NDArray[np.float32]], Task] = {
            pool.submit(task[0], spec, of(task)): task for task in tasks
        }
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def _by(group: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each group's number, rising, and its places, in order."""
    order = np.argsort(group, kind="stable")
    numbers, starts = np.unique(group[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)
