"""What a model would find under stress, told before it comes: known frauds, SMOTE's or a GAN's, changed as the stress has it.

What it does find is measured on the same town simulated with the stress from the first day of the test week on.
"""

import numpy as np
from numpy.typing import NDArray

from models.simulation.stream import DRIFT_FACTOR
from models.training.bootstrap import DRAWS, Draws
from models.training.fit_classifier import logits_of
from models.training.fraud.history import LabelledDay
from models.training.gan_uses.aids import GAN, SMOTE, Rows, Trial
from models.training.gan_uses.town import SPEC, Change, Town
from models.training.generator.synthesis import Mean, derived_columns

KNOWN = 100
"""Frauds of each week."""

ROWS = 2_000
"""Drawn by SMOTE and the GAN."""

ALERT_SHARE = 0.005
ATTACK_FACTOR = 0.5

NO_STRESS, LEARNT, HELD_OUT = "held-out frauds, unchanged", "the frauds learnt from", "held-out frauds"
ERROR, PREDICTED, FOUND = "absolute_error", "predicted_recall", "actual_recall"


def drift(day: LabelledDay) -> NDArray[np.float64]:
    """Everyone spends more."""
    return day.columns.amount * DRIFT_FACTOR


def attack(day: LabelledDay) -> NDArray[np.float64]:
    """Thieves take less at a time, not to be seen."""
    return np.where(day.scenario > 0, day.columns.amount * ATTACK_FACTOR, day.columns.amount)


STRESSES: dict[str, tuple[Change, float]] = {
    "drift: everyone spends half as much again": (drift, DRIFT_FACTOR),
    "attack: frauds of half the amount": (attack, ATTACK_FACTOR),
}


def stress(town: Town, train_from: int, trial: Trial) -> dict[str, dict[str, Draws]]:
    """For each stress, the recall at a share of alerts that each source predicts, and how far it is from the actual one.

    trial: of the town's window, with KNOWN frauds of each week.
    """
    model, before = trial.fitted(trial.frauds[:0]), trial.window.week_before
    threshold = np.quantile(logits_of(model, before.features), 1.0 - ALERT_SHARE)
    drawn, held_out = trial.drawn, before.features[before.is_fraud]
    rows = {LEARNT: trial.frauds, HELD_OUT: held_out, SMOTE: drawn[SMOTE](ROWS), GAN: drawn[GAN](ROWS)}

    def recall(features: Rows) -> float:
        return float((logits_of(model, features) >= threshold).mean())

    found: dict[str, dict[str, Draws]] = {}
    for name, (change, factor) in STRESSES.items():
        test = town.window(train_from, KNOWN, change).test
        frauds = test[test.is_fraud]
        actual = _by_card(logits_of(model, frauds.features) >= threshold, frauds.card, trial.seed)
        predicted = {NO_STRESS: recall(held_out)} | {
            source: recall(scaled(of_source, factor)) for source, of_source in rows.items()
        }
        found[name] = {
            source: {ERROR: np.abs(value - actual), PREDICTED: np.full_like(actual, value), FOUND: actual}
            for source, value in predicted.items()
        }
    return found


def scaled(rows: Rows, factor: float) -> Rows:
    """Rows whose amount is so many times as large, with the means and ratios that follow; earlier payments as they were."""
    changed = rows.copy()
    for mean in (derived for derived in derived_columns(SPEC) if isinstance(derived, Mean)):
        amount = rows[:, mean.amount]
        count = np.maximum(rows[:, mean.count], 1.0) if mean.count is not None else 1.0
        new_mean = rows[:, mean.column] + (factor - 1.0) * amount / count
        changed[:, mean.column] = new_mean
        changed[:, mean.ratio] = np.divide(factor * amount, new_mean, out=np.zeros_like(amount), where=new_mean > 0.0)
        changed[:, mean.amount] = factor * amount
    return changed


def _by_card(found: NDArray[np.bool_], card: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Recall as measured, then by drawing the cards, float64[1 + DRAWS]."""
    cards, number = np.unique(card, return_inverse=True)
    drawn = np.random.default_rng([seed, 6]).integers(0, len(cards), (DRAWS, len(cards)))
    weights = np.stack([np.ones(len(cards)), *(np.bincount(one, minlength=len(cards)) for one in drawn)])[:, number]
    return np.asarray((weights * found).sum(axis=1) / weights.sum(axis=1))
