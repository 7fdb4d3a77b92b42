"""Synthetic frauds for the classifier's training, if the gate lets them pass, and how good they are, whether it does or not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation, present, with_flags
from models.training.data import Dataset, Split
from models.training.fit_classifier import ClassifierSettings, fit_logit, logits_of
from models.training.generator.fit_gan import GanSettings
from models.training.generator.gate import Fit, GateSettings, Score, gate_cuts, judge, with_frauds
from models.training.generator.quality import quality
from models.training.generator.synthesis import fit_synthesis
from models.training.progress import Progress
from schemas.feature_spec import FeatureSpec

HELD_OUT_ONE_IN = 5
"""Cards of frauds, as a yardstick for the synthetic ones."""


@dataclass(frozen=True, slots=True)
class AugmentationSettings:
    """How frauds are drawn, and what they must show."""

    gan: GanSettings = field(default_factory=GanSettings)
    gate: GateSettings = field(default_factory=GateSettings)


def augmented(
    cuts: Split,
    delay_days: int,
    spec: FeatureSpec,
    settings: AugmentationSettings,
    classifier: ClassifierSettings,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> tuple[Dataset, dict[str, float]]:
    """The training cut with synthetic frauds, or unchanged, and the `gan_` figures of the manifest.

    A history too short for the gate ships nothing, and has no other figure. Leaves torch's own draws as they were: where
    nothing ships, the bundle's networks are those of a run without a GAN.
    """
    gate = gate_cuts(cuts.train, cuts.validation, delay_days, settings.gate.stop_share)
    if gate is None:
        return cuts.train, {"gan_shipped": 0.0}
    known, unseen = _frauds_by_card(gate.fit)
    source = fit_synthesis(known, spec, settings.gan, seed, device, _named("gate's generator", progress))
    found = judge(gate, _fits(gate.fit, classifier, device, progress, spec.embedded), source.draw, settings.gate, seed)
    values, drawn = present(known, spec.embedded), source.draw(len(known), seed)
    learnt, other, synthetic = (with_flags(rows, values) for rows in (known, unseen, drawn))
    found |= {f"gan_{name}": value for name, value in quality(learnt, other, synthetic, seed).items()}
    if not found["gan_shipped"]:
        return cuts.train, found
    frauds = cuts.train.features[cuts.train.is_fraud]
    source = fit_synthesis(frauds, spec, settings.gan, seed, device, progress)
    return with_frauds(cuts.train, source.draw(round(settings.gate.share * len(frauds)), seed)), found


def _frauds_by_card(data: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features of the frauds to learn from, and of those of one card in HELD_OUT_ONE_IN, which the gate's generator never sees.

    Of the same days, so that how near it comes is not mistaken for drift.
    """
    frauds = data[data.is_fraud]
    _, number = np.unique(frauds.card, return_inverse=True)
    unseen = number % HELD_OUT_ONE_IN == 0
    return frauds.features[~unseen], frauds.features[unseen]


def _fits(
    real: Dataset, settings: ClassifierSettings, device: torch.device, progress: Progress, embedded: Sequence[int]
) -> Fit:
    """Classifiers as the bundle's, over inputs that were scaled on real rows alone. Each is decided by its seed."""
    encoding = fit_encoding(real.legitimate, values=present(real.features, embedded))
    inputs = ClassifierInputs(encoding, fit_standardisation(real.features, embedded))
    fitted = 0

    def fit(train: Dataset, stop: Dataset, seed: int) -> Score:
        nonlocal fitted
        fitted += 1
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            logit = fit_logit(inputs, train, stop, settings, seed, device, _named(f"gate's fit {fitted}", progress))

        return partial(logits_of, logit)

    return fit


def _named(name: str, progress: Progress) -> Progress:
    return lambda _, done, most: progress(name, done, most)
