"""Synthetic frauds for the classifier's training, if the gate lets them pass, and how good they are, whether it does or not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation, present, with_flags
from models.training.checkpoints import Checkpoints
from models.training.data import Dataset, Split
from models.training.fit_classifier import ClassifierSettings, fit_logit, logits_of
from models.training.generator.fit_gan import GanSettings
from models.training.generator.gate import Fits, GateCuts, GateSettings, Trial, gate_cuts, judge, with_frauds
from models.training.generator.quality import quality
from models.training.generator.synthesis import fit_synthesis
from models.training.progress import Progress
from models.training.running import Run
from models.training.workers import beside
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
    run: Run,
) -> tuple[Dataset, dict[str, float]]:
    """The training cut with synthetic frauds, or unchanged, and the `gan_` figures of the manifest.

    A history too short for the gate ships nothing, and has no other figure. Leaves torch's own draws as they were: where
    nothing ships, the bundle's networks are those of a run without a GAN.
    """
    device, progress = run.device, run.progress
    gate = gate_cuts(cuts.train, cuts.validation, delay_days, settings.gate.stop_share)
    if gate is None:
        return cuts.train, {"gan_shipped": 0.0}
    known, unseen = _frauds_by_card(gate.fit)
    source = fit_synthesis(known, spec, settings.gan, seed, device, _named("gate's generator", progress))
    fits = _fits(gate, classifier, spec.embedded, run)
    found = judge(gate, fits, source.draw, settings.gate, seed)
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


def _fits(cuts: GateCuts, settings: ClassifierSettings, embedded: Sequence[int], run: Run) -> Fits:
    """Classifiers as the bundle's, over inputs that were scaled on real rows alone. Each is decided by its seed."""
    encoding = fit_encoding(cuts.fit.legitimate, values=present(cuts.fit.features, embedded))
    inputs = ClassifierInputs(encoding, fit_standardisation(cuts.fit.features, embedded))

    def fits(trials: Sequence[Trial]) -> list[NDArray[np.float32]]:
        works = [
            partial(_scores, inputs, cuts, trial, settings, run.device, f"gate's fit {number}", run.checkpoints)
            for number, trial in enumerate(trials, 1)
        ]
        return beside(works, run.progress, run.processes)

    return fits


def _scores(
    inputs: ClassifierInputs,
    cuts: GateCuts,
    trial: Trial,
    settings: ClassifierSettings,
    device: torch.device,
    name: str,
    checkpoints: Checkpoints,
    progress: Progress,
) -> NDArray[np.float32]:
    """float32[n] of the rows that judge, by one fit."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(trial.seed)
        train, seed = trial.train(cuts.fit), trial.seed
        stage, named = checkpoints.stage(name), _named(name, progress)
        logit = fit_logit(inputs, train, cuts.stop, settings, seed, device, named, stage)
    return logits_of(logit, cuts.judge.features)


def _named(name: str, progress: Progress) -> Progress:
    return lambda _, done, most: progress(name, done, most)
