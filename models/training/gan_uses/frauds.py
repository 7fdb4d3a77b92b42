"""Two uses for drawn frauds: where few are known, and where a product starts with another product's."""

from dataclasses import replace

from models.training.bootstrap import Draws, bootstrap
from models.training.gan_uses.aids import (
    CLASSIFIERS,
    DRAWN,
    GAN,
    NOTHING,
    SMOTE,
    WEIGHTS,
    Rows,
    Trial,
    amounts,
)
from models.training.gan_uses.town import Town
from models.training.handbook.windows import WEEK_DAYS

COLD_KNOWN = 10
"""Own frauds that a product knows of each of its first weeks."""

OLD_MODEL, OLD_FRAUDS = "the other product's model", "the other product's frauds"


def model_name(classifier: str, aid: str, amount: str = "") -> str:
    """As figures and page have it."""
    return f"{classifier}: {aid}" + (f", {amount}" if amount else "")


def few(trial: Trial) -> dict[str, Draws]:
    """What is known of each week, and the whole test week: every aid in two amounts, for each classifier."""
    train = trial.window.train
    none = trial.frauds[:0]
    scores: dict[str, Rows] = {}
    for classifier, score in CLASSIFIERS.items():
        scores[model_name(classifier, NOTHING)] = score(trial, none, 1.0)
        for amount, count in amounts(len(trial.frauds), len(train) - len(trial.frauds)).items():
            weight = 1.0 + count / len(trial.frauds)
            scores[model_name(classifier, WEIGHTS, amount)] = score(trial, none, weight)
            for aid in DRAWN:
                scores[model_name(classifier, aid, amount)] = score(trial, trial.drawn[aid](count), 1.0)
    return bootstrap(trial.window.test, scores, seed=1)


def cold(old: Town, train_from: int, new: Town, steps: int) -> dict[str, Draws]:
    """A new product's first weeks, with few frauds of its own and what another product's frauds, all known, give it."""
    before = Trial(old.window(train_from, None), old.settings.seed, steps)
    trial = Trial(new.window(WEEK_DAYS, COLD_KNOWN), new.settings.seed, steps)
    moved = replace(before, window=replace(before.window, test=trial.window.test))
    count = len(before.frauds)
    none = before.frauds[:0]
    scores: dict[str, Rows] = {}
    for classifier, score in CLASSIFIERS.items():
        scores[model_name(classifier, NOTHING)] = score(trial, none, 1.0)
        scores[model_name(classifier, WEIGHTS)] = score(trial, none, 1.0 + count / len(trial.frauds))
        scores[model_name(classifier, OLD_MODEL)] = score(moved, none, 1.0)
        scores[model_name(classifier, OLD_FRAUDS)] = score(trial, before.frauds, 1.0)
        for aid in (SMOTE, GAN):
            scores[model_name(classifier, f"{aid} of them")] = score(trial, before.drawn[aid](count), 1.0)
    return bootstrap(trial.window.test, scores, seed=1)
