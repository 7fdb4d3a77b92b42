"""How rarely legitimate traffic is as far out, in nats: where its features are reconstructed to, and where its latent lies.

A mean of squared errors counts what the autoencoder reconstructs badly anyway, and an amount that it reconstructs well counts
nothing, however rare it is. Here the reconstruction's displacement is measured by the covariance that it has on legitimate rows
(Mahalanobis), and the latent's mean by its distance from the prior's, the part of the evidence lower bound that says how rare a
row is which the decoder knows how to make. Either is put on the scale of how few legitimate rows are as far out, and the rarer
one counts, the latent where it is four times as rare.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LATENT_LESS = float(np.log(4.0))
"""Nats that the latent's rarity must have more: a row that is rare and well reconstructed is more often only rare."""


@dataclass(frozen=True, slots=True)
class RarityScale:
    """What legitimate rows have. B bins of the encoding, D columns of displacement, K knots.

    whiten: float32[B, D], residuals of bins to a displacement of unit covariance; centre: float32[D], its mean. distances:
    float32[2, K], rising: squared distances of displacement and latent, and nats: float32[K], rising from 0, how rare each is;
    linear between knots, and beyond the last one by `slope`, float32[2], nats for a unit of squared distance.
    """

    whiten: NDArray[np.float32]
    centre: NDArray[np.float32]
    distances: NDArray[np.float32]
    nats: NDArray[np.float32]
    slope: NDArray[np.float32]


class Rarity(nn.Module):
    """The scale as a layer without parameters."""

    def __init__(self, scale: RarityScale) -> None:
        super().__init__()
        distances = torch.from_numpy(scale.distances)
        measures, knots = distances.shape
        self.register_buffer("whiten", torch.from_numpy(scale.whiten))
        self.register_buffer("centre", torch.from_numpy(scale.centre))
        self.register_buffer("measure", torch.arange(measures).repeat_interleave(knots - 1))
        self.register_buffer("knots", distances[:, :-1].reshape(-1))
        self.register_buffer("inverse_step", (1.0 / distances.diff(dim=1)).reshape(-1))
        step = torch.from_numpy(np.diff(scale.nats)).repeat(measures)
        self.register_buffer("step", nn.functional.one_hot(self.measure, measures).float() * step[:, None])
        self.register_buffer("last", distances[:, -1].contiguous())
        self.register_buffer("slope", torch.from_numpy(scale.slope))

    def distances(self, residual: Tensor, latent: Tensor) -> Tensor:
        """float32[n, 2]: squared distances of the displacement, from float32[n, B], and of the latent's mean."""
        displacement = residual @ self.whiten - self.centre
        return torch.stack([(displacement**2).sum(dim=1), (latent**2).sum(dim=1)], dim=1)

    def forward(self, residual: Tensor, latent: Tensor) -> Tensor:
        """float32[n], 0 or more: the rarer of both."""
        distances = self.distances(residual, latent)
        passed = ((distances[:, self.measure] - self.knots) * self.inverse_step).clamp(0.0, 1.0)
        nats = passed @ self.step + torch.relu(distances - self.last) * self.slope
        return nats[:, 0] + torch.relu(nats[:, 1] - nats[:, 0] - LATENT_LESS)
