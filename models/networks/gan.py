"""The generative adversarial network: a generator that turns noise into rows, and a critic that separates them from real ones.

Goodfellow et al., "Generative Adversarial Nets", 2014. Categories by a softmax with Gumbel noise: Jang, Gu, Poole, "Categorical
Reparameterization with Gumbel-Softmax", 2017.
"""

from collections.abc import Callable
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

TEMPERATURE = 0.5
"""Of the softmax over a category's values: low enough that one of them has nearly all, high enough for a gradient."""


class Generator(nn.Module):
    """Noise to rows: `features` numbers in (0, 1), then a flag for each value of each category.

    The numbers are levels of their columns (models/generation/marginals.py). values: how many values each category has.
    """

    def __init__(self, features: int, shape: GanShape = REFERENCE, values: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.shape, self.sizes = shape, (features, *values)
        widths = (shape.noise, *shape.generator)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.output = nn.Linear(widths[-1], sum(self.sizes))

    @property
    def flags(self) -> int:
        """How many values all categories have together."""
        return sum(self.sizes[1:])

    def parts(self, noise: Tensor) -> tuple[Tensor, ...]:
        """float32[n, noise], standard normal, to the numbers, float32[n, features], and each category's logits."""
        for layer in self.hidden:
            noise = torch.relu(layer(noise))
        numbers, *logits = self.output(noise).split(self.sizes, dim=1)
        return torch.sigmoid(numbers), *logits

    def forward(self, noise: Tensor, gumbel: Tensor) -> Tensor:
        """Rows of float32[n, features + flags], from standard normal and Gumbel noise, float32[n, noise] and float32[n, flags].

        A category's flags are nearly one 1 among 0s, and differentiable.
        """
        return self._rows(noise, gumbel, lambda sums: torch.softmax(sums / TEMPERATURE, dim=1))

    def draw(self, noise: Tensor, gumbel: Tensor) -> Tensor:
        """The same with one value of each category: its flag is 1, the others are 0."""
        return self._rows(noise, gumbel, lambda sums: functional.one_hot(sums.argmax(dim=1), sums.shape[1]).float())

    def _rows(self, noise: Tensor, gumbel: Tensor, flags: Callable[[Tensor], Tensor]) -> Tensor:
        numbers, *logits = self.parts(noise)
        noises = gumbel.split(self.sizes[1:], dim=1)
        return torch.cat([numbers, *(flags(a + b) for a, b in zip(logits, noises, strict=True))], dim=1)


def gumbel_noise(rows: int, flags: int, random: torch.Generator | None = None, device: str = "cpu") -> Tensor:
    """float32[rows, flags] of the standard Gumbel distribution; where there is no flag, nothing is drawn."""
    uniform = torch.rand(rows, flags, generator=random, device=device) if flags else torch.zeros(rows, 0, device=device)
    return -(-uniform.clamp(min=1e-20).log()).clamp(min=1e-7).log()


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
