"""Fits a generator of rows against a critic, stably: the relativistic loss with two gradient penalties.

Huang, Gokaslan, Kuleshov, Tompkin, "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024: the critic judges pairs
of a real and a generated row, which leaves no mode uncovered, and zero-centred penalties on both kinds of rows make the game
converge locally. One critic step for each generator step is enough, where WGAN-GP (Gulrajani et al. 2017) takes several with
the same second-order gradients: at equal processor time it comes much nearer to the data (docs/decisions).
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.networks.gan import REFERENCE, Critic, GanShape, Generator
from models.training.progress import Progress

STEPS_PER_REPORT = 50
BETAS = (0.5, 0.9)
"""Adam's, as usual for adversarial fits: the opponent of a hundred steps ago says little."""


@dataclass(frozen=True, slots=True)
class GanSettings:
    """How a generator is fitted.

    penalty: weight of the squared gradients (R1 and R2). averaging: the generator that is kept is the moving average of the
    fitted one's weights with this decay (Yazici et al. 2019): the players circle around each other, the average does not.
    """

    shape: GanShape = REFERENCE
    steps: int = 2_000
    batch_rows: int = 64
    learning_rate: float = 5e-4
    penalty: float = 1.0
    averaging: float = 0.995


def fit_gan(
    levels: NDArray[np.float32], settings: GanSettings, seed: int, device: torch.device, progress: Progress
) -> Generator:
    """A generator of rows like `levels`, float32[n, F] in [0, 1].

    `seed` decides every draw; torch's own draws stay as they were.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        rows = torch.from_numpy(levels).to(device)
        generator = Generator(rows.shape[1], settings.shape).to(device)
        critic = Critic(rows.shape[1], settings.shape).to(device)
        kept = copy.deepcopy(generator)
        optimisers = _adam(critic, settings), _adam(generator, settings)
        for step in range(settings.steps):
            real = rows[torch.randint(len(rows), (settings.batch_rows,), device=device)]
            noise = torch.randn(settings.batch_rows, settings.shape.noise, device=device)
            _step(generator, critic, optimisers, real, noise, settings.penalty)
            _follow(kept, generator, min(settings.averaging, (step + 1) / (step + 10)))
            if (step + 1) % STEPS_PER_REPORT == 0 or step + 1 == settings.steps:
                progress("generator", step + 1, settings.steps)
        return kept.cpu().eval()


def _adam(network: nn.Module, settings: GanSettings) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=BETAS)


def _step(
    generator: Generator,
    critic: Critic,
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    real: Tensor,
    noise: Tensor,
    penalty: float,
) -> None:
    """One step of the critic, then one of the generator, on the same rows."""
    of_critic, of_generator = optimisers
    generated = generator(noise)
    judged_real, slope_real = _judged(critic, real)
    judged_generated, slope_generated = _judged(critic, generated)
    loss = functional.softplus(judged_generated - judged_real).mean() + 0.5 * penalty * (slope_real + slope_generated)
    of_critic.zero_grad()
    loss.backward()
    of_critic.step()
    with torch.no_grad():
        judged_real = critic(real)
    loss = functional.softplus(judged_real - critic(generated)).mean()
    of_generator.zero_grad()
    loss.backward()
    of_generator.step()


def _judged(critic: Critic, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The critic's judgements, and the mean squared norm of their gradient at the rows, itself differentiable."""
    rows = rows.detach().requires_grad_(True)
    judged = critic(rows)
    (gradient,) = torch.autograd.grad(judged.sum(), rows, create_graph=True)
    return judged, (gradient**2).sum(dim=1).mean()


def _follow(kept: Generator, fitted: Generator, decay: float) -> None:
    with torch.no_grad():
        for average, current in zip(kept.parameters(), fitted.parameters(), strict=True):
            average.lerp_(current, 1.0 - decay)


def draw_levels(generator: Generator, count: int, seed: int) -> NDArray[np.float32]:
    """`count` rows from a fitted generator, float32[count, F] in (0, 1); `seed` decides them."""
    noise = torch.randn(count, generator.shape.noise, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return np.concatenate([generator(part).numpy() for part in noise.split(8192)])
