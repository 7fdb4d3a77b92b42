"""What was measured on the weeks: means with intervals, and the worst of all fits of our networks."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from models.training.bootstrap import LEVELS, Draws
from schemas.base import Message
from schemas.evaluation import Estimate

DRAWS = 2000


class WeekRow(Message):
    """One fit of one model on one week."""

    seed: int = Field(description="Of the simulated payments.")
    first_day: int = Field(description="First day of the training week, from 0.")
    fit: int = Field(description="Seed of the fit.")
    model: str = Field(description="Which model.")
    figures: dict[str, float] = Field(description="Its figures by name.")


class Mean(Message):
    """One model over all weeks, by the first fit on each."""

    model: str = Field(description="Which model.")
    figures: dict[str, Estimate] = Field(description="Means over the weeks.")
    less_rival: dict[str, Estimate] = Field({}, description="The same less the rival's, paired.")


class WeekFigures(Message):
    """Everything that the page says of the weeks."""

    libraries: dict[str, str] = Field(description="Versions of the libraries.")
    customers: int = Field(description="Simulated customers.")
    rival: str = Field(description="The supervised model that the others are held against.")
    unsupervised_rival: str = Field(description="The same for what knows no label.")
    means: tuple[Mean, ...] = Field(description="Every model.")
    rows: tuple[WeekRow, ...] = Field(description="Every fit.")


def means(weeks: Sequence[Mapping[str, Draws]], rival_of: Mapping[str, str], seed: int = 1) -> tuple[Mean, ...]:
    """Means over the weeks with 95 % intervals: weeks are drawn with replacement, and in each one draw of its cards.

    weeks: of each, every model's draws, paired. rival_of: whom each model is held against.
    """
    random = np.random.default_rng(seed)
    size = len(next(iter(weeks[0][next(iter(rival_of))].values())))
    week = random.integers(0, len(weeks), (DRAWS, len(weeks)))
    draw = random.integers(1, size, (DRAWS, len(weeks)))

    def estimate(values: np.ndarray) -> Estimate:
        low, high = np.percentile(values[week, draw].mean(axis=1), LEVELS)
        return Estimate(value=float(values[:, 0].mean()), low=float(low), high=float(high))

    def of(model: str, name: str) -> np.ndarray:
        return np.array([drawn[model][name] for drawn in weeks])

    names = tuple(weeks[0][next(iter(rival_of))])
    return tuple(
        Mean(
            model=model,
            figures={name: estimate(of(model, name)) for name in names},
            less_rival={name: estimate(of(model, name) - of(rival, name)) for name in names} if rival != model else {},
        )
        for model, rival in rival_of.items()
    )
