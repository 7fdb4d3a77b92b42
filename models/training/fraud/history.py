"""Where training data come from: days of labelled payments, simulated or read, folded by the scorer's own fold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.features.columns import TransactionColumns
from models.features.entities import EntityFolds
from models.features.fold import fold
from models.features.layout import id_fields, number_fields
from models.features.state import FeatureState
from models.features.terminals import TerminalFold
from models.simulation.rings import ATTRIBUTES
from models.simulation.settings import SimulationSettings
from models.simulation.stream import generate
from models.training.data import Dataset, TrainingError, joined
from models.training.progress import Progress, silent
from models.training.store import stored
from schemas.feature_spec import FeatureSpec

SIMULATED = "Simulated payments: the project's own generator, after the Fraud Detection Handbook's description."


@dataclass(frozen=True, slots=True)
class LabelledDay:
    """The n payments of one UTC day, in order of time. day: since 1970. is_fraud: bool[n]. scenario: int8[n], 0 unknown."""

    day: int
    columns: TransactionColumns
    is_fraud: NDArray[np.bool_]
    scenario: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class History:
    """Labelled payments with their features. first_day: since 1970, day 0 of `data`. days: how many. source: in words.

    spec: the feature spec with the values that the train cut gave its categories, where some were open.
    """

    data: Dataset
    first_day: int
    days: int
    source: str
    spec: FeatureSpec | None = None


def simulated(
    settings: SimulationSettings, spec: FeatureSpec, progress: Progress = silent, directory: Path | None = None
) -> History:
    """Every transaction of the simulation with its features. Raises TrainingError for none, or where a field is lacking.

    directory: the columns lie in files of it, one day in memory at a time.
    """
    if found := spec.open_categories:
        raise TrainingError(
            f"The simulation has no attributes to learn the values of {', '.join(found)} from: give payments with --data."
        )
    given = {"card_id", "terminal_id", *(ATTRIBUTES if settings.rings else ())}
    if lacking := sorted((id_fields(spec) | number_fields(spec)) - given):
        raise TrainingError(
            f"The features read {', '.join(lacking)}, which simulated payments do not have: give payments of yours with --data"
            + ("." if settings.rings else f", or --rings for {' and '.join(ATTRIBUTES)}.")
        )
    days = (
        LabelledDay(settings.start_day + number, day.columns, day.is_fraud, day.scenario)
        for number, day in enumerate(generate(settings))
    )
    # no day brings more new ids of an entity than it has customers
    entities_max = settings.terminals + settings.customers * (1 + (settings.days or 0))
    data = fold_history(
        days,
        settings.start_day,
        settings.days or 0,
        spec,
        settings.customers,
        progress,
        entities_max=entities_max,
        directory=directory,
    )
    return History(data, settings.start_day, settings.days or 0, SIMULATED)


def fold_history(
    history: Iterable[LabelledDay],
    first_day: int,
    days: int,
    spec: FeatureSpec,
    cards_max: int,
    progress: Progress = silent,
    *,
    entities_max: int | None = None,
    directory: Path | None = None,
) -> Dataset:
    """Days in order of time with their features. The history starts empty, as a new scorer's does.

    cards_max: ids remembered of each key; entities_max: of each entity, terminals included, by default as many. directory: the
    columns lie in files of it, one day in memory at a time. Raises TrainingError where there is no day.
    """
    parts = _folded(history, first_day, days, spec, cards_max, entities_max or cards_max, progress)
    if directory is not None:
        return stored(parts, directory)
    held = list(parts)
    if not held:
        raise TrainingError("There are no days to train on; give a history or a simulation that holds some.")
    return joined(held)


def _folded(
    history: Iterable[LabelledDay],
    first_day: int,
    days: int,
    spec: FeatureSpec,
    cards_max: int,
    entities_max: int,
    progress: Progress,
) -> Iterator[Dataset]:
    """Each day's payments with their features."""
    state = FeatureState(spec, cards_max=max(1, cards_max))
    entities = EntityFolds(spec, max(1, entities_max)) if spec.stages else None
    terminals = TerminalFold(spec, max(1, entities_max)) if spec.profiled else None
    numbers: dict[str, int] = {}
    progress("features", 0, days)
    for day in history:
        known = None if entities is None else entities.values(day.columns, day.is_fraud)
        features, _ = fold(state, replace(day.columns, entities=known))
        state.closed_days()  # the stream reports them; here they are not needed
        if terminals is not None:
            terminals.fill(day.columns, day.is_fraud, features)
        cards = day.columns.ids["card_id"]
        card = np.array([numbers.setdefault(card_id, len(numbers)) for card_id in cards], dtype=np.int64)
        ordinal = np.full(len(card), day.day - first_day)
        amount = np.asarray(day.columns.amount, np.float64)
        yield Dataset(features, card, ordinal, day.is_fraud, day.scenario, amount)
        progress("features", day.day - first_day + 1, days)
