"""Simulated history, folded into features by the scorer's own fold, and cut by time.

Order of the cuts, as at a release: train, validation, a delay whose labels are not known yet, test.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features.fold import fold
from models.features.history_profiles import HistoryProfiles
from models.features.state import FeatureState
from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from schemas.feature_spec import FeatureSpec


class TrainingError(ValueError):
    """Settings or data that no model can be trained with: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """n transactions in order of time.

    features: float32[n, F]. card: int64[n], numbered. day: int64[n], from 0. is_fraud: bool[n]. scenario: int8[n].
    """

    features: NDArray[np.float32]
    card: NDArray[np.int64]
    day: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    scenario: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.card)

    def __getitem__(self, rows: NDArray[np.bool_]) -> "Dataset":
        return Dataset(self.features[rows], self.card[rows], self.day[rows], self.is_fraud[rows], self.scenario[rows])

    @property
    def legitimate(self) -> NDArray[np.float32]:
        """Features of the rows that are no fraud."""
        return self.features[~self.is_fraud]

    def digest(self) -> str:
        """SHA-256 (hex) of all columns."""
        digest = hashlib.sha256()
        for column in (self.features, self.card, self.day, self.is_fraud, self.scenario):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Cuts:
    """Lengths in days, one cut after the other; the train cut takes what is left at the beginning."""

    validation_days: int = 10
    delay_days: int = 7
    test_days: int = 7


@dataclass(frozen=True, slots=True)
class Split:
    """The data of the three cuts that are used."""

    train: Dataset
    validation: Dataset
    test: Dataset


def simulate(settings: SimulationSettings, spec: FeatureSpec) -> Dataset:
    """Every transaction of the simulation with its features. The history starts empty, as a new scorer's does."""
    state, profiles = FeatureState(spec, cards_max=settings.customers), HistoryProfiles(spec.label_delay_days)
    numbers: dict[str, int] = {}
    days = []
    for day, batch in enumerate(generate(settings)):
        features, _ = fold(state, batch.columns, profiles.on(settings.start_day + day))
        profiles.add(settings.start_day + day, batch.terminal_id, batch.is_fraud)
        card = np.array([numbers.setdefault(card_id, len(numbers)) for card_id in batch.card_id], dtype=np.int64)
        days.append(Dataset(features, card, np.full(len(batch), day), batch.is_fraud, batch.scenario))
    if not days:
        raise TrainingError("days is 0; a simulation to train on needs some.")
    columns = ("features", "card", "day", "is_fraud", "scenario")
    return Dataset(*(np.concatenate([getattr(day, column) for day in days]) for column in columns))


def split(data: Dataset, days: int, cuts: Cuts) -> Split:
    """Cut `days` days. From the test cut, cards whose fraud was already known on that day are left out (see `known`).

    Raises TrainingError if a cut would be empty or without both classes.
    """
    test_from = days - cuts.test_days
    validation_from = test_from - cuts.delay_days - cuts.validation_days
    if validation_from < 1:
        needed = cuts.validation_days + cuts.delay_days + cuts.test_days + 1
        raise TrainingError(f"{days} days do not hold the cuts; give {needed} days at least.")
    train = data[data.day < validation_from]
    validation = data[(data.day >= validation_from) & (data.day < validation_from + cuts.validation_days)]
    test = data[data.day >= test_from]
    parts = Split(train, validation, test[~_known_compromised(data, test, cuts.delay_days)])
    for name, part in (("train", parts.train), ("validation", parts.validation), ("test", parts.test)):
        if len(np.unique(part.is_fraud)) < 2:
            raise TrainingError(f"The {name} cut has no fraud or nothing else; give more days or customers.")
    return parts


def _known_compromised(data: Dataset, test: Dataset, delay_days: int) -> NDArray[np.bool_]:
    """bool[n of test]: the card had a fraud `delay_days` days earlier or before, but no more than two delays earlier.

    After the handbook's protocol: a card known to be stolen is blocked, so it gives no easy points.
    """
    frauds = data[data.is_fraud]
    known = np.zeros(len(test), dtype=np.bool_)
    for day in np.unique(test.day):
        stolen = frauds.card[(frauds.day < day - delay_days) & (frauds.day >= day - 3 * delay_days)]
        rows = test.day == day
        known[rows] = np.isin(test.card[rows], stolen)
    return known
