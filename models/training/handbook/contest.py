"""Each model on one window: the baselines, our classifiers, and what finds frauds without a label."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

from models.networks.encoding import ClassifierInputs, PiecewiseLinear, fit_encoding, fit_standardisation
from models.training.baselines import baselines
from models.training.data import Dataset
from models.training.devices import deterministic_torch
from models.training.fit_classifier import ClassifierSettings, fit_classifier, preset
from models.training.fit_vae import VaeSettings, fit_vae, reconstruction_errors
from models.training.fraud.feature_choice import choose_features
from models.training.handbook.windows import Window
from models.training.progress import silent

SEED = 0
DEFAULT_NET, REFERENCE_NET = "our classifier, default", "our classifier, reference 8-10-1"
VAE, ISOLATION_FOREST = "our autoencoder, unsupervised", "isolation forest, unsupervised"

Score = NDArray[np.float32]


def contestants(part: Window) -> Iterator[tuple[str, Callable[[], Score]]]:
    """Name, and how to score the test week, of each model. Each is fitted on the training week alone.

    Our networks also stop, and choose features, on the labelled week before it; the handbook's stop on the week they are
    scored on.
    """
    for name in baselines(SEED):
        yield name, partial(_baseline, name, part.train, part.test)
    yield DEFAULT_NET, partial(_net, part, preset("wide"))
    yield REFERENCE_NET, partial(_net, part, preset("reference"))
    yield VAE, partial(_autoencoder, part)
    yield ISOLATION_FOREST, partial(_isolation_forest, part)


def _baseline(name: str, train: Dataset, test: Dataset) -> Score:
    model: object = baselines(SEED)[name]
    model.fit(train.features, train.is_fraud)  # type: ignore[attr-defined]
    score: Score = model.predict_proba(test.features)[:, 1].astype(np.float32)  # type: ignore[attr-defined]
    return score


def _net(part: Window, settings: ClassifierSettings) -> Score:
    device = deterministic_torch(SEED)
    encoding, standardisation = fit_encoding(part.train.legitimate), fit_standardisation(part.train.features)
    count = settings.chosen_inputs
    chosen = choose_features(part.train, part.week_before, count, SEED) if count else ()
    inputs = ClassifierInputs(encoding, standardisation, chosen)
    net = fit_classifier(inputs, part.train, part.week_before, settings, device, silent)
    with torch.no_grad():
        score: Score = net(inputs(torch.from_numpy(part.test.features))).numpy()
    return score


def _autoencoder(part: Window) -> Score:
    device = deterministic_torch(SEED)
    encoding = fit_encoding(part.train.legitimate)
    vae = fit_vae(encoding, part.train.legitimate, part.week_before.legitimate, VaeSettings(), device, silent)
    errors: Score = reconstruction_errors(vae, PiecewiseLinear(encoding)(torch.from_numpy(part.test.features))).numpy()
    return errors


def _isolation_forest(part: Window) -> Score:
    """Ten trees, as in the handbook."""
    scale = StandardScaler().fit(part.train.features)
    forest = IsolationForest(n_estimators=10, random_state=0).fit(scale.transform(part.train.features))
    score: Score = -forest.score_samples(scale.transform(part.test.features)).astype(np.float32)
    return score
