"""The generative adversarial network: a generator that turns noise into rows, and a critic that separates them from real ones.

Goodfellow et al., "Generative Adversarial Nets", 2014.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.2
"""Slope of the critic's units below zero: a generator far off still gets a gradient."""


@dataclass(frozen=True, slots=True)
class GanShape:
    """Widths: the generator's `noise`, its hidden layers (ReLU), the critic's hidden layers (leaky ReLU)."""

    noise: int
    generator: tuple[int, ...]
    critic: tuple[int, ...]


REFERENCE = GanShape(noise=100, generator=(256, 512, 1000), critic=(512, 256))
"""The reference network: noise 100 -> 256 -> 512 -> 1000 -> features against features -> 512 -> 256 -> 1."""

PRESETS = {"reference": REFERENCE}


class Generator(nn.Module):
    """Noise to rows of `features` numbers in (0, 1): levels of each column (models/generation/marginals.py)."""

    def __init__(self, features: int, shape: GanShape = REFERENCE) -> None:
        super().__init__()
        self.shape = shape
        widths = (shape.noise, *shape.generator)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.output = nn.Linear(widths[-1], features)

    def forward(self, noise: Tensor) -> Tensor:
        """float32[n, noise], standard normal, to float32[n, features]."""
        for layer in self.hidden:
            noise = torch.relu(layer(noise))
        return torch.sigmoid(self.output(noise))


class Critic(nn.Module):
    """Rows to one number each: the higher, the more real."""

    def __init__(self, features: int, shape: GanShape = REFERENCE) -> None:
        super().__init__()
        widths = (features, *shape.critic)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.output = nn.Linear(widths[-1], 1)

    def forward(self, rows: Tensor) -> Tensor:
        """float32[n, features] in [0, 1] to float32[n]."""
        rows = 2.0 * rows - 1.0
        for layer in self.hidden:
            rows = functional.leaky_relu(layer(rows), LEAK)
        judged: Tensor = self.output(rows)
        return judged.squeeze(1)
