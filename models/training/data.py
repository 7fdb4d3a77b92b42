"""A labelled history as features, and its cuts by time.

Order of the cuts, as at a release: train, validation, a delay whose labels are not known yet, test.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training import mapped

FRAUDS_MIN, OTHERS_MIN = 5, 50
"""Of each cut: fewer fit no calibration and no threshold, and no figure on them says anything."""


class TrainingError(ValueError):
    """Settings or data that no model can be trained with: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """n transactions in order of time.

    features: float32[n, F]. card: int64[n], numbered. day: int64[n], from 0. is_fraud: bool[n]. scenario: int8[n]. amount:
    float64[n], where it is known; for figures in money, no input of a model.
    """

    features: NDArray[np.float32]
    card: NDArray[np.int64]
    day: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    scenario: NDArray[np.int8]
    amount: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.card)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Dataset":
        return Dataset(*(None if column is None else mapped.chosen(column, rows) for column in self._columns))  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[Any, ...]:
        """Columns in files go to another process by their names."""
        return _again, tuple(None if column is None else mapped.handle(column) for column in self._columns)

    @property
    def _columns(self) -> tuple[NDArray[Any] | None, ...]:
        return (self.features, self.card, self.day, self.is_fraud, self.scenario, self.amount)

    @property
    def legitimate(self) -> NDArray[np.float32]:
        """Features of the legitimate rows."""
        return mapped.chosen(self.features, ~self.is_fraud)

    def digest(self) -> str:
        """SHA-256 (hex) of all columns."""
        digest = hashlib.sha256()
        for column in (self.features, self.card, self.day, self.is_fraud, self.scenario):
            digest.update(np.ascontiguousarray(column).data.cast("B") if len(column) else b"")
        return digest.hexdigest()


def _again(*columns: Any) -> Dataset:
    return Dataset(*(None if column is None else mapped.unhandled(column) for column in columns))  # type: ignore[arg-type]


def joined(parts: Sequence[Dataset]) -> Dataset:
    """All rows of at least one part, one after the other."""
    columns = ("features", "card", "day", "is_fraud", "scenario")
    amounts = [part.amount for part in parts if part.amount is not None]
    amount = mapped.joined(amounts) if amounts and len(amounts) == len(parts) else None
    whole = {column: mapped.joined([getattr(part, column) for part in parts]) for column in columns}
    return Dataset(**whole, amount=amount)


def sampled(data: Dataset, rows_max: int, seed: int) -> Dataset:
    """As many rows at most, drawn at random, in their order; `data` itself where it has no more."""
    if len(data) <= rows_max:
        return data
    rows = np.zeros(len(data), np.bool_)
    rows[np.random.default_rng(seed).choice(len(data), rows_max, replace=False, shuffle=False)] = True
    return data[rows]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Lengths in days, one cut after the other. first_day: of the train cut, from 0; what is earlier only fills histories.

    train_days: None takes all that the others leave, and the test cut ends with the data. With a number it ends so many days
    after the first, or with the data where no first day is given.
    """

    validation_days: int = 10
    delay_days: int = 7
    test_days: int = 7
    train_days: int | None = None
    first_day: int | None = None

    def test_from(self, days: int) -> int:
        """First day of the test cut, of a history of `days` days."""
        if self.train_days is None or self.first_day is None:
            return days - self.test_days
        return self.first_day + self.train_days + self.validation_days + self.delay_days

    def train_from(self, days: int) -> int:
        """First day of the train cut."""
        if self.train_days is None or self.first_day is not None:
            return self.first_day or 0
        return self.test_from(days) - self.delay_days - self.validation_days - self.train_days


@dataclass(frozen=True, slots=True)
class Split:
    """The data of the three cuts that are used."""

    train: Dataset
    validation: Dataset
    test: Dataset


def train_days(days: int, cuts: Cuts) -> range:
    """Days of the train cut. Raises TrainingError where `days` days do not hold the cuts."""
    train_from, test_from = cuts.train_from(days), cuts.test_from(days)
    validation_from = test_from - cuts.delay_days - cuts.validation_days
    if train_from < 0 or validation_from < train_from + 1 or test_from + cuts.test_days > days:
        needed = (
            cuts.validation_days + cuts.delay_days + cuts.test_days + (cuts.train_days or 1) + (cuts.first_day or 0)
        )
        raise TrainingError(f"{days} days do not hold the cuts; give {needed} days at least, or shorter cuts.")
    return range(train_from, validation_from)


def split(data: Dataset, days: int, cuts: Cuts) -> Split:
    """Cut `days` days. From the test cut, cards whose fraud was already known on that day are left out.

    Raises TrainingError if a cut would be empty or without both classes.
    """
    of_train, test_from = train_days(days, cuts), cuts.test_from(days)
    validation_from = of_train.stop
    train = data[(data.day >= of_train.start) & (data.day < validation_from)]
    validation = data[(data.day >= validation_from) & (data.day < validation_from + cuts.validation_days)]
    test = data[(data.day >= test_from) & (data.day < test_from + cuts.test_days)]
    parts = Split(train, validation, test[~known_compromised(data, test, cuts.delay_days)])
    check_enough(parts, 1, 1)
    return parts


def check_enough(parts: Split, frauds_min: int = FRAUDS_MIN, others_min: int = OTHERS_MIN) -> None:
    """Raises TrainingError where a cut holds fewer of either class, with what it holds and what is needed."""
    for name, part in (("train", parts.train), ("validation", parts.validation), ("test", parts.test)):
        frauds = int(part.is_fraud.sum())
        for found, needed, words in (
            (frauds, frauds_min, "frauds"),
            (len(part) - frauds, others_min, "legitimate payments"),
        ):
            if found < needed:
                raise TrainingError(
                    f"The {name} cut has {found} {words}, and {needed} are needed: give a longer history or one of more cards, "
                    f"or a longer cut (--{name}-days). Cards whose fraud is known before are left out of the test."
                )


def known_compromised(data: Dataset, test: Dataset, delay_days: int, since_day: int | None = None) -> NDArray[np.bool_]:
    """bool[n of test]: the card had a fraud that was known on that day, that is more than `delay_days` days earlier.

    Frauds before `since_day` do not count; by default those more than two delays before they could be known. After the
    handbook's protocol: a card known to be stolen is blocked, so it gives no easy points.
    """
    frauds = data[data.is_fraud]
    known = np.zeros(len(test), dtype=np.bool_)
    for day in np.unique(test.day):
        since = day - 3 * delay_days if since_day is None else since_day
        stolen = frauds.card[(frauds.day < day - delay_days) & (frauds.day >= since)]
        rows = test.day == day
        known[rows] = np.isin(test.card[rows], stolen)
    return known
