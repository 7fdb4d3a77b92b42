"""Fits the classifier on the training cut, stops at the best average precision, and calibrates it, both on validation."""

import copy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from models.networks.classifier import REFERENCE, Classifier, ClassifierShape, Ensemble, Network
from models.networks.encoding import ClassifierInputs
from models.networks.fused import Calibration, CalibrationCurve
from models.networks.logit import Logit, Mix
from models.training.calibration import Method, fit_calibration
from models.training.data import Dataset
from models.training.devices import mixed_precision
from models.training.fit_trees import TreeSettings, fit_trees
from models.training.progress import Progress

ROWS = 8192
"""Asked at once."""


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """How the classifier is fitted.

    positive_weight: how much a fraud weighs in the loss. 1 is best on the simulator: average precision is what stops the
    fit, and the thresholds come from the alert budget, so the imbalance needs no other weight (docs/decisions).
    chosen_inputs: so many features are selected and read alone, standardised (`feature_choice`); 0 reads all, encoded too.
    network, trees: what there is of each; where there are both, the mean of their calibrated logits. members: of an ensemble
    over shared weights; 1 is a single network. averaged: make all epochs, and keep the mean of the weights after each of the
    second half (Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018), so that no
    single validation week decides where the fit ends.
    """

    hidden: tuple[int, ...] = (64, 32)
    epochs: int = 20
    batch_rows: int = 1024
    learning_rate: float = 2e-3
    positive_weight: float = 1.0
    patience_epochs: int = 3
    dropout: float = 0.0
    weight_decay: float = 0.0
    chosen_inputs: int = 0
    calibration: Method = "platt"
    network: bool = True
    trees: TreeSettings | None = None
    members: int = 1
    averaged: bool = False


WIDE = ClassifierSettings(dropout=0.3, weight_decay=0.1)
"""The default of `fraud`: all features, and regularised, since a week holds few frauds (docs/decisions)."""

ENSEMBLE = replace(WIDE, members=8)
"""Eight networks over shared weights: more take more than twice the time of a row (docs/decisions)."""

Preset = Literal["reference", "wide", "ensemble", "xgboost", "lightgbm", "blend"]


def preset(name: Preset) -> ClassifierSettings:
    """A network by name: `reference` is 8 -> 10 ReLU -> 1 sigmoid over 8 chosen features."""
    match name:
        case "wide":
            return WIDE
        case "ensemble":
            return ENSEMBLE
        case "blend":
            return replace(WIDE, trees=TreeSettings())
        case "xgboost" | "lightgbm":
            return replace(WIDE, network=False, trees=TreeSettings(name))
    return ClassifierSettings(hidden=REFERENCE.hidden, chosen_inputs=REFERENCE.inputs, epochs=40)


def fit_logit(
    inputs: ClassifierInputs,
    train: Dataset,
    validation: Dataset,
    settings: ClassifierSettings,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> Logit:
    """Network, trees, or the mean of both, each calibrated on `validation` first: logits of either are of one scale."""
    network = fit_classifier(inputs, train, validation, settings, device, progress) if settings.network else None
    trees = fit_trees(train, settings.trees, seed, progress) if settings.trees else None
    if network is None or trees is None:
        return Logit(inputs, network, trees).eval()
    of_network = calibrate(Logit(inputs, network), validation)
    of_trees = calibrate(Logit(inputs, None, trees), validation)
    assert isinstance(of_network, Calibration) and isinstance(of_trees, Calibration), "Platt's"  # noqa: PT018
    mix = Mix(of_network.slope / 2, of_trees.slope / 2, (of_network.intercept + of_trees.intercept) / 2)
    return Logit(inputs, network, trees, mix).eval()


def fit_classifier(
    inputs: ClassifierInputs,
    train: Dataset,
    validation: Dataset,
    settings: ClassifierSettings,
    device: torch.device,
    progress: Progress,
) -> Network:
    """The classifier with the best average precision on `validation`, or of averaged weights: binary cross-entropy, Adam."""
    inputs = copy.deepcopy(inputs).to(device)
    rows_in = inputs(torch.from_numpy(train.features).to(device))
    held_out = inputs(torch.from_numpy(validation.features).to(device))
    targets = torch.from_numpy(train.is_fraud.astype(np.float32)).to(device)
    classifier = _network(rows_in.shape[1], settings).to(device)
    averaged = AveragedModel(classifier) if settings.averaged else None
    optimiser = torch.optim.Adam(
        classifier.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        decoupled_weight_decay=True,
    )
    best_precision, least_loss, moved, best = -1.0, np.inf, 0, copy.deepcopy(classifier.state_dict())
    for epoch in range(settings.epochs):
        _epoch(classifier, optimiser, rows_in, targets, settings)
        progress("classifier", epoch + 1, settings.epochs)
        if averaged is not None:
            if epoch >= settings.epochs // 2:
                averaged.update_parameters(classifier)
            continue
        precision, loss = _held_out(classifier, held_out, validation.is_fraud)
        if loss < least_loss:
            least_loss, moved = loss, epoch
        if precision > best_precision:
            best_precision, moved, best = precision, epoch, copy.deepcopy(classifier.state_dict())
        if epoch - moved >= settings.patience_epochs:
            break
    classifier.load_state_dict(best if averaged is None else averaged.module.state_dict())
    return classifier.eval().cpu()


def _network(inputs: int, settings: ClassifierSettings) -> Network:
    shape = ClassifierShape(inputs, settings.hidden)
    if settings.members == 1:
        return Classifier(shape, settings.dropout)
    return Ensemble(shape, settings.members, settings.dropout)


def _epoch(
    classifier: Network,
    optimiser: torch.optim.Optimizer,
    rows_in: torch.Tensor,
    targets: torch.Tensor,
    settings: ClassifierSettings,
) -> None:
    """One pass over the rows in a random order. Each member of an ensemble has a loss of its own."""
    device = rows_in.device
    positive_weight = torch.tensor(settings.positive_weight, device=device)
    classifier.train()
    for rows in torch.randperm(len(rows_in), device=device).split(settings.batch_rows):
        with mixed_precision(device):
            logits = classifier.members(rows_in[rows]).float()
        loss = functional.binary_cross_entropy_with_logits(
            logits, targets[rows, None].expand_as(logits), pos_weight=positive_weight
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _held_out(classifier: Network, rows: torch.Tensor, is_fraud: NDArray[np.bool_]) -> tuple[float, float]:
    """Average precision and loss."""
    classifier.eval()
    with torch.no_grad():
        logits = torch.cat([classifier(part) for part in rows.split(ROWS)]).cpu()
    loss = functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(is_fraud.astype(np.float32)))
    return float(average_precision_score(is_fraud, logits.numpy())), float(loss)


def calibrate(logit: Logit, validation: Dataset, method: Method = "platt") -> Calibration | CalibrationCurve:
    """The classifier's calibration on `validation`."""
    return fit_calibration(logits_of(logit, validation.features).astype(np.float64), validation.is_fraud, method)


def logits_of(logit: Logit, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n] of float32[n, F]."""
    with torch.no_grad():
        return np.concatenate([logit(rows).numpy() for rows in torch.from_numpy(features).split(ROWS)])
