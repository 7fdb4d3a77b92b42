"""A Parquet file of labelled payments, read part by part: neither its payments nor their features need fit into memory.

The same rows, features and notes as `file_history.read_history` gives, which has all of the file in memory: its rows must
come in order of their days, and its times and amounts be typed, so that no part is read another way than the whole.
What stays in memory grows with the ids of cards and terminals, and by 16 bytes for each transaction id.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from models.features.layout import entity_fields, id_fields
from models.files.currencies import currency_problems
from models.files.options import ReadOptions, TableError
from models.files.payments import read
from models.training.data import TrainingError
from models.training.fraud.file_history import (
    DAY_MS,
    file_words,
    labelled_days,
    left_out,
    left_out_notes,
    refusals,
)
from models.training.fraud.history import History, LabelledDay, fold_history
from models.training.progress import Progress
from schemas.feature_kinds.base import ID_FIELDS
from schemas.feature_spec import FeatureSpec

READ_STAGE = "read"


@dataclass(frozen=True, slots=True)
class PartedFile:
    """What is read, and how. rows_max: of the file at once; a day's payments are together in memory, too."""

    path: Path
    names: Mapping[str, str]
    label: str
    scenario: str | None
    options: ReadOptions
    spec: FeatureSpec
    rows_max: int


def parted_history(file: PartedFile, directory: Path | None, progress: Progress, notes: list[str]) -> History:
    """The labelled payments with their features, which lie in files of `directory` where there is one.

    notes: as of `read_history`. Raises TableError, or TrainingError where the file cannot be read by parts.
    """
    if file.spec.open_categories:
        raise TrainingError(
            "The values of open categories are learnt from all payments at once: read the file whole, or give a spec that "
            "`assay features build --learn` wrote."
        )
    _check_typed(file)
    count = _Counted()
    for frame in _frames(file, progress, notes):
        count.add(frame, file.spec)
    if count.first_day is None or count.last_day is None:
        raise TrainingError(f"{file.path} holds no payment that could be scored: look at its times, ids and amounts.")
    days = _Days(file)
    labelled = days.labelled(progress)
    first = next(labelled, None)
    if first is None:
        raise TrainingError(f"{file.path} holds no payment that could be scored: look at its times, ids and amounts.")
    data = fold_history(
        _after(first, labelled),
        first.day,
        count.last_day - first.day + 1,
        file.spec,
        count.ids_max,
        progress,
        entities_max=count.entities_max,
        directory=directory,
    )
    notes += left_out_notes(days.refused) + left_out_notes(days.refused_currency)
    return History(data, first.day, int(data.day[-1]) + 1, file_words(file.path, days.left_out))


def _after(first: LabelledDay, others: Iterator[LabelledDay]) -> Iterator[LabelledDay]:
    yield first
    yield from others


def _check_typed(file: PartedFile) -> None:
    """Raises TrainingError where a part could be read another way than the whole."""
    if file.path.suffix != ".parquet":
        raise TrainingError(f"{file.path} is no Parquet file, and others are not read by parts: write it as one.")
    try:
        kinds = pl.read_parquet_schema(file.path)
    except (PolarsError, OSError):
        raise TableError(f"{file.path} is not there or no Parquet: check the path and the format.") from None
    time, amount = (file.names.get(name, name) for name in ("event_time_ms", "amount"))
    kind, of_amount = kinds.get(time), kinds.get(amount)
    typed = kind is not None and (kind.is_temporal() or (kind.is_integer() and file.options.time_unit is not None))
    if (kind is not None or "+" in time) and not typed:
        raise TrainingError(
            f"{file.path}: {time} is {kind or 'of several columns'}, which only the whole column explains: write it as a "
            "timestamp, or as whole numbers with --time-unit."
        )
    if of_amount is not None and not of_amount.is_numeric():
        raise TrainingError(f"{file.path}: {amount} is {of_amount}: write it as a number to read it by parts.")


def _frames(file: PartedFile, progress: Progress, notes: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """The payments of each part, in order of time within it. notes: those of the first part are added."""
    rows = int(pl.scan_parquet(file.path).select(pl.len()).collect().item())
    for start in range(0, max(1, rows), file.rows_max):
        options = replace(file.options, part=(start, file.rows_max))
        told = notes if start == 0 else None
        yield read(file.path, file.names, file.label, file.scenario, options, id_fields(file.spec), told)
        if notes is not None:
            progress(READ_STAGE, min(rows, start + file.rows_max), rows)


@dataclass(slots=True)
class _Counted:
    """What the fold must know beforehand: how many ids there are at most, and the days."""

    ids: dict[tuple[str, ...], set[tuple[str | None, ...]]] = field(default_factory=dict)
    first_day: int | None = None
    last_day: int | None = None

    def add(self, frame: pl.DataFrame, spec: FeatureSpec) -> None:
        """Another part's payments."""
        single = [(name,) for name in sorted({*ID_FIELDS, *id_fields(spec)})]
        for names in (*single, *(tuple(entity_fields(spec, name)) for name in spec.stages)):
            held = [name for name in names if name in frame]
            if held:
                self.ids.setdefault(tuple(names), set()).update(frame.select(held).unique().rows())
        days = frame["event_time_ms"].drop_nulls() // DAY_MS
        if len(days):
            low, high = int(days.min()), int(days.max())  # type: ignore[arg-type]
            self.first_day = low if self.first_day is None else min(self.first_day, low)
            self.last_day = high if self.last_day is None else max(self.last_day, high)

    @property
    def ids_max(self) -> int:
        """Of any id."""
        return max(len(found) for names, found in self.ids.items() if len(names) == 1)

    @property
    def entities_max(self) -> int:
        """Of any entity."""
        return max(map(len, self.ids.values()))


@dataclass(slots=True)
class _Days:
    """Whole days of usable payments, from parts that may end within one; and what was left out on the way."""

    file: PartedFile
    seen: "Seen" = field(default_factory=lambda: Seen())
    refused: list[pl.DataFrame] = field(default_factory=list)
    refused_currency: list[pl.DataFrame] = field(default_factory=list)
    left_out: int = 0

    def labelled(self, progress: Progress) -> Iterator[LabelledDay]:
        """The days in order."""
        held: pl.DataFrame | None = None
        last: int | None = None
        for frame in _frames(self.file, progress):
            timeless = frame.filter(pl.col("event_time_ms").is_null())
            self._usable(timeless, again=pl.repeat(False, len(timeless), eager=True))
            timed = frame.filter(pl.col("event_time_ms").is_not_null())
            timed = timed if held is None else pl.concat([held, timed])
            timed = timed.sort("event_time_ms", maintain_order=True)
            if timed.is_empty():
                continue
            days = timed["event_time_ms"] // DAY_MS
            if last is not None and int(days[0]) < last:
                line = min(timed.filter(days < last)["line"].to_list())
                raise TrainingError(
                    f"{self.file.path} is not in order of days: line {line} is of a day before those above it. Sort it by "
                    "time, or read it whole."
                )
            last = int(days[-1])
            yield from self._of(timed.filter(days < last))
            held = timed.filter(days == last)
        if held is not None:
            yield from self._of(held)

    def _of(self, frame: pl.DataFrame) -> Iterator[LabelledDay]:
        good = self._usable(frame, again=self.seen.again(frame["transaction_id"]))
        yield from labelled_days(good, self.file.spec)

    def _usable(self, frame: pl.DataFrame, again: pl.Series) -> pl.DataFrame:
        why = refusals(frame, again)
        good = frame.filter(why.is_null())
        problems = currency_problems(good, self.file.spec.currencies)
        self.refused.append(left_out(frame, why))
        self.refused_currency.append(left_out(good, problems))
        usable = good.filter(problems.is_null())
        self.left_out += len(frame) - len(usable)
        return usable


class Seen:
    """The transaction ids that came, as their 128-bit digests: two of 10^9 are alike with a probability of 10^-21."""

    def __init__(self) -> None:
        self._sorted = np.empty((0, 2), np.uint64)

    def again(self, ids: pl.Series) -> pl.Series:
        """bool[n]: whether an earlier call had the id; null ids never do."""
        fresh = _digests(ids)
        known = self._has(fresh)
        self._add(fresh)
        return pl.Series(known & ids.is_not_null().to_numpy())

    def _has(self, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        first, found = np.searchsorted(self._sorted[:, 0], digests[:, 0]), np.zeros(len(digests), np.bool_)
        at = first
        while len(self._sorted):  # as often as first halves are alike, which is hardly ever
            inside = np.minimum(at, len(self._sorted) - 1)
            alike = (at < len(self._sorted)) & (self._sorted[inside, 0] == digests[:, 0])
            found |= alike & (self._sorted[inside, 1] == digests[:, 1])
            if not (alike & ~found).any():
                break
            at = np.where(alike & ~found, at + 1, len(self._sorted))
        return found

    def _add(self, digests: NDArray[np.uint64]) -> None:
        whole = np.concatenate([self._sorted, digests])
        self._sorted = whole[np.argsort(whole[:, 0], kind="stable")]


def _digests(ids: pl.Series) -> NDArray[np.uint64]:
    joined = b"".join(hashlib.blake2b((text or "").encode(), digest_size=16).digest() for text in ids.to_list())
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)
