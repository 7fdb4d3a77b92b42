"""Everything a bundle computes, as one module: the PyTorch twin of the exported graph."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.networks.classifier import Network
from models.networks.encoding import ClassifierInputs, Encoding, Standardisation
from models.networks.logit import Logit, Mix
from models.networks.trees import Trees
from models.networks.vae import Vae


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling: probability = sigmoid(slope * logit + intercept). Temperature scaling has no intercept."""

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """Isotonic regression: logit to probability, linear between knots; both rise strictly, the first to the last knot."""

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PercentileCurve:
    """Reconstruction error to percentile, linear between knots: errors rise strictly, percentiles never fall."""

    errors: tuple[float, ...]
    percentiles: tuple[float, ...]


class Curve(nn.Module):
    """A calibration curve as a layer: float32[n] logits to float32[n] probabilities."""

    def __init__(self, curve: CalibrationCurve) -> None:
        super().__init__()
        knots, levels = (torch.tensor(v, dtype=torch.float32) for v in (curve.logits, curve.probabilities))
        self.register_buffer("knots", knots[:-1])
        self.register_buffer("inverse_step", 1.0 / (knots[1:] - knots[:-1]))
        self.register_buffer("step", levels[1:] - levels[:-1])
        self.register_buffer("below_zero", -levels[0])

    def forward(self, logits: Tensor) -> Tensor:
        """How far each knot is passed, times what it adds."""
        passed = ((logits[:, None] - self.knots) * self.inverse_step).clamp(0.0, 1.0)
        return (passed @ self.step - self.below_zero).clamp(0.0, 1.0)


class Outputs(NamedTuple):
    """The graph's outputs, in order: float32[n] three times, then float32[n, F]."""

    probability: Tensor
    reconstruction_error: Tensor
    anomaly_percentile: Tensor
    feature_errors: Tensor


class Fused(nn.Module):
    """Raw features in; calibrated probability, reconstruction error, its percentile and per-feature errors out."""

    def __init__(
        self,
        encoding: Encoding,
        standardisation: Standardisation,
        classifier: Network | None,
        calibration: Calibration | CalibrationCurve,
        vae: Vae,
        curve: PercentileCurve,
        chosen: tuple[int, ...] = (),
        trees: Trees | None = None,
        mix: Mix | None = None,
    ) -> None:
        super().__init__()
        self.inputs = ClassifierInputs(encoding, standardisation, chosen)
        self.classifier = classifier
        self.logit = Logit(self.inputs, classifier, trees, mix)
        self.calibration = Curve(calibration) if isinstance(calibration, CalibrationCurve) else calibration
        self.vae = vae
        errors, percentiles = (torch.tensor(v, dtype=torch.float32) for v in (curve.errors, curve.percentiles))
        self.register_buffer("bin_share", torch.from_numpy(encoding.bin_share))
        self.register_buffer("error_knots", errors[:-1])
        self.register_buffer("inverse_error_step", 1.0 / (errors[1:] - errors[:-1]))
        self.register_buffer("percentile_step", percentiles[1:] - percentiles[:-1])

    def forward(self, features: Tensor) -> Outputs:
        """float32[n, F], in the feature spec's order and units."""
        encoded = self.inputs.encode(features)
        error, feature_errors = self._errors(encoded)
        passed = ((error[:, None] - self.error_knots) * self.inverse_error_step).clamp(0.0, 1.0)
        percentile = (passed @ self.percentile_step).clamp(0.0, 100.0)
        return Outputs(
            self._probability(self.logit(features)),
            error,
            percentile,
            feature_errors,
        )

    def _errors(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """The row's, float32[n], and each feature's, float32[n, F]."""
        error, judged = self.vae.errors(encoded)
        return error, judged if self.vae.likelihood is not None else judged @ self.bin_share

    def _probability(self, logits: Tensor) -> Tensor:
        if isinstance(self.calibration, Curve):
            return self.calibration(logits)
        return torch.sigmoid(self.calibration.slope * logits + self.calibration.intercept)


def feature_errors(model: Fused, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the exported graph will say of each feature of float32[n, F]."""
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(features)).feature_errors.numpy())
