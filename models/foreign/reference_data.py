"""Rows that a model was not trained on, from a file: features by name, a label, and where they are there, time and card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.files.options import ReadOptions
from models.files.table import Table, read_table
from models.foreign.reading import ForeignModelError
from models.training.data import FRAUDS_MIN, OTHERS_MIN, Dataset
from schemas.feature_spec import FeatureSpec

PREFIX = "feature_"
"""Of a feature's column, as `assay dataset build` writes it; `assay features build` writes the bare name."""

TIME, CARD = "event_time_ms", "card_id"
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ReferenceData:
    """Two halves in order of time: thresholds are chosen on the first, figures are measured on the second.

    first_day: day 0 of both halves, days since 1970. expected: float64[n] of both halves, the probabilities that the model's
    own library gave, where the file has them.
    """

    chosen_on: Dataset
    measured_on: Dataset
    first_day: int
    end_ms: int
    digest: str
    expected: NDArray[np.float64] | None

    @property
    def features(self) -> NDArray[np.float32]:
        """float32[n, F] of both halves, the first one's rows first."""
        return np.concatenate([self.chosen_on.features, self.measured_on.features])

    @property
    def has_days(self) -> bool:
        """Whether the file says when its payments were."""
        return bool(len(np.unique(self.measured_on.day)) > 1)


def read_reference(path: Path, spec: FeatureSpec, label: str, expected: str | None = None) -> ReferenceData:
    """label: the column that says which rows are frauds. expected: that of the library's own probabilities.

    Raises TableError or ForeignModelError.
    """
    table = read_table(path, ReadOptions(), lambda header: _columns(path, header, spec, label, expected))
    if not len(table.lines):
        raise ForeignModelError(f"{path} has no rows: give labelled rows that the model was not trained on.")
    features = np.stack([_numbers(table, _named(table.header, name)) for name in spec.names], axis=1)
    told = _numbers(table, label)
    if not np.isin(told, (0.0, 1.0)).all():
        raise ForeignModelError(
            f"{path}: {label} holds other values than 0 and 1: give the column that says what was fraud."
        )
    times = _times(table)
    order = np.argsort(times, kind="stable")
    data = Dataset(
        features=features.astype(np.float32)[order],
        card=_cards(table)[order],
        day=(times[order] // DAY_MS) - int(times.min()) // DAY_MS,
        is_fraud=told[order] == 1.0,
        scenario=np.zeros(len(order), np.int8),
    )
    first = np.arange(len(data)) < len(data) // 2
    for rows, words in ((first, "first"), (~first, "second")):
        _check_enough(path, data.is_fraud[rows], words)
    at = _numbers(table, expected)[order] if expected else None
    end_ms = int(times.max()) if TIME in table.header else path.stat().st_mtime_ns // 1_000_000
    return ReferenceData(data[first], data[~first], int(times.min()) // DAY_MS, end_ms, data.digest(), at)


def _columns(path: Path, header: Sequence[str], spec: FeatureSpec, label: str, expected: str | None) -> list[str]:
    missing = [name for name in spec.names if _named(header, name) not in header]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ForeignModelError(
            f"{path} has no column for {', '.join(missing[:3])}{more}: `assay dataset build` or `assay features build` writes "
            "one for each feature of the spec."
        )
    for name in (label, *([expected] if expected else [])):
        if name not in header:
            raise ForeignModelError(f"{path} has no column {name}: name it as the file does.")
    there = [name for name in (TIME, CARD) if name in header]
    return [*(_named(header, name) for name in spec.names), label, *([expected] if expected else []), *there]


def _named(header: Sequence[str], feature: str) -> str:
    return f"{PREFIX}{feature}" if f"{PREFIX}{feature}" in header else feature


def _numbers(table: Table, column: str) -> NDArray[np.float64]:
    found = table.numbers(column)
    values = found.fill_null(float("nan")).to_numpy().astype(np.float64)
    with np.errstate(over="ignore"):
        bad = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
    if len(bad):
        raise ForeignModelError(
            f"{table.path}, row {int(table.lines[int(bad[0])])}: {column} is no number: leave out such rows, or compute the "
            "features with `assay features build`."
        )
    return values


def _times(table: Table) -> NDArray[np.int64]:
    """The file's own order where it has no times."""
    if TIME not in table.header:
        return np.zeros(len(table.lines), np.int64)
    return _numbers(table, TIME).astype(np.int64)


def _cards(table: Table) -> NDArray[np.int64]:
    """Numbered; a card of its own for each row where the file has none."""
    if CARD not in table.header:
        return np.arange(len(table.lines))
    numbered: NDArray[np.int64] = (
        table.texts(CARD).cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)
    )
    return numbered


def _check_enough(path: Path, is_fraud: NDArray[np.bool_], words: str) -> None:
    frauds = int(is_fraud.sum())
    if frauds < FRAUDS_MIN or len(is_fraud) - frauds < OTHERS_MIN:
        raise ForeignModelError(
            f"The {words} half of {path} has {frauds} frauds among {len(is_fraud)} rows, and {FRAUDS_MIN} frauds and "
            f"{OTHERS_MIN} others are needed in each half: give more rows."
        )
