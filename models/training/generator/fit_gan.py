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

from models.networks.gan import REFERENCE, Critic, GanShape, Generator, gumbel_noise
from models.training.progress import Progress

STEPS_PER_REPORT = 50
ROWS = 8192
"""Drawn at once."""

SHARE_ROUNDS, SHARE_ROWS = 6, 8192

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
    levels: NDArray[np.float32],
    settings: GanSettings,
    seed: int,
    device: torch.device,
    progress: Progress,
    values: tuple[int, ...] = (),
) -> Generator:
    """A generator of rows like `levels`, float32[n, F] in [0, 1], the last of which are flags: so many `values` a category.

    `seed` decides every draw; torch's own draws stay as they were.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        rows = torch.from_numpy(levels).to(device)
        generator = Generator(rows.shape[1] - sum(values), settings.shape, values).to(device)
        critic = Critic(rows.shape[1], settings.shape).to(device)
        kept = copy.deepcopy(generator)
        optimisers = _adam(critic, settings), _adam(generator, settings)
        for step in range(settings.steps):
            real = rows[torch.randint(len(rows), (settings.batch_rows,), device=device)]
            noises = (
                torch.randn(settings.batch_rows, settings.shape.noise, device=device),
                gumbel_noise(settings.batch_rows, generator.flags, device=device),
            )
            _step(generator, critic, optimisers, real, noises, settings.penalty)
            _follow(kept, generator, min(settings.averaging, (step + 1) / (step + 10)))
            if (step + 1) % STEPS_PER_REPORT == 0 or step + 1 == settings.steps:
                progress("generator", step + 1, settings.steps)
        kept = kept.cpu().eval()
    if values:
        match_shares(kept, levels[:, -sum(values) :].mean(axis=0, dtype=np.float64), seed)
    return kept


def _adam(network: nn.Module, settings: GanSettings) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=BETAS)


def _step(
    generator: Generator,
    critic: Critic,
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    real: Tensor,
    noises: tuple[Tensor, Tensor],
    penalty: float,
) -> None:
    """One step of the critic, then one of the generator, on the same rows."""
    of_critic, of_generator = optimisers
    generated = generator(*noises)
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
    """`count` rows from a fitted generator, float32[count, F]: levels in (0, 1), then flags, 0 or 1; `seed` decides them."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, generator.shape.noise, generator=random)
    gumbel = gumbel_noise(count, generator.flags, random)
    with torch.no_grad():
        parts = zip(noise.split(ROWS), gumbel.split(ROWS), strict=True)
        return np.concatenate([generator.draw(*part).numpy() for part in parts])


def match_shares(generator: Generator, shares: NDArray[np.float64], seed: int) -> None:
    """Move the categories' logits until their values are drawn as often as float64[flags] says, each category's summing to 1.

    An adversarial fit has what goes with what long before it has how often.
    """
    numbers = generator.sizes[0]
    for round_ in range(SHARE_ROUNDS):
        drawn = draw_levels(generator, SHARE_ROWS, seed + round_)[:, numbers:].mean(axis=0, dtype=np.float64)
        least = 0.5 / SHARE_ROWS
        step = np.log(np.maximum(shares, least)) - np.log(np.maximum(drawn, least))
        with torch.no_grad():
            generator.output.bias[numbers:] += torch.from_numpy(step.astype(np.float32))
