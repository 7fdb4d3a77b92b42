"""Fits the classifier on the training cut, stops at the best average precision, and calibrates it, both on validation."""

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

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
from models.training.checkpoints import FORGETFUL, Stage, draws, go_on
from models.training.data import Dataset
from models.training.devices import mixed_precision
from models.training.fit_trees import TreeSettings, fit_trees
from models.training.progress import Progress

ROWS = 8192
"""Asked at once."""

ENCODED_BYTES_MAX = 1 << 30
"""Inputs of a network that are kept; of more rows they are made again for each batch, with the same bits."""


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
    stage: Stage = FORGETFUL,
) -> Logit:
    """Network, trees, or the mean of both, each calibrated on `validation` first: logits of either are of one scale.

    stage: of the network's fit.
    """
    network = None
    if settings.network:
        network = fit_classifier(inputs, train, validation, settings, device, progress, stage)
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
    stage: Stage = FORGETFUL,
) -> Network:
    """The classifier with the best average precision on `validation`, or of averaged weights: binary cross-entropy, Adam.

    stage: is saved after each epoch; where it is of an earlier process, the fit goes on from there to the same weights.
    """
    inputs = copy.deepcopy(inputs).to(device)
    rows_in = _Rows(inputs, train.features, device)
    held_out = _Rows(inputs, validation.features, device)
    targets = torch.from_numpy(train.is_fraud.astype(np.float32)).to(device)
    classifier = _network(rows_in.width, settings).to(device)
    averaged = AveragedModel(classifier) if settings.averaged else None
    optimiser = torch.optim.Adam(
        classifier.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        decoupled_weight_decay=True,
    )
    course = _Course(best=copy.deepcopy(classifier.state_dict()))
    parts = {"classifier": classifier, "optimiser": optimiser, **({"averaged": averaged} if averaged else {})}
    _resume(course, parts, stage, device)
    progress("classifier", course.epochs, settings.epochs)
    while not course.ended(settings):
        _epoch(classifier, optimiser, rows_in, targets, settings)
        if averaged is None:
            course.judged(classifier, *_held_out(classifier, held_out, validation.is_fraud))
        elif course.epochs >= settings.epochs // 2:
            averaged.update_parameters(classifier)
        course.epochs += 1
        progress("classifier", course.epochs, settings.epochs)
        states = {name: part.state_dict() for name, part in parts.items()}
        stage.save({"course": asdict(course), "states": states, **draws(device)})
    progress("classifier", course.epochs, course.epochs)
    classifier.load_state_dict(course.best if averaged is None else averaged.module.state_dict())
    return classifier.eval().cpu()


@dataclass(slots=True)
class _Course:
    """How far a fit is: epochs done, the last of them in which precision or loss moved, and the best weights so far."""

    best: dict[str, Any]
    epochs: int = 0
    moved: int = 0
    best_precision: float = -1.0
    least_loss: float = math.inf

    def judged(self, classifier: Network, precision: float, loss: float) -> None:
        """After an epoch, by the validation cut."""
        if loss < self.least_loss:
            self.least_loss, self.moved = loss, self.epochs
        if precision > self.best_precision:
            self.best_precision, self.moved = precision, self.epochs
            self.best = copy.deepcopy(classifier.state_dict())

    def ended(self, settings: ClassifierSettings) -> bool:
        """Whether all epochs are made, or nothing moves any more."""
        stands = not settings.averaged and self.epochs and self.epochs - 1 - self.moved >= settings.patience_epochs
        return self.epochs >= settings.epochs or bool(stands)


def _resume(course: _Course, parts: Mapping[str, Any], stage: Stage, device: torch.device) -> None:
    """Where the stage was saved: the weights, the optimiser and torch's draws as they were."""
    state = stage.load()
    if state is None:
        return
    for name, value in state["course"].items():
        setattr(course, name, value)
    for name, part in parts.items():
        part.load_state_dict(state["states"][name])
    go_on(state, device)


def _network(inputs: int, settings: ClassifierSettings) -> Network:
    shape = ClassifierShape(inputs, settings.hidden)
    if settings.members == 1:
        return Classifier(shape, settings.dropout)
    return Ensemble(shape, settings.members, settings.dropout)


def _epoch(
    classifier: Network,
    optimiser: torch.optim.Optimizer,
    rows_in: "_Rows",
    targets: torch.Tensor,
    settings: ClassifierSettings,
) -> None:
    """One pass over the rows in a random order. Each member of an ensemble has a loss of its own."""
    device = targets.device
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


class _Rows:
    """What the classifier reads of the rows of float32[n, F]: encoded once where that is small, else batch by batch."""

    def __init__(self, inputs: ClassifierInputs, features: NDArray[np.float32], device: torch.device) -> None:
        self._inputs, self._features, self._device = inputs, torch.from_numpy(features), device
        self.width = int(inputs(self._features[:1].to(device)).shape[1])
        small = 4 * len(features) * self.width <= ENCODED_BYTES_MAX
        self._encoded = torch.cat([self._made(part) for part in self._features.split(ROWS)]) if small else None

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, rows: torch.Tensor | slice) -> torch.Tensor:
        if self._encoded is not None:
            return self._encoded[rows]
        return self._made(self._features[rows if isinstance(rows, slice) else rows.cpu()])

    def _made(self, batch: torch.Tensor) -> torch.Tensor:
        encoded: torch.Tensor = self._inputs(batch.to(self._device))
        return encoded


def _held_out(classifier: Network, rows: _Rows, is_fraud: NDArray[np.bool_]) -> tuple[float, float]:
    """Average precision and loss."""
    classifier.eval()
    with torch.no_grad():
        parts = [classifier(rows[start : start + ROWS]) for start in range(0, len(rows), ROWS)]
        logits = torch.cat(parts).cpu()
    loss = functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(is_fraud.astype(np.float32)))
    return float(average_precision_score(is_fraud, logits.numpy())), float(loss)


def calibrate(logit: Logit, validation: Dataset, method: Method = "platt") -> Calibration | CalibrationCurve:
    """The classifier's calibration on `validation`."""
    return fit_calibration(logits_of(logit, validation.features).astype(np.float64), validation.is_fraud, method)


def logits_of(logit: Logit, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n] of float32[n, F]."""
    with torch.no_grad():
        return np.concatenate([logit(rows).numpy() for rows in torch.from_numpy(features).split(ROWS)])
