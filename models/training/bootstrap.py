"""How sure a figure is: 95 % intervals by drawing the test cut's cards again and again.

Cards are drawn, not payments: a stolen card's payments are frauds together, and rank together, so payments are not
independent. Days are too few (seven) to draw. Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13
(percentile intervals).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.data import Dataset
from schemas.evaluation import Estimate

CARDS_PER_DAY = 100
"""How many cards investigators look at in a day, in the handbook's card precision."""

DRAWS = 200
LEVELS = (2.5, 97.5)

CARDS_MIN = 5
"""So many cards with a fraud, and without, make an interval; of fewer, draws repeat a handful of cards."""

DRAWS_USABLE_MIN = 0.9
"""Share of the draws that must hold both classes."""

WORDS = (
    f"95 % intervals: {DRAWS} draws of the test cut's cards with replacement (bootstrap percentiles); too few: fewer than "
    f"{CARDS_MIN} cards with a fraud, or without."
)

Weights = NDArray[np.float64]
Draws = dict[str, NDArray[np.float64]]
"""Figure by name: float64[1 + draws], the measured value first."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows from the highest score on. order: int64[n]. last: the last row of each group of equal scores."""

    order: NDArray[np.int64]
    last: NDArray[np.int64]
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, score: NDArray[np.float32], is_positive: NDArray[np.bool_]) -> "Ranking":
        """The ranking of n scores."""
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        return cls(order, np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)), is_positive[order])

    def roc_auc_and_average_precision(self, weights: Weights) -> tuple[float, float]:
        """As scikit-learn's, with weights of the rows, float64[n]."""
        weight = weights[self.order]
        right = np.cumsum(weight * self.positive)[self.last]
        reached = np.cumsum(weight)[self.last]
        wrong = reached - right
        steps = np.diff(right, prepend=0.0)
        precision = np.divide(right, reached, out=np.zeros_like(right), where=reached > 0)
        if right[-1] <= 0.0 or wrong[-1] <= 0.0:
            return math.nan, math.nan  # one class alone: neither figure exists
        area = np.sum(np.diff(wrong, prepend=0.0) * (right - steps / 2.0))
        return float(area / (right[-1] * wrong[-1])), float(np.sum(steps * precision) / right[-1])


class CardDays:
    """The cards of each day by their highest score, for card precision@k of the handbook (chapter 4.5)."""

    def __init__(self, data: Dataset, score: NDArray[np.float32]) -> None:
        self._cards, number = np.unique(data.card, return_inverse=True)
        self._days: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
        for day in np.unique(data.day):
            rows = np.flatnonzero(data.day == day)
            card, position = np.unique(number[rows], return_inverse=True)
            highest, fraud = np.full(len(card), -np.inf), np.zeros(len(card), np.bool_)
            np.maximum.at(highest, position, score[rows])
            np.logical_or.at(fraud, position, data.is_fraud[rows])
            order = np.argsort(-highest, kind="stable")
            self._days.append((card[order], fraud[order]))

    def precision(self, cards: int, weights: Weights | None = None) -> float:
        """Mean over the days. weights: how often each card counts, in the order of the cards' numbers.

        Each day the `cards` cards with the highest score are looked at; the share of them with a fraud on that day counts,
        and a card found so is left out on later days. The denominator is always `cards`.
        """
        left = np.ones(len(self._cards)) if weights is None else weights.copy()
        found = 0.0
        for card, fraud in self._days:
            weight = left[card]
            looked_at = np.clip(cards - (np.cumsum(weight) - weight), 0.0, weight)
            found += float(looked_at[fraud].sum())
            left[card[fraud & (looked_at > 0.0)]] = 0.0
        return found / (cards * len(self._days))


def bootstrap(
    data: Dataset, scores: Mapping[str, NDArray[np.float32]], seed: int, draws: int = DRAWS
) -> dict[str, Draws]:
    """ROC AUC, average precision and card precision@100 of each score, float32[n], on the same draws: so they pair.

    A draw without both classes is NaN, and so is every draw where too few cards have either.
    """
    cards, number = np.unique(data.card, return_inverse=True)
    random = np.random.default_rng(seed)
    rankings = {name: Ranking.of(score, data.is_fraud) for name, score in scores.items()}
    days = {name: CardDays(data, score) for name, score in scores.items()}
    figures = {name: np.empty((1 + draws, 3)) for name in scores}
    for draw in range(1 + draws):
        drawn = np.bincount(random.integers(0, len(cards), len(cards)), minlength=len(cards)).astype(np.float64)
        weights = drawn if draw else np.ones(len(cards))
        for name in scores:
            ranked = rankings[name].roc_auc_and_average_precision(weights[number])
            figures[name][draw] = *ranked, days[name].precision(CARDS_PER_DAY, weights)
    with_fraud = np.unique(number[data.is_fraud])
    if min(len(with_fraud), len(cards) - len(with_fraud)) < CARDS_MIN:
        for values in figures.values():
            values[1:] = np.nan
    names = ("roc_auc", "average_precision", "card_precision_at_100")
    return {name: dict(zip(names, values.T, strict=True)) for name, values in figures.items()}


def estimate(values: NDArray[np.float64], lowest: float = 0.0) -> Estimate:
    """The measured value, which comes first, with its interval from the others. lowest: of what the figure can be.

    With too few usable draws the interval is the figure's whole range, and is marked as such.
    """
    value, draws = float(values[0]), values[1:]
    usable = draws[np.isfinite(draws)]
    if not len(draws):
        return Estimate(value=value, low=value, high=value)
    if len(usable) < DRAWS_USABLE_MIN * len(draws):
        return Estimate(value=value, low=lowest, high=1.0, too_few=True)
    low, high = np.percentile(usable, LEVELS)
    return Estimate(value=value, low=float(low), high=float(high))


def estimates(draws: Draws) -> dict[str, Estimate]:
    """Each figure with its interval."""
    return {name: estimate(values) for name, values in draws.items()}


def differences(ours: Draws, theirs: Draws) -> dict[str, Estimate]:
    """Each figure's difference with its paired interval."""
    return {name: estimate(values - theirs[name], -1.0) for name, values in ours.items()}
