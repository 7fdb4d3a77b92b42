"""Fits the classifier on the training cut, stops at the best average precision, and calibrates it, both on validation."""

import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch.nn import functional

from models.networks.classifier import REFERENCE, Classifier, ClassifierShape
from models.networks.encoding import ClassifierInputs
from models.networks.fused import Calibration, CalibrationCurve
from models.training.calibration import Method, fit_calibration
from models.training.data import Dataset
from models.training.devices import mixed_precision
from models.training.progress import Progress


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """How the classifier is fitted.

    positive_weight: how much a fraud weighs in the loss. 1 is best on the simulator: average precision is what stops the
    fit, and the thresholds come from the alert budget, so the imbalance needs no other weight (docs/decisions).
    chosen_inputs: so many features are selected and read alone, standardised (`feature_choice`); 0 reads all, encoded too.
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


WIDE = ClassifierSettings(dropout=0.3, weight_decay=0.1)
"""The default of `fraud`: all features, and regularised, since a week holds few frauds (docs/decisions)."""

Preset = Literal["reference", "wide"]


def preset(name: Preset) -> ClassifierSettings:
    """A network by name: `reference` is 8 -> 10 ReLU -> 1 sigmoid over 8 chosen features."""
    if name == "wide":
        return WIDE
    return ClassifierSettings(hidden=REFERENCE.hidden, chosen_inputs=REFERENCE.inputs, epochs=40)


def fit_classifier(
    inputs: ClassifierInputs,
    train: Dataset,
    validation: Dataset,
    settings: ClassifierSettings,
    device: torch.device,
    progress: Progress,
) -> Classifier:
    """The classifier with the best average precision on `validation`: binary cross-entropy, Adam."""
    inputs = copy.deepcopy(inputs).to(device)
    rows_in = inputs(torch.from_numpy(train.features).to(device))
    held_out = inputs(torch.from_numpy(validation.features).to(device))
    targets = torch.from_numpy(train.is_fraud.astype(np.float32)).to(device)
    positive_weight = torch.tensor(settings.positive_weight, device=device)
    shape = ClassifierShape(rows_in.shape[1], settings.hidden)
    classifier = Classifier(shape, settings.dropout).to(device)
    optimiser = torch.optim.Adam(
        classifier.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        decoupled_weight_decay=True,
    )
    best_precision, least_loss, moved, best = -1.0, np.inf, 0, copy.deepcopy(classifier.state_dict())
    held_out_targets = torch.from_numpy(validation.is_fraud.astype(np.float32)).to(device)
    for epoch in range(settings.epochs):
        classifier.train()
        for rows in torch.randperm(len(rows_in), device=device).split(settings.batch_rows):
            with mixed_precision(device):
                logits = classifier(rows_in[rows])
            loss = functional.binary_cross_entropy_with_logits(
                logits.float(), targets[rows], pos_weight=positive_weight
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        progress("classifier", epoch + 1, settings.epochs)
        classifier.eval()
        with torch.no_grad():
            logits = classifier(held_out)
            loss_held_out = float(functional.binary_cross_entropy_with_logits(logits, held_out_targets))
            precision = float(average_precision_score(validation.is_fraud, logits.cpu().numpy()))
        if loss_held_out < least_loss:
            least_loss, moved = loss_held_out, epoch
        if precision > best_precision:
            best_precision, moved, best = precision, epoch, copy.deepcopy(classifier.state_dict())
        if epoch - moved >= settings.patience_epochs:
            break
    classifier.load_state_dict(best)
    return classifier.cpu()


def calibrate(
    inputs: ClassifierInputs, classifier: Classifier, validation: Dataset, method: Method = "platt"
) -> Calibration | CalibrationCurve:
    """The classifier's calibration on `validation`."""
    with torch.no_grad():
        logits = classifier(inputs(torch.from_numpy(validation.features))).numpy().astype(np.float64)
    return fit_calibration(logits, validation.is_fraud, method)
