"""The gate: synthetic frauds go into the training of a bundle only where they are shown to help.

The classifier is fitted with and without them, seed by seed, on days whose labels would have been known, and judged on the
validation days that follow a label delay later. They ship only if average precision and card precision@100 both rise, each
with a 95 % bootstrap interval above 0. Whatever comes out is recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.card_bootstrap import Ranking, card_weights, rank
from models.training.data import Dataset, TrainingError, known_compromised
from models.training.evaluation import CARDS_PER_DAY
from models.training.synthetic_rows import with_frauds

Fit = Callable[[Dataset, Dataset, int], Callable[[NDArray[np.float32]], NDArray[np.float32]]]
"""(training rows, rows to stop early on, seed) to a scorer of float32[n, F]."""

Draw = Callable[[int, int], NDArray[np.float32]]
"""(count, seed) to that many synthetic frauds, float32[count, F]."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """seeds: pairs of fits. stop_days: held out of the fits to stop them early. share: synthetic frauds for each real one."""

    seeds: int = 3
    resamples: int = 500
    stop_days: int = 5
    share: float = 1.0
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class GateCuts:
    """fit, then stop: the days labelled in time. Then a label delay. judge: the validation cut, without known stolen cards."""

    fit: Dataset
    stop: Dataset
    judge: Dataset


@dataclass(frozen=True, slots=True)
class Delta:
    """With synthetic frauds less without: the mean over the seeds, and its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found."""

    average_precision: Delta
    card_precision: Delta

    @property
    def shipped(self) -> bool:
        """Both intervals lie above 0."""
        return self.average_precision.low > 0.0 and self.card_precision.low > 0.0

    def figures(self) -> dict[str, float]:
        """As the manifest records it."""
        found = {"gan_shipped": float(self.shipped)}
        for name, delta in (("gan_ap_delta", self.average_precision), ("gan_cp100_delta", self.card_precision)):
            found |= {name: delta.mean, f"{name}_low": delta.low, f"{name}_high": delta.high}
        return found


def gate_cuts(train: Dataset, validation: Dataset, delay_days: int, stop_days: int) -> GateCuts:
    """Cut by time. Raises TrainingError where a cut lacks frauds or anything else."""
    labelled_until = int(validation.day.min()) - delay_days
    stop_from = labelled_until - stop_days
    stolen = known_compromised(train, validation, delay_days)
    cuts = GateCuts(
        fit=train[train.day < stop_from],
        stop=train[(train.day >= stop_from) & (train.day < labelled_until)],
        judge=validation[~stolen],
    )
    for name, cut in (("fit", cuts.fit), ("stop", cuts.stop), ("judge", cuts.judge)):
        if len(np.unique(cut.is_fraud)) < 2:
            raise TrainingError(f"The gate's {name} cut has no fraud or nothing else: give more days, or --no-gan.")
    return cuts


def judge(cuts: GateCuts, fit: Fit, draw: Draw, settings: GateSettings, seed: int) -> Verdict:
    """Fit in pairs, score `cuts.judge` and compare."""
    count = round(settings.share * int(cuts.fit.is_fraud.sum()))
    _, card = np.unique(cuts.judge.card, return_inverse=True)
    pairs = []
    for number in range(seed, seed + settings.seeds):
        without = fit(cuts.fit, cuts.stop, number)(cuts.judge.features)
        augmented = with_frauds(cuts.fit, draw(count, number))
        with_them = fit(augmented, cuts.stop, number)(cuts.judge.features)
        pairs.append((rank(cuts.judge, card, with_them), rank(cuts.judge, card, without)))
    return compare(pairs, int(card.max()) + 1, settings, np.random.default_rng([seed, 2]))


def compare(
    pairs: list[tuple[Ranking, Ranking]], cards: int, settings: GateSettings, random: np.random.Generator
) -> Verdict:
    """pairs: (with, without) for each seed. Each resample draws cards and seeds anew, so the fits' own luck counts too."""
    once = np.ones(cards)
    observed = np.mean([_deltas(pair, once) for pair in pairs], axis=0)
    resampled = np.empty((settings.resamples, 2))
    for row in resampled:
        weights = card_weights(cards, random)
        of_pair = np.array([_deltas(pair, weights) for pair in pairs])
        row[:] = of_pair[random.integers(len(pairs), size=len(pairs))].mean(axis=0)
    tail = (1.0 - settings.confidence) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail], axis=0)
    return Verdict(*(Delta(float(observed[i]), float(low[i]), float(high[i])) for i in range(2)))


def _deltas(pair: tuple[Ranking, Ranking], weights: NDArray[np.float64]) -> tuple[float, float]:
    with_them, without = pair
    return (
        with_them.average_precision(weights) - without.average_precision(weights),
        with_them.card_precision(weights, CARDS_PER_DAY) - without.card_precision(weights, CARDS_PER_DAY),
    )
