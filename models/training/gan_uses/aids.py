"""What is done where frauds are few: nothing, a weight in the loss, copies, SMOTE, a GAN; and for which classifiers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.networks.logit import Logit
from models.training.baselines import LOGISTIC, baselines
from models.training.devices import deterministic_torch
from models.training.fit_classifier import WIDE, fit_classifier, logits_of
from models.training.gan_uses.town import SPEC
from models.training.generator.fit_gan import GanSettings
from models.training.generator.gate import with_frauds
from models.training.generator.synthesis import fit_synthesis
from models.training.handbook.windows import Window
from models.training.progress import silent

Rows = NDArray[np.float32]
Draw = Callable[[int], Rows]
"""So many new rows, float32[count, F]."""

NOTHING, WEIGHTS, COPIES, SMOTE, GAN = "nothing", "class weights", "copies", "SMOTE", "GAN"
DRAWN = (COPIES, SMOTE, GAN)

NEIGHBOURS = 5
"""SMOTE's, as its authors have it."""

TENTH = 0.1


@dataclass(frozen=True)
class Trial:
    """A window, the seed of the fits on it, and the steps of its generator's."""

    window: Window
    seed: int
    steps: int

    @cached_property
    def drawn(self) -> dict[str, Draw]:
        """How each aid draws rows like the known frauds."""
        return sources(self.frauds, self.seed, self.steps)

    @property
    def frauds(self) -> Rows:
        """The known ones of the training week."""
        train = self.window.train
        return train.features[train.is_fraud]

    def network(self, added: Rows, weight: float = 1.0) -> Rows:
        """Logits of the test week, float32[n], by the default classifier, with `added` among the frauds."""
        return logits_of(self.fitted(added, weight), self.window.test.features)

    def fitted(self, added: Rows, weight: float = 1.0) -> Logit:
        """The default classifier; its inputs are scaled on real rows alone."""
        train, device = self.window.train, deterministic_torch(self.seed)
        inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features))
        settings = replace(WIDE, positive_weight=weight)
        network = fit_classifier(inputs, with_frauds(train, added), self.window.week_before, settings, device, silent)
        return Logit(inputs, network).eval()

    def logistic(self, added: Rows, weight: float = 1.0) -> Rows:
        """Probabilities of the test week, float32[n]."""
        train = with_frauds(self.window.train, added)
        model: object = baselines(self.seed)[LOGISTIC]
        weights = np.where(train.is_fraud, weight, 1.0)
        model.fit(train.features, train.is_fraud, logisticregression__sample_weight=weights)  # type: ignore[attr-defined]
        score: Rows = model.predict_proba(self.window.test.features)[:, 1].astype(np.float32)  # type: ignore[attr-defined]
        return score


CLASSIFIERS: Mapping[str, Callable[[Trial, Rows, float], Rows]] = {
    "our classifier": Trial.network,
    LOGISTIC: Trial.logistic,
}


def sources(rows: Rows, seed: int, steps: int) -> dict[str, Draw]:
    """How each aid draws rows like float32[n, F]."""
    return {
        COPIES: lambda count: rows[np.random.default_rng([seed, 1]).integers(0, len(rows), count)],
        SMOTE: lambda count: smote(rows, count, seed),
        GAN: gan(rows, seed, steps),
    }


def gan(rows: Rows, seed: int, steps: int) -> Draw:
    """The generator of the training's gate, fitted on float32[n, F]."""
    device = deterministic_torch(seed)
    source = fit_synthesis(rows, SPEC, GanSettings(steps=steps), seed, device, silent)
    return lambda count: source.draw(count, seed)


def smote(rows: Rows, count: int, seed: int) -> Rows:
    """float32[count, F] between rows of float32[n, F] and one of their nearest, each column in standard deviations.

    Chawla, Bowyer, Hall, Kegelmeyer, "SMOTE: Synthetic Minority Over-sampling Technique", 2002.
    """
    random = np.random.default_rng([seed, 2])
    deviation = rows.std(axis=0, dtype=np.float64)
    scaled = rows / np.where(deviation > 0.0, deviation, 1.0)
    neighbours = min(NEIGHBOURS, len(rows) - 1)
    _, nearest = NearestNeighbors(n_neighbors=neighbours + 1).fit(scaled).kneighbors(scaled)
    first = random.integers(0, len(rows), count)
    other = nearest[first, random.integers(1, neighbours + 1, count)]
    return np.asarray(rows[first] + random.random((count, 1)) * (rows[other] - rows[first]), np.float32)


def amounts(frauds: int, others: int) -> dict[str, int]:
    """How many rows are added: as many as there are, and so many that frauds are a tenth of the others."""
    return {"as many again": frauds, "to a tenth of the others": max(frauds, round(TENTH * others) - frauds)}
