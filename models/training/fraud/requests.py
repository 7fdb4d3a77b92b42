"""What a person asks of the trainer, as settings: names of presets, and numbers that may be left out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from models.features.spec_file import load_spec
from models.networks.vae import REFERENCE
from models.training.calibration import Method
from models.training.data import Cuts
from models.training.fit_classifier import Preset, preset
from models.training.fit_vae import MIXED, RARITY, VaeSettings
from models.training.fraud.augmentation import AugmentationSettings
from models.training.fraud.train import FraudSettings, with_epochs
from models.training.thresholds import parse_objective

VAES = {"reference": VaeSettings(shape=REFERENCE), "rarity": RARITY, "mixed": MIXED}


class Names(NamedTuple):
    """Requested by name."""

    classifier: Preset
    vae: Literal["reference", "rarity", "mixed"]
    calibration: Method
    objective: str


def cuts_of(train_days: int | None, validation_days: int | None, delay_days: int | None, test_days: int | None) -> Cuts:
    """Cuts of these lengths, by default as `Cuts` has them."""
    given = {
        "train_days": train_days,
        "validation_days": validation_days,
        "delay_days": delay_days,
        "test_days": test_days,
    }
    return Cuts(**{name: days for name, days in given.items() if days is not None})


def fraud_settings(
    spec: Path,
    names: Names,
    *,
    cuts: Cuts,
    epochs: int | None,
    numbers: Mapping[str, Any],
    version: int,
    compared: bool,
    gan: bool = True,
) -> FraudSettings:
    """Settings of a run. numbers: other fields of `FraudSettings`, None for their defaults.

    Raises FeatureSpecError, ObjectiveError or TrainingError.
    """
    settings = FraudSettings(
        spec=load_spec(spec, may_learn=True),
        version=version,
        cuts=cuts,
        classifier=replace(preset(names.classifier), calibration=names.calibration),
        vae=VAES[names.vae],
        objective=parse_objective(names.objective),
        compared=compared,
        gan=AugmentationSettings() if gan else None,
        **{name: value for name, value in numbers.items() if value is not None},
    )
    return with_epochs(settings, epochs) if epochs else settings
