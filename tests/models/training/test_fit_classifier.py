"""When the fit of a classifier ends, and that the reference network is never far below a logistic regression."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.features.spec_file import load_spec
from models.networks.classifier import Network
from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.networks.logit import Logit
from models.simulation.settings import SimulationSettings
from models.training import fit_classifier as fitting
from models.training.data import Dataset
from models.training.devices import deterministic_torch
from models.training.fit_classifier import ClassifierSettings, fit_classifier, logits_of, preset
from models.training.fraud.feature_choice import choose_features
from models.training.fraud.history import simulated
from models.training.progress import silent

pytestmark = pytest.mark.train

MARGIN = 0.07
"""Of average precision, that a fit may lie below the logistic regression on the same eight features."""

ROWS = 2000


def separable(seed: int) -> Dataset:
    """Payments of which the first feature tells the frauds, not quite."""
    random = np.random.default_rng(seed)
    is_fraud = random.random(ROWS) < 0.1
    features = random.normal(size=(ROWS, 3)).astype(np.float32)
    features[:, 0] += 2.0 * is_fraud
    zeros = np.zeros(ROWS, np.int64)
    return Dataset(features, zeros, zeros, is_fraud, is_fraud.astype(np.int8))


def epochs_of_a_fit(settings: ClassifierSettings) -> int:
    """How many epochs a fit on separable payments takes."""
    done = [0]
    train = separable(1)
    device = deterministic_torch(1)
    inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features), (0, 1, 2))

    def count(_: str, epoch: int, __: int) -> None:
        done[0] = epoch

    fit_classifier(inputs, train, separable(2), settings, device, count)
    return done[0]


def test_a_fit_goes_on_while_the_loss_falls_though_the_ranking_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network ranks no better for its first epochs, and learns all the same."""
    monkeypatch.setattr(fitting, "average_precision_score", lambda *_: 0.5)
    assert epochs_of_a_fit(ClassifierSettings(hidden=(4,), epochs=12, patience_epochs=3)) == 12


def test_a_fit_ends_once_neither_loss_nor_ranking_moves() -> None:
    """Without any step, that is after the patience."""
    assert epochs_of_a_fit(ClassifierSettings(hidden=(4,), epochs=12, patience_epochs=3, learning_rate=0.0)) == 4


def test_averaged_weights_come_of_the_second_half_of_all_epochs_whatever_the_validation_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their mean, by hand; the validation cut is not asked."""
    seen: list[dict[str, torch.Tensor]] = []
    epoch = fitting._epoch

    def watched(classifier: Network, *others: Any) -> None:
        epoch(classifier, *others)
        seen.append({name: weight.clone() for name, weight in classifier.state_dict().items()})

    monkeypatch.setattr(fitting, "_epoch", watched)
    monkeypatch.setattr(fitting, "average_precision_score", None)
    train, device = separable(1), deterministic_torch(1)
    inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features), (0, 1, 2))
    settings = ClassifierSettings(hidden=(4,), epochs=6, averaged=True, members=2)
    network = fit_classifier(inputs, train, separable(2), settings, device, silent)
    assert len(seen) == 6
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(weight, torch.stack([state[name] for state in seen[3:]]).mean(dim=0))


def test_an_ensemble_ranks_what_is_separable() -> None:
    """As a single network does."""
    train, test, device = separable(1), separable(2), deterministic_torch(1)
    inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features))
    settings = replace(preset("ensemble"), epochs=5, batch_rows=64)
    network = fit_classifier(inputs, train, test, settings, device, silent)
    assert average_precision_score(test.is_fraud, logits_of(Logit(inputs, network), test.features)) > 0.6


@pytest.mark.slow
def test_the_reference_network_of_twenty_seeds_and_weeks_is_not_far_below_a_logistic_regression() -> None:
    """Four seeds on each of five weeks: one whose ranking stood still at first was given up at a third of it, once."""
    history = simulated(
        SimulationSettings(seed=11, customers=2000, terminals=4000, days=84),
        load_spec(Path("deploy/features/fraud.yaml")),
    )
    behind = {}
    for week in range(5):
        before, train, test = (_week(history.data, first) for first in (28 + 7 * week, 35 + 7 * week, 49 + 7 * week))
        chosen = choose_features(train, before, 8, 0)
        logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        columns = list(chosen)
        logistic.fit(train.features[:, columns], train.is_fraud)
        least = average_precision_score(test.is_fraud, logistic.predict_proba(test.features[:, columns])[:, 1])
        for seed in range(4):
            device = deterministic_torch(seed)
            inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features), chosen)
            network = fit_classifier(inputs, train, before, preset("reference"), device, silent)
            with torch.no_grad():
                score = network(inputs(torch.from_numpy(test.features))).numpy()
            behind[week, seed] = least - average_precision_score(test.is_fraud, score)
    assert len(behind) == 20
    assert max(behind.values()) <= MARGIN, behind


def _week(data: Dataset, first_day: int) -> Dataset:
    return data[(data.day >= first_day) & (data.day < first_day + 7)]
