"""What a person asks of the trainer, as settings: names of presets, and numbers that may be left out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.features.spec_file import load_spec
from models.training.augmentation import AugmentationSettings
from models.training.calibration import Method
from models.training.data import Cuts
from models.training.fit_classifier import Preset, preset
from models.training.fraud import FraudSettings, with_epochs
from models.training.thresholds import parse_objective


def fraud_settings(
    spec: Path,
    cuts: Mapping[str, int | None],
    numbers: Mapping[str, Any],
    *,
    version: int,
    classifier: Preset,
    calibration: Method,
    objective: str,
    compared: bool,
    gan: bool = True,
) -> FraudSettings:
    """Settings of a run. cuts: fields of `Cuts`. numbers: fields of `FraudSettings`, and `epochs`; None is the default.

    Raises FeatureSpecError, ObjectiveError or TrainingError.
    """
    given = {name: value for name, value in numbers.items() if value is not None}
    epochs = given.pop("epochs", None)
    settings = FraudSettings(
        spec=load_spec(spec),
        version=version,
        cuts=Cuts(**{name: days for name, days in cuts.items() if days is not None}),
        objective=parse_objective(objective),
        compared=compared,
        gan=AugmentationSettings() if gan else None,
        **given,
    )
    network = replace(preset(classifier), calibration=calibration)
    settings = replace(settings, classifier=network)
    return with_epochs(settings, epochs) if epochs else settings
