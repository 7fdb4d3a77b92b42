"""Each model on one week: fitted on the training week, stopped and calibrated on the labelled week before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks.classifier import Network
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.networks.fused import Calibration
from models.networks.logit import Logit
from models.networks.vae import Vae
from models.training.baselines import (
    BOOK_XGBOOST,
    ECOD,
    FOREST,
    ISOLATION_FOREST,
    LOGISTIC,
    XGBOOST,
    baselines,
    unsupervised_scores,
)
from models.training.devices import deterministic_torch
from models.training.fit_classifier import (
    ENSEMBLE,
    WIDE,
    ClassifierSettings,
    calibrate,
    fit_classifier,
    logits_of,
    preset,
)
from models.training.fit_trees import TreeSettings, fit_trees
from models.training.fit_vae import MIXED, RARITY, ROWS, VaeSettings, fit_vae
from models.training.fraud.feature_choice import choose_features
from models.training.handbook.windows import Window
from models.training.progress import silent
from schemas.evaluation import UNSUPERVISED

NETWORK, NETWORK_AVERAGED = "wide network", "wide network, averaged weights"
MEMBERS, MEMBERS_AVERAGED = "ensemble", "ensemble, averaged weights"
REFERENCE, LOGISTIC_8 = "reference network 8-10-1", "logistic regression, the same 8"
BLEND = "ensemble and trees"
AUTOENCODER, MIXED_AUTOENCODER = f"autoencoder{UNSUPERVISED}", f"autoencoder, mixed likelihoods{UNSUPERVISED}"
RARITY_AUTOENCODER = f"autoencoder, rarity{UNSUPERVISED}"
AUTOENCODERS = (AUTOENCODER, RARITY_AUTOENCODER, MIXED_AUTOENCODER)

Score = NDArray[np.float32]


@dataclass(frozen=True)
class Week:
    """One window and the seed of the fits on it."""

    part: Window
    seed: int

    @cached_property
    def inputs(self) -> ClassifierInputs:
        """All features, encoded and standardised."""
        train = self.part.train
        return ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features))

    @cached_property
    def chosen(self) -> tuple[int, ...]:
        """The reference network's features."""
        return choose_features(self.part.train, self.part.week_before, 8, self.seed)

    @cached_property
    def ensemble(self) -> Network:
        """Fitted once, for itself and the blend."""
        return self.network(self.inputs, ENSEMBLE)

    @cached_property
    def autoencoder(self) -> Vae:
        """The reference, with the scale of rarity."""
        return self._fitted(RARITY)

    @cached_property
    def mixed(self) -> Vae:
        """The autoencoder with mixed likelihoods."""
        return self._fitted(MIXED)

    def _fitted(self, settings: VaeSettings) -> Vae:
        train, held_out = self.part.train.legitimate, self.part.week_before.legitimate
        device = deterministic_torch(self.seed)
        return fit_vae(fit_encoding(train), train, held_out, settings, device, silent)

    def network(self, inputs: ClassifierInputs, settings: ClassifierSettings) -> Network:
        """A fit from its seed alone, whatever was fitted before it."""
        device = deterministic_torch(self.seed)
        return fit_classifier(inputs, self.part.train, self.part.week_before, settings, device, silent)

    def baseline(self, name: str, columns: tuple[int, ...] = ()) -> Score:
        """Probabilities, float32[n] of the test week. columns: all where there are none."""
        model: object = baselines(self.seed)[name]
        of_train, of_test = (
            part.features[:, list(columns)] if columns else part.features for part in (self.part.train, self.part.test)
        )
        model.fit(of_train, self.part.train.is_fraud)  # type: ignore[attr-defined]
        score: Score = model.predict_proba(of_test)[:, 1].astype(np.float32)  # type: ignore[attr-defined]
        return score


def _ours(week: Week, settings: ClassifierSettings) -> Score:
    network = week.ensemble if settings == ENSEMBLE else week.network(week.inputs, settings)
    return logits_of(Logit(week.inputs, network).eval(), week.part.test.features)


def _reference(week: Week) -> Score:
    train = week.part.train
    inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features), week.chosen)
    return logits_of(Logit(inputs, week.network(inputs, preset("reference"))), week.part.test.features)


def _blend(week: Week) -> Score:
    """The mean of the calibrated logits."""
    trees = fit_trees(week.part.train, TreeSettings(), week.seed, silent)
    total = np.zeros(len(week.part.test), np.float64)
    for logit in (Logit(week.inputs, week.ensemble).eval(), Logit(week.inputs, None, trees).eval()):
        line = calibrate(logit, week.part.week_before)
        assert isinstance(line, Calibration), "Platt's"
        total += line.slope * logits_of(logit, week.part.test.features) + line.intercept
    return total.astype(np.float32)


def _autoencoder(week: Week, settings: VaeSettings) -> Score:
    """The plain score and rarity are of one fit."""
    vae = week.mixed if settings.likelihood == "mixed" else week.autoencoder
    scores = []
    with torch.no_grad():
        for rows in week.inputs.encode(torch.from_numpy(week.part.test.features)).split(ROWS):
            error, judged = vae.errors(rows)
            scores.append(error if settings.score == "rarity" else judged.mean(dim=1))
    found: Score = torch.cat(scores).numpy()
    return found


def _unsupervised(week: Week, name: str) -> Score:
    return unsupervised_scores(week.part.train.legitimate, week.part.test.features, week.seed)[name]


CONTESTANTS: Mapping[str, Callable[[Week], Score]] = {
    **{name: partial(Week.baseline, name=name) for name in (LOGISTIC, FOREST, XGBOOST, BOOK_XGBOOST)},
    NETWORK: partial(_ours, settings=WIDE),
    NETWORK_AVERAGED: partial(_ours, settings=replace(WIDE, averaged=True)),
    MEMBERS: partial(_ours, settings=ENSEMBLE),
    MEMBERS_AVERAGED: partial(_ours, settings=replace(ENSEMBLE, averaged=True)),
    BLEND: _blend,
    REFERENCE: _reference,
    LOGISTIC_8: lambda week: week.baseline(LOGISTIC, week.chosen),
    AUTOENCODER: partial(_autoencoder, settings=VaeSettings()),
    RARITY_AUTOENCODER: partial(_autoencoder, settings=RARITY),
    MIXED_AUTOENCODER: partial(_autoencoder, settings=MIXED),
    ISOLATION_FOREST: partial(_unsupervised, name=ISOLATION_FOREST),
    ECOD: partial(_unsupervised, name=ECOD),
}
"""How each model scores the test week."""
