"""A simulated product that hears of some of its frauds alone: labels, terminals' rates, blocked cards are of the known ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.features.spec_file import load_spec
from models.installation import DEPLOY
from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from models.training.data import Dataset
from models.training.fraud.history import LabelledDay, fold_history
from models.training.handbook.windows import WEEK_DAYS, Window, window_from
from schemas.feature_spec import FeatureSpec

SPEC: FeatureSpec = load_spec(DEPLOY / "features" / "fraud.yaml")

Change = Callable[[LabelledDay], NDArray[np.float64]]
"""The amounts of a day, float64[n], as they are under stress."""


@dataclass(frozen=True, slots=True)
class Town:
    """All days of a simulation with the truth as labels. seed: of the draw of what is known, too."""

    settings: SimulationSettings
    days: tuple[LabelledDay, ...]

    def window(self, train_from: int, known: int | None, change: Change | None = None) -> Window:
        """The window whose training week begins on this day; its test week has the true labels.

        known: frauds that are known of each week, by chance, fewer among the more; None knows all. change: from the first day
        of the test week on.
        """
        data = window_from(self._folded(train_from, known, change), train_from)
        return replace(data, test=replace(data.test, is_fraud=data.test.scenario > 0))

    def _folded(self, train_from: int, known: int | None, change: Change | None) -> Dataset:
        settings, days = self.settings, self.days
        if known is not None:
            labels = _known(days, train_from, known, settings.seed)
            days = tuple(replace(day, is_fraud=of_day) for day, of_day in zip(days, labels, strict=True))
        if change is not None:
            test_from = train_from + 2 * WEEK_DAYS
            days = (*days[:test_from], *(_changed(day, change) for day in days[test_from:]))
        return fold_history(
            days, settings.start_day, len(days), SPEC, settings.customers, entities_max=settings.terminals
        )


def simulated_town(seed: int, customers: int, days: int, *, drift_day: int | None = None) -> Town:
    """So many days of a town with two terminals for each customer."""
    settings = SimulationSettings(
        seed=seed, customers=customers, terminals=2 * customers, days=days, drift_day=drift_day
    )
    return Town(
        settings,
        tuple(
            LabelledDay(settings.start_day + number, day.columns, day.is_fraud, day.scenario)
            for number, day in enumerate(generate(settings))
        ),
    )


def _known(days: tuple[LabelledDay, ...], train_from: int, known: int, seed: int) -> list[NDArray[np.bool_]]:
    """bool[n] for each day: `known` frauds of every week, counted from the training week."""
    week = np.concatenate([np.full(len(day.is_fraud), (n - train_from) // WEEK_DAYS) for n, day in enumerate(days)])
    truth = np.concatenate([day.is_fraud for day in days])
    chosen = np.zeros(len(truth), np.bool_)
    random = np.random.default_rng([seed, 7])
    for one in np.unique(week):
        chosen[random.permutation(np.flatnonzero(truth & (week == one)))[:known]] = True
    return np.split(chosen, np.cumsum([len(day.is_fraud) for day in days])[:-1])


def _changed(day: LabelledDay, change: Change) -> LabelledDay:
    return replace(day, columns=replace(day.columns, amount=change(day).round(2)))
