"""The variational autoencoder: what legitimate traffic looks like; what it reconstructs badly is an anomaly.

Kingma, Welling, "Auto-Encoding Variational Bayes", 2014.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.likelihood import MixedLikelihood
from models.networks.rarity import Rarity


@dataclass(frozen=True, slots=True)
class VaeShape:
    """Widths of the encoder, mirrored in the decoder: `inputs`, `hidden` (ReLU), `latent` (mean and log-variance)."""

    inputs: int
    hidden: tuple[int, ...]
    latent: int


REFERENCE = VaeShape(inputs=100, hidden=(256, 128, 64), latent=32)
"""The reference network: 100 -> 256 -> 128 -> 64 -> 32 -> 64 -> 128 -> 256 -> 100."""


def _stack(widths: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))


class Vae(nn.Module):
    """Encoder, two heads and decoder, for inputs in [0, 1].

    A sigmoid is behind it, or mixed likelihoods, whose outputs it then has. rarity: the scale of a row's error, once it is
    fitted on what the fit has left; None has the mean as it is.
    """

    def __init__(self, shape: VaeShape = REFERENCE, likelihood: MixedLikelihood | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = _stack((shape.inputs, *shape.hidden))
        self.mean = nn.Linear(shape.hidden[-1], shape.latent)
        self.log_variance = nn.Linear(shape.hidden[-1], shape.latent)
        self.decoder = _stack((shape.latent, *reversed(shape.hidden)))
        self.output = nn.Linear(shape.hidden[0], likelihood.outputs if likelihood else shape.inputs)
        self.likelihood = likelihood
        self.rarity: Rarity | None = None

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """float32[n, inputs] to mean and log-variance, float32[n, latent] each."""
        for layer in self.encoder:
            inputs = torch.relu(layer(inputs))
        return self.mean(inputs), self.log_variance(inputs)

    def outputs(self, latent: Tensor) -> Tensor:
        """float32[n, latent] to float32[n, outputs], before any sigmoid."""
        for layer in self.decoder:
            latent = torch.relu(layer(latent))
        found: Tensor = self.output(latent)
        return found

    def decode(self, latent: Tensor) -> Tensor:
        """float32[n, latent] to float32[n, inputs] in [0, 1]."""
        return torch.sigmoid(self.outputs(latent))

    def forward(self, inputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log-variance, with the latent drawn by the reparameterisation trick.

        noise: float32[n, latent], standard normal; given by the caller, so that every draw has its seed.
        """
        mean, log_variance = self.encode(inputs)
        return self.decode(mean + torch.exp(0.5 * log_variance) * noise), mean, log_variance

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """The reconstruction from the latent's mean: no draw, so the same input always gives the same error."""
        return self.decode(self.encode(inputs)[0])

    @property
    def in_nats(self) -> bool:
        """Whether a row's error is in nats, not a mean squared error."""
        return self.likelihood is not None or self.rarity is not None

    def errors(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Rows' errors, float32[n], and squared errors of their inputs, float32[n, inputs], or nats of their features."""
        if self.likelihood is not None:
            nats = self.nats(inputs)
            return nats.mean(dim=1), nats
        latent = self.encode(inputs)[0]
        residual = self.decode(latent) - inputs
        squared = residual**2
        return squared.mean(dim=1) if self.rarity is None else self.rarity(residual, latent), squared

    def nats(self, inputs: Tensor) -> Tensor:
        """float32[n, F]: how unexpected each feature is, by the mixed likelihoods and the latent's mean."""
        assert self.likelihood is not None, "fitted with mixed likelihoods"
        found: Tensor = self.likelihood(inputs, self.outputs(self.encode(inputs)[0]))
        return found


def negative_elbo(
    inputs: Tensor,
    reconstruction: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    beta: float,
    binary: Tensor | None = None,
) -> Tensor:
    """Negative evidence lower bound, mean over the batch: summed squared error plus `beta` times the KL divergence.

    The squared error is a Gaussian likelihood of fixed variance, up to a constant; `beta` holds that variance and, while it
    rises from zero, keeps the latent from collapsing (KL warm-up). binary: float32[inputs], 1 for those that are 0 or 1, a flag
    for each value of a category: their likelihood is Bernoulli's, at the weight that has the squared error's curvature at 1/2.
    """
    errors = (reconstruction - inputs) ** 2
    if binary is not None:
        of_flags = functional.binary_cross_entropy(reconstruction, inputs, reduction="none")
        errors = torch.where(binary > 0.0, 0.5 * of_flags, errors)
    squared_error = errors.sum(dim=1)
    return (squared_error + beta * divergence(mean, log_variance)).mean()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """float32[n]: of the latent's normal distributions from the standard one, in nats (Kullback and Leibler's)."""
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1.0).sum(dim=1)
