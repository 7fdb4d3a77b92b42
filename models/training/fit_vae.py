"""Fits the autoencoder on legitimate traffic, and its errors' percentiles on legitimate traffic it has not seen."""

import copy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks.encoding import Encoding, PiecewiseLinear
from models.networks.fused import PercentileCurve
from models.networks.likelihood import MixedLikelihood, kinds_of
from models.networks.rarity import Rarity
from models.networks.vae import REFERENCE, Vae, VaeShape, divergence, negative_elbo
from models.training.devices import mixed_precision
from models.training.fit_rarity import fit_rarity
from models.training.progress import Progress

ROWS = 8192
"""Judged at once."""


@dataclass(frozen=True, slots=True)
class VaeSettings:
    """How the autoencoder is fitted.

    beta: weight of the KL divergence, reached after `warmup_epochs`, from zero. rows_max: legitimate rows drawn to fit on.
    likelihood: squared, the reference's error of every input alike; mixed, of each feature by its kind
    (`models.networks.likelihood`). score: what a row's error is, the mean of these, or how rarely legitimate traffic is as
    far out (`models.networks.rarity`, of squared errors alone).
    """

    shape: VaeShape = REFERENCE
    epochs: int = 24
    batch_rows: int = 512
    learning_rate: float = 2e-3
    beta: float = 0.3
    warmup_epochs: int = 3
    patience_epochs: int = 4
    rows_max: int = 50_000
    likelihood: Literal["squared", "mixed"] = "squared"
    score: Literal["mean", "rarity"] = "mean"


MIXED = VaeSettings(likelihood="mixed", beta=1.0)
"""With a likelihood's own scale, the evidence lower bound has no other weight than 1."""

RARITY = VaeSettings(score="rarity")
"""The reference network, fitted as ever, with another score."""


def not_recorded(settings: VaeSettings) -> set[str]:
    """Fields that a manifest does not name, so that bundles of the reference keep their bytes."""
    return {name for name in ("likelihood", "score") if getattr(settings, name) == getattr(VaeSettings(), name)}


def fit_vae(
    encoding: Encoding,
    train: NDArray[np.float32],
    validation: NDArray[np.float32],
    settings: VaeSettings,
    device: torch.device,
    progress: Progress,
) -> Vae:
    """The autoencoder with the smallest validation error. train, validation: legitimate raw features, float32[n, F]."""
    encode = PiecewiseLinear(encoding).to(device)
    drawn = torch.randperm(len(train))[: settings.rows_max]
    inputs = encode(torch.from_numpy(train)[drawn].to(device))
    held_out = encode(torch.from_numpy(validation).to(device))
    mixed = MixedLikelihood(kinds_of(encoding, train[drawn.numpy()])) if settings.likelihood == "mixed" else None
    vae = Vae(replace(settings.shape, inputs=inputs.shape[1]), mixed).to(
        device
    )  # one more for each value of a category
    optimiser = torch.optim.Adam(vae.parameters(), lr=settings.learning_rate)
    best_error, best_epoch, best = float("inf"), 0, copy.deepcopy(vae.state_dict())
    for epoch in range(settings.epochs):
        beta = settings.beta * min(1.0, epoch / max(1, settings.warmup_epochs))
        for rows in torch.randperm(len(inputs), device=device).split(settings.batch_rows):
            noise = torch.randn(len(rows), settings.shape.latent, device=device)
            loss = _loss(vae, inputs[rows], noise, beta, encode.of_value)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        progress("autoencoder", epoch + 1, settings.epochs)
        error = _held_out_error(vae, held_out)
        if epoch < settings.warmup_epochs or error < best_error:
            best_error, best_epoch, best = error, epoch, copy.deepcopy(vae.state_dict())
        elif epoch - best_epoch >= settings.patience_epochs:
            break
    vae.load_state_dict(best)
    if settings.score == "rarity":
        vae.rarity = _rarity(vae, held_out, encoding)
    return vae.cpu()


def _rarity(vae: Vae, held_out: torch.Tensor, encoding: Encoding) -> Rarity:
    """The scale of the held-out rows."""
    residuals, latents = [], []
    with torch.no_grad():
        for rows in held_out.split(ROWS):
            latent = vae.encode(rows)[0]
            residuals.append((vae.decode(latent) - rows).cpu().numpy())
            latents.append(latent.cpu().numpy())
    return Rarity(fit_rarity(encoding, np.concatenate(residuals), np.concatenate(latents)))


def _loss(
    vae: Vae, inputs: torch.Tensor, noise: torch.Tensor, beta: float, of_value: torch.Tensor | None
) -> torch.Tensor:
    """What a step takes down, on one batch of encoded rows."""
    if vae.likelihood is None:
        with mixed_precision(inputs.device):
            reconstruction, mean, log_variance = (output.float() for output in vae(inputs, noise))
        return negative_elbo(inputs, reconstruction, mean, log_variance, beta, of_value)
    with mixed_precision(inputs.device):
        mean, log_variance = (output.float() for output in vae.encode(inputs))
        outputs = vae.outputs(mean + torch.exp(0.5 * log_variance) * noise).float()
    return (vae.likelihood.loss(inputs, outputs) + beta * divergence(mean, log_variance)).mean()


def _held_out_error(vae: Vae, inputs: torch.Tensor) -> float:
    """What the fit is stopped by: with mixed likelihoods their whole loss, since variances scale the error to any size."""
    likelihood = vae.likelihood
    if likelihood is None:
        return float(reconstruction_errors(vae, inputs).mean())
    with torch.no_grad():
        parts = [likelihood.loss(part, vae.outputs(vae.encode(part)[0])) for part in inputs.split(ROWS)]
        return float(torch.cat(parts).mean())


def reconstruction_errors(vae: Vae, inputs: torch.Tensor) -> torch.Tensor:
    """float32[n], from encoded inputs: each row's mean squared error, or nats."""
    with torch.no_grad():
        return torch.cat([vae.errors(part)[0] for part in inputs.split(ROWS)])


CURVE_PERCENTILES = (
    *np.arange(0.0, 98.0, 2.0),
    *np.arange(98.0, 99.5, 0.25),
    *np.arange(99.5, 99.9, 0.1),
    99.9,
    99.95,
    99.98,
)
"""Knots of the percentile curve: dense where alerts are."""

LARGEST_PERCENTILE, BEYOND = 99.99, 3.0
"""The largest legitimate error is at 99.99, `BEYOND` times that error and more at 100: so worse anomalies still rank."""


ERROR_MIN = 1e-12
"""A reconstruction that is exact to the last digit."""

RELATIVE_RISE, ROOT_RISE = 0.05, 5e-4
"""All percentiles together take this part of an error, and of its root (a float32 residual moves the error by its root).

A steeper curve would make percentiles of a float32's last digits, other ones on each processor (docs/decisions, 100).
"""


def fit_percentiles(errors: NDArray[np.float32]) -> PercentileCurve:
    """The curve from reconstruction error to percentile, from legitimate rows' errors, float32[n]."""
    knots = np.quantile(errors.astype(np.float64), np.array(CURVE_PERCENTILES) / 100.0)
    knots = np.concatenate([knots, np.max(errors).astype(np.float64) * np.array([1.0, BEYOND])])
    percentiles = np.array([*CURVE_PERCENTILES, LARGEST_PERCENTILE, 100.0])
    # Where knots coincide, the highest percentile is theirs, and the lower ones are below.
    for place in range(len(knots) - 2, -1, -1):
        root = max(float(knots[place + 1]), ERROR_MIN) ** 0.5
        least = (RELATIVE_RISE * root + ROOT_RISE) * root * (percentiles[place + 1] - percentiles[place]) / 100.0
        knots[place] = min(knots[place], knots[place + 1] - least)
    narrow = knots.astype(np.float32)
    keep = np.append(np.diff(narrow) > 0, True)
    return PercentileCurve(tuple(narrow[keep].tolist()), tuple(percentiles[keep].tolist()))
