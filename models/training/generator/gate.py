"""The gate: synthetic frauds go into the training of a bundle only where they are shown to help.

The classifier is fitted with and without them, seed by seed, on days whose labels would have been known, and judged on the
validation days that follow a label delay later. They ship only if average precision and card precision@100 both rise, each
with a 95 % bootstrap interval above 0. Whatever comes out is recorded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.bootstrap import bootstrap
from models.training.data import Dataset, joined, known_compromised


@dataclass(frozen=True, slots=True)
class Trial:
    """A fit on the gate's rows with these synthetic frauds, float32[n, F], or without any; decided by its seed."""

    seed: int
    frauds: NDArray[np.float32] | None = None

    def train(self, data: Dataset) -> Dataset:
        """The rows to fit on."""
        return data if self.frauds is None else with_frauds(data, self.frauds)


Fits = Callable[[Sequence[Trial]], Sequence[NDArray[np.float32]]]
"""The scores of each trial on the rows that judge it, float32[n], the higher the more fraudulent."""

Draw = Callable[[int, int], NDArray[np.float32]]
"""(count, seed) to that many synthetic frauds, float32[count, F]."""

FIGURES = {"gan_ap_delta": "average_precision", "gan_cp100_delta": "card_precision_at_100"}
"""What must rise: its name in the manifest, and in `bootstrap`."""

LEVELS = (2.5, 97.5)

FRAUDS_MIN = 20
"""In each cut of the gate."""

NO_CARD = -1
"""The card of a synthetic row: it belongs to no card."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """seeds: pairs of fits. stop_share: of the labelled days, to stop the fits early. share: synthetic frauds per real one."""

    seeds: int = 3
    draws: int = 500
    stop_share: float = 0.2
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class GateCuts:
    """fit, then stop: the days labelled in time. Then a label delay. judge: the validation cut, without known stolen cards."""

    fit: Dataset
    stop: Dataset
    judge: Dataset


def gate_cuts(train: Dataset, validation: Dataset, delay_days: int, stop_share: float) -> GateCuts | None:
    """Cut by time. None where a cut would have too few frauds for any judgement."""
    labelled_until = int(validation.day.min()) - delay_days
    labelled_days = labelled_until - int(train.day.min())
    stop_from = labelled_until - max(1, round(stop_share * labelled_days))
    cuts = GateCuts(
        fit=train[train.day < stop_from],
        stop=train[(train.day >= stop_from) & (train.day < labelled_until)],
        judge=validation[~known_compromised(joined((train, validation)), validation, delay_days)],
    )
    enough = all(cut.is_fraud.sum() >= FRAUDS_MIN and len(cut.legitimate) for cut in (cuts.fit, cuts.stop, cuts.judge))
    return cuts if enough else None


def with_frauds(data: Dataset, frauds: NDArray[np.float32]) -> Dataset:
    """`data` and then `frauds`, float32[n, F], of no one's card and on the last day."""
    count = len(frauds)
    added = Dataset(
        frauds,
        np.full(count, NO_CARD, data.card.dtype),
        np.full(count, data.day.max(), data.day.dtype),
        np.ones(count, np.bool_),
        np.zeros(count, data.scenario.dtype),
    )
    return joined((data, added))


def judge(cuts: GateCuts, fits: Fits, draw: Draw, settings: GateSettings, seed: int) -> dict[str, float]:
    """The verdict, as the manifest records it: see `verdict`."""
    count = round(settings.share * int(cuts.fit.is_fraud.sum()))
    trials: dict[str, Trial] = {}
    for number in range(settings.seeds):
        trials[f"without {number}"] = Trial(seed + number)
        trials[f"with {number}"] = Trial(seed + number, draw(count, seed + number))
    scores = dict(zip(trials, fits(tuple(trials.values())), strict=True))
    return verdict(cuts.judge, scores, settings, seed)


def verdict(
    cut: Dataset, scores: dict[str, NDArray[np.float32]], settings: GateSettings, seed: int
) -> dict[str, float]:
    """gan_shipped, 0 or 1, and for each figure of FIGURES the mean rise over the seeds with its interval (_low, _high).

    scores: of the rows of `cut`, `with i` and `without i` for each seed. A draw takes cards again, the same for both of a pair,
    and seeds again: a fit's own luck widens the interval as it should.
    """
    figures = bootstrap(cut, scores, seed, settings.draws)
    seeds = np.random.default_rng([seed, 2]).integers(settings.seeds, size=(settings.draws, settings.seeds))
    found: dict[str, float] = {}
    lows = []
    for name, figure in FIGURES.items():
        rises = np.stack(
            [figures[f"with {n}"][figure] - figures[f"without {n}"][figure] for n in range(settings.seeds)], axis=1
        )
        low, high = np.percentile(np.take_along_axis(rises[1:], seeds, axis=1).mean(axis=1), LEVELS)
        found |= {name: float(rises[0].mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
        lows.append(low)
    return {"gan_shipped": float(min(lows) > 0.0), **found}
